"""Follows a pydantic error's location through a model's annotations, to say what could have stood there."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a model.

    Attributes:
        annotation: the type that belongs there, without `Annotated`; None where the model has no such place.
        hidden: a field on the way has `repr=False`: its values are nobody's business, not even in an error.
    """

    annotation: Any
    hidden: bool = False

    @property
    def keys(self) -> dict[str, bool]:
        """The keys a mapping at this place may have, and whether each is hidden; empty where any may stand there."""
        if not is_model(self.annotation):
            return {}
        return {field.alias or name: not field.repr for name, field in self.annotation.model_fields.items()}

    @property
    def planned(self) -> frozenset[str]:
        """Keys that a later version is to accept, which the model lists as `planned_keys`."""
        planned: frozenset[str] = getattr(self.annotation, "planned_keys", frozenset())
        return planned

    def tags(self, discriminator: str) -> list[str]:
        """Return what the discriminating key of a union of models may be."""
        fields = (member.model_fields.get(discriminator) for member in members(self.annotation) if is_model(member))
        return [str(tag) for field in fields if field is not None for tag in get_args(field.annotation)]


def find_spot(annotation: Any, location: tuple[str | int, ...]) -> Spot:
    """Return the place that a location leads to; locations name union members beside the keys, as pydantic's do."""
    annotation = _bare(annotation)
    if not location:
        models = [member for member in members(annotation) if is_model(member)]
        return Spot(models[0] if len(models) == 1 else annotation)  # a model that may be left out is that model
    head, rest = location[0], location[1:]
    if is_model(annotation):
        return _in_model(annotation, head, rest)
    options = members(annotation)
    if len(options) > 1:
        return _in_union(options, location)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and arguments:
        return find_spot(arguments[1 if issubclass(origin, Mapping) else 0], rest)
    return Spot(None)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return what a union is made of, or the one type that it is."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(_bare(member) for member in get_args(annotation))
    return (annotation,)


def is_model(annotation: Any) -> bool:
    """Tell whether a type is a pydantic model."""
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel)


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _in_model(model: type[BaseModel], key: str | int, rest: tuple[str | int, ...]) -> Spot:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            spot = find_spot(field.annotation, rest)
            return Spot(spot.annotation, spot.hidden or not field.repr)
    return Spot(None)


def _in_union(options: tuple[Any, ...], location: tuple[str | int, ...]) -> Spot:
    named = [option for option in options if is_model(option) and _is_named(option, location[0])]
    tries = [(option, location[1:]) for option in named] + [(option, location) for option in options]
    spots = [find_spot(*attempt) for attempt in tries]
    return next((spot for spot in spots if spot.annotation is not None), Spot(None, any(spot.hidden for spot in spots)))


def _is_named(model: type[BaseModel], tag: str | int) -> bool:
    literals = (field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal)
    return tag == model.__name__ or any(tag in get_args(literal) for literal in literals)
