"""The tuning config: what is searched, how, and what a candidate is worth."""

from __future__ import annotations

import json
import re
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, create_model, field_validator

from orchestrator.domain.complaints import nearest
from orchestrator.domain.documents import Document, decode_document, parse_document, validate
from orchestrator.domain.session import MAX_SEED
from orchestrator.errors import SpecError
from tuning_worker.days import EvaluationSpec  # noqa: TC001 - pydantic reads it at run time
from tuning_worker.objectives import OBJECTIVES, spec_class
from tuning_worker.objectives.protocol import ObjectiveSpec  # noqa: TC001 - pydantic reads it at run time
from tuning_worker.optimizers import OPTIMIZERS
from tuning_worker.pruner import Pruner  # noqa: TC001 - pydantic reads it at run time
from tuning_worker.space.constraints import MAX_CONSTRAINTS
from tuning_worker.space.dimensions import Dimension  # noqa: TC001 - pydantic reads it at run time
from tuning_worker.space.problems import find_problems, make_space

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tuning_worker.space.search_space import SearchSpace

_MAX_GRID_POINTS = 10_000
_MAX_NAME = 100
_MAX_ENQUEUED = 10_000


def _parameter_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("a parameter's name is made of letters, digits and _, and does not start with a digit")
    if len(name) > _MAX_NAME:
        raise ValueError(f"a parameter's name has at most {_MAX_NAME} characters")
    return name


def _one_of(word: str, options: Iterable[str]) -> str:
    if word in options:
        return word
    meant = nearest(word, options)
    hint = f"; did you mean {meant!r}?" if meant else ""
    raise ValueError(f"must be one of {', '.join(options)}{hint}")


class TuningConfig(BaseModel):
    """The section `tuning:` of a tuning config, checked but for what only its objective's own `check` can see.

    Attributes:
        method: the optimizer where the session names none.
        seed: what random choices follow from, where the session names none; None: derived from the session's id.
        grid_points: values of each float or int dimension on a grid.
        enqueue: points that are evaluated first, as g = 0, 1, …
        on_duplicate: what becomes of a point that has been evaluated: `avoid` it while there are others, or `reuse`
            what is recorded of it, for an objective that always gives the same.
        search_space: the dimensions by parameter name, in the order of the file.
        constraints: what must hold between the parameters, such as `fast < slow`.
        objective: what turns parameters into metrics; its class belongs to its `kind`.
        evaluation: which days are tuned on, validated on and held out; None: all are tuned on.
        pruner: when an iteration is stopped half-way as hopeless; None: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str = "bayesian"
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    grid_points: int = Field(default=3, ge=1, le=_MAX_GRID_POINTS)
    search_space: dict[Annotated[str, AfterValidator(_parameter_name)], Dimension] = Field(min_length=1)
    constraints: list[str] = Field(default_factory=list, max_length=MAX_CONSTRAINTS)
    objective: SerializeAsAny[ObjectiveSpec]
    enqueue: list[dict[str, bool | int | float | str]] = Field(default=[], max_length=_MAX_ENQUEUED)
    on_duplicate: Literal["avoid", "reuse"] = "avoid"
    evaluation: EvaluationSpec | None = None
    pruner: Pruner | None = None

    @field_validator("method")
    @classmethod
    def _method_exists(cls, method: str) -> str:
        return _one_of(method, OPTIMIZERS)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        return make_space(self.search_space, self.constraints)


class _TuningFile(BaseModel):
    """The whole file: nothing but `tuning:`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tuning: TuningConfig


class _UnknownObjective(BaseModel):
    """Stands for an objective whose kind is wrong, so that the rest of the file is checked with it."""

    model_config = ConfigDict(extra="allow", strict=True)

    kind: str

    @field_validator("kind")
    @classmethod
    def _kind_exists(cls, kind: str) -> str:
        return _one_of(kind, OBJECTIVES)


def load_tuning_config(raw: bytes | str, source: str) -> TuningConfig:
    """Read a tuning config.

    Only the module of the objective that the file names is imported, and no optimizer.

    Args:
        raw: the file's content; bytes must be UTF-8.
        source: the file as the user named it.

    Raises:
        SpecError: with every problem of the file, each at its line and column.
    """
    return _checked(decode_document(raw, source) if isinstance(raw, bytes) else parse_document(raw, source))


def recall_tuning_config(snapshot: str, session_id: str) -> TuningConfig:
    """Read a session's tuning config as it was at submit: JSON, longer than the file was, so without its limits.

    Raises:
        SpecError: another version of the program wrote it, which knew other fields.
    """
    return _checked(Document(f"the tuning config of session {session_id}", json.loads(snapshot)))


def _checked(document: Document) -> TuningConfig:
    tuning = validate(document, _file_model(_kind(document))).tuning
    problems = find_problems(tuning.search_space, tuning.constraints)
    if found := tuple(document.problem(("tuning", *path), sentence) for path, sentence in problems):
        raise SpecError(found)
    return tuning


def _kind(document: Document) -> str | None:
    """The kind of objective that the file names, or None where it names none that there is."""
    tuning = document.data.get("tuning")
    objective = tuning.get("objective") if isinstance(tuning, dict) else None
    kind = objective.get("kind") if isinstance(objective, dict) else None
    return kind if isinstance(kind, str) and kind in OBJECTIVES else None


@cache
def _file_model(kind: str | None) -> type[_TuningFile]:
    """The model of a file whose objective is of this kind: problems then name the fields of that kind."""
    objective: Any = _UnknownObjective if kind is None else spec_class(kind)
    tuning: Any = create_model("TuningConfig", __base__=TuningConfig, objective=(objective, ...))
    return create_model("_TuningFile", __base__=_TuningFile, tuning=(tuning, ...))
