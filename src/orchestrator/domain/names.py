"""The names, texts and lengths of time that a session file may hold, as pydantic fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from orchestrator.domain.durations import parse_duration, to_seconds
from orchestrator.domain.shown import is_text

MAX_LABELS = 32
MAX_ENV_VARS = 256

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OPTIMIZER = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_RESERVED = "ORCH_"
_LONGEST_LABEL = 256
_LONGEST_TEXT = 4096  # Linux's PATH_MAX
_LONGEST_ARGUMENT = 128 * 1024 - 1  # Linux's MAX_ARG_STRLEN, for one argument as for one NAME=value


def check_name(name: str) -> str:
    """Return a name that can be part of a key and of a file's name.

    Raises:
        ValueError: it is not 1 to 64 of a-z, 0-9, '.', '_', '-' with a letter or digit first, or holds '..'.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 64 of a-z, 0-9, '.', '_' and '-', and start with a letter or a digit")
    if ".." in name:
        raise ValueError("must not hold '..'")
    return name


def _positive(value: object) -> timedelta:
    duration = parse_duration(value)
    if not duration:
        raise ValueError("must be longer than 0 seconds")
    return duration


def _check_optimizer(name: str) -> str:
    if not _OPTIMIZER.fullmatch(name):
        raise ValueError("must be the name of an optimizer, such as bayesian or random, in lower case")
    return name


def _check_line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable() or not is_text(text):
        raise ValueError("must not hold line breaks or other characters that cannot be printed")
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"must have at most {_LONGEST_TEXT:,} characters")
    return text


def _check_base(path: str) -> str:
    if path.endswith("/"):
        raise ValueError("must end in the beginning of a file's name: '_worker-1.csv' is put behind it")
    return path


def _check_argument(text: str) -> str:
    if not is_text(text):
        raise ValueError("must not hold NUL or bytes that are no text")
    if len(text.encode()) > _LONGEST_ARGUMENT:
        raise ValueError(f"must be at most {_LONGEST_ARGUMENT:,} bytes")
    return text


def _check_command(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv or not argv[0].strip():
        raise ValueError("must be a list that starts with the program to run")
    return argv


def _check_label(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ValueError("must be 1 to 63 of letters, digits, '.', '_', '/' and '-', with a letter or a digit first")
    return name


def _check_label_value(value: str) -> str:
    if len(value) > _LONGEST_LABEL or (value and not value.isprintable()):
        raise ValueError(f"must be one line of at most {_LONGEST_LABEL} characters")
    return value


def _check_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > MAX_LABELS:
        raise ValueError(f"must have at most {MAX_LABELS} entries (got {len(labels)})")
    return labels


def _check_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable: letters, digits and '_', no digit first")
    if name.upper().startswith(_RESERVED):
        raise ValueError(f"must not start with {_RESERVED}: these names are set by orch itself")
    return name


def _check_variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    if len(variables) > MAX_ENV_VARS:
        raise ValueError(f"must have at most {MAX_ENV_VARS} entries (got {len(variables)})")
    return variables


Name = Annotated[str, AfterValidator(check_name)]
OptimizerName = Annotated[str, AfterValidator(_check_optimizer)]
Line = Annotated[str, AfterValidator(_check_line)]
CsvBase = Annotated[Line, AfterValidator(_check_base)]
Argument = Annotated[str, AfterValidator(_check_argument)]
Command = Annotated[tuple[Argument, ...], Field(strict=False), AfterValidator(_check_command)]
Labels = Annotated[
    Mapping[Annotated[str, AfterValidator(_check_label)], Annotated[str, AfterValidator(_check_label_value)]],
    AfterValidator(_check_labels),
]
Variables = Annotated[
    Mapping[Annotated[str, AfterValidator(_check_variable)], Argument], AfterValidator(_check_variables)
]

Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(to_seconds, when_used="json")]
"""A pydantic field: zero or more. In JSON it is a number of seconds."""

PositiveDuration = Annotated[timedelta, BeforeValidator(_positive), PlainSerializer(to_seconds, when_used="json")]
"""A pydantic field: more than zero. In JSON it is a number of seconds."""
