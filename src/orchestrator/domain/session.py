"""The session: what one tuning campaign is, as its file says it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from orchestrator.domain.annotations import members
from orchestrator.domain.documents import Document, decode_document, parse_document, parse_value, validate
from orchestrator.domain.given import Given
from orchestrator.domain.names import (  # noqa: TC001 - pydantic reads them at run time
    Command,
    CsvBase,
    Duration,
    Labels,
    Line,
    Name,
    OptimizerName,
    PositiveDuration,
    Variables,
)
from orchestrator.domain.optimizers import SHIPPED
from orchestrator.domain.shown import printable
from orchestrator.errors import Problem, SpecError, StateError

DEFAULT_OPTIMIZER = "bayesian"
MAX_ITERATIONS = 10**9
MAX_WORKERS = 10**5
MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""

_MAX_PRIORITY = 1_000_000
_MAX_ATTEMPTS = 1_000


def _check_mode(mode: str) -> str:
    if mode != "paper":
        raise ValueError(f"mode {mode} does not exist yet; use paper")
    return mode


Mode = Literal["paper", "shadow", "live"]


class SessionSpec(BaseModel):
    """One session, as its file and the command line describe it; the descriptions are the reference's.

    What no one set is None where a later part decides: see `choose_optimizer` and `choose_seed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    planned_keys: ClassVar[frozenset[str]] = frozenset({"executor", "objective", "resources"})

    session_id: Name = Field(description="The session's name, unique in its env: 1 to 64 of a-z, 0-9, '.', '_', '-'.")
    total_iterations: int = Field(
        ge=1,
        le=MAX_ITERATIONS,
        description="How many parameter sets to evaluate, over all workers. "
        "With worker_command it may be left out: one for each worker.",
    )
    workers: int = Field(ge=1, le=MAX_WORKERS, description="How many worker processes share the iterations.")
    mode: Annotated[Mode, AfterValidator(_check_mode)] = Field(
        default="paper", description="paper: a recorded market. (shadow and live do not exist yet.)"
    )
    env: Name = Field(default="docker", description="The deployment's name; it separates records, never behaviour.")
    optimizer: OptimizerName | None = Field(
        default=None,
        description=f"How candidates are found: {', '.join(SHIPPED)}. "
        f"Where no one names one: the tuning config's method, else {DEFAULT_OPTIMIZER}.",
    )
    config_path: Line = Field(
        default="configs/d23_tuning/advanced_baseline.yaml",
        description="The tuning config. Starts at the current directory, else at the session file's own.",
    )
    base_output_csv: CsvBase = Field(
        default="outputs/d28_tuning_session",
        description="Where results go: worker-1 writes <base_output_csv>_worker-1.csv.",
    )
    timeout: PositiveDuration | None = Field(
        default=None, description="How long a job may take, all attempts together: seconds, or a text such as 1h30m."
    )
    iteration_timeout: PositiveDuration | None = Field(
        default=None, description="How long one iteration may take before it counts as failed."
    )
    grace: Duration = Field(
        default=timedelta(seconds=30), description="How long a job that is told to stop has before it is killed."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=_MAX_ATTEMPTS, description="How often a job is started before it counts as failed."
    )
    max_failures: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ITERATIONS,
        description="With so many FAILED iterations the session begins no more and ends, its jobs FAILED.",
    )
    schedule: Literal["async", "batch"] = Field(
        default="async",
        description="async: no worker waits for another. batch: the candidates of a round (one for each worker) "
        "follow from the rounds before it alone, whatever the timing; all jobs start together.",
    )
    resume_from: Name | None = Field(
        default=None,
        description="An earlier session of the env, whose results (as they are at submit) a learning optimizer "
        "begins with, where they fit the search space.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="What all randomness follows from. Else the tuning config's; else it follows from session_id.",
    )
    priority: int = Field(
        default=0, ge=-_MAX_PRIORITY, le=_MAX_PRIORITY, description="Jobs of a higher priority start first."
    )
    labels: Labels = Field(default_factory=dict, description="Names and values of your own, to find sessions by.")
    env_vars: Variables = Field(
        default_factory=dict, repr=False, description="Environment variables for the workers; never shown."
    )
    python: Line | None = Field(
        default=None, description="The interpreter that runs the workers; it must have tuning_worker."
    )
    worker_command: Command | None = Field(
        default=None,
        description="A program and its arguments, run in place of the tuning worker; its exit code decides the job.",
    )

    @model_validator(mode="before")
    @classmethod
    def _count_commands(cls, data: Any) -> Any:
        """Let a worker command, which counts no iterations, do without a total: one for each worker."""
        if not isinstance(data, dict) or data.get("worker_command") is None or "total_iterations" in data:
            return data
        workers = data.get("workers")
        is_valid = type(workers) is int and 1 <= workers <= MAX_WORKERS
        return {**data, "total_iterations": workers if is_valid else 1}


def load_session(text: str | bytes, source: str, overrides: Mapping[str, str] | None = None) -> SessionSpec:
    """Read a session file; the arguments are those of `read_session`.

    Raises:
        SpecError: with every problem of the file and of the overrides.
    """
    return read_session(text, source, overrides)[0]


def read_session(
    text: str | bytes, source: str, overrides: Mapping[str, str] | None = None
) -> tuple[SessionSpec, Document]:
    """Read a session file; return what it says, and where each of it stands.

    Args:
        text: the file's content; bytes are checked for size and encoding too.
        source: the file as the user named it.
        overrides: `key` to value as given on the command line. `labels.team` and `env_vars.NAME` set one entry.
            Where the field is a text, the value is taken as it stands (or in quotes, as YAML has them); else it is
            read as YAML.

    Raises:
        SpecError: with every problem of the file and of the overrides; those of an override name `--set key`, or the
            option that gave it.
    """
    document = decode_document(text, source) if isinstance(text, bytes) else parse_document(text, source)
    if document.data.keys() == {"tuning"}:
        raise SpecError((Problem("is a tuning config: name the session file that has it as its config_path", source),))
    problems: list[Problem] = []
    for key, value in (overrides or {}).items():
        try:
            document = _override(document, key, value)
        except SpecError as error:
            problems += error.problems
    try:
        spec = validate(document, SessionSpec)
    except SpecError as error:
        raise SpecError((*problems, *error.problems)) from None
    if problems:
        raise SpecError(tuple(problems))
    return spec, document


def dump_session(spec: SessionSpec) -> str:
    """Write a session as JSON, for the store; `restore_session` reads it back equal."""
    return spec.model_dump_json()


def restore_session(text: str) -> SessionSpec:
    """Read what `dump_session` wrote.

    Raises:
        StateError: another version of the program wrote it, and this one cannot read it.
    """
    source = "the session in the store"
    try:
        document = Document(source, json.loads(text))
        if not isinstance(document.data, dict):
            raise StateError(f"{source} is no mapping")
        if unknown := document.data.keys() - SessionSpec.model_fields.keys():
            name, fields = document.data.get("session_id"), ", ".join(sorted(unknown))
            raise StateError(f"session {name} was submitted by a newer orch: this one does not know {fields}")
        return validate(document, SessionSpec)
    except ValueError as error:
        raise StateError(f"{source} is no JSON: {error}") from None
    except SpecError as error:
        raise StateError(f"another version of orch submitted it: {error}") from None


def session_hash(spec: SessionSpec) -> str:
    """Return a hash of what a session says (64 hex digits): equal for the same file given twice.

    The order of keys, comments, and defaults written out change nothing; nor does a field that a later version adds,
    as long as no one sets it.
    """
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def derived_seed(session_id: str) -> int:
    """Return the seed of a session that no one gave one: 32 bits that follow from its id, on any machine."""
    return int.from_bytes(hashlib.sha256(session_id.encode()).digest()[:4], "big")


def choose_optimizer(spec: SessionSpec, method: str | None = None) -> str:
    """Return the session's optimizer, else the tuning config's `method`, else bayesian."""
    return spec.optimizer or method or DEFAULT_OPTIMIZER


def choose_seed(spec: SessionSpec, configured: int | None = None) -> int:
    """Return the session's seed, else the tuning config's, else the one that follows from the session's id."""
    if spec.seed is not None:
        return spec.seed
    return derived_seed(spec.session_id) if configured is None else configured


def _override(document: Document, key: str, text: str) -> Document:
    head, dot, rest = key.partition(".")
    origin = text.option if isinstance(text, Given) else f"--set {printable(key)}"
    if not head or (dot and not rest):
        raise SpecError((Problem("must be key=value or key.entry=value", origin),))
    value = text if _takes_text(head, is_entry=bool(dot)) and text[:1] not in ("'", '"') else parse_value(text, origin)
    return document.with_value((head, rest) if dot else (head,), value, origin)


def _takes_text(name: str, *, is_entry: bool) -> bool:
    """Tell whether a field, or the entries of one, hold text: then `--set session_id=2026` needs no quotes."""
    field = SessionSpec.model_fields.get(name)
    if field is None:
        return False
    types = members(field.annotation)
    if is_entry:
        return any(get_origin(each) is Mapping for each in types)
    return any(each is str or get_origin(each) is Literal for each in types)
