"""Frozen classes of named fields, as `dataclasses` makes them, for what `orch status` imports, which people poll.

A command costs what it imports. `dataclasses` brings `inspect` and compiles methods for each class, which is much of
what such a command costs, and `typing` adds to it (`benchmarks/status` measures the whole).
"""

from __future__ import annotations

TYPE_CHECKING = False
"""As `typing` has it: True for type checkers, which know it by its name."""

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        """Do nothing: it is for type checkers."""
        return lambda decorator: decorator


@dataclass_transform(frozen_default=True)
def frozen(kind: type[T]) -> type[T]:
    """Make of a class a frozen one with slots, whose fields are its annotated names, in their order.

    `dataclasses.replace`, `asdict` and `fields` take it for one of theirs. A default is one object for all.
    """
    own = {name: value for name, value in vars(kind).items() if name not in {"__dict__", "__weakref__"}}
    names = tuple(kind.__annotations__)
    defaults = {name: own.pop(name) for name in names if name in own}

    def init(self: object, *given: object, **named: object) -> None:
        values = {**defaults, **dict(zip(names, given, strict=False)), **named}
        if values.keys() != set(names) or len(given) > len(names):
            raise TypeError(f"{kind.__name__} takes {', '.join(names)}")
        for name in names:
            object.__setattr__(self, name, values[name])

    methods = {
        "__init__": init,
        "__repr__": _repr,
        "__eq__": _eq,
        "__hash__": _hash,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__dataclass_fields__": _Fields(),
    }
    made: Any = type(kind)
    frozen_kind: type[T] = made(
        kind.__name__, kind.__bases__, {**methods, **own, "__match_args__": names, "__slots__": names}
    )
    return frozen_kind


class _Fields:
    """What `dataclasses` looks for in a class of its own; made when it does."""

    def __get__(self, _: object, kind: type) -> Mapping[str, Any]:
        from dataclasses import make_dataclass  # noqa: PLC0415 - who polls does not get here

        made: Any = make_dataclass(kind.__name__, kind.__annotations__.items())
        fields: Mapping[str, Any] = made.__dataclass_fields__
        return fields


def fields_of(it: Any) -> dict[str, Any]:
    """Return the fields of a frozen one, by name."""
    return {name: getattr(it, name) for name in it.__match_args__}


def _values(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields_of(self).items())})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: it is frozen")
