"""The kinds of objective, by the `kind` that a tuning config names. A new one is a file and a line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tuning_worker.objectives.protocol import Objective, ObjectiveSpec

OBJECTIVES = {
    "arbitrage": "tuning_worker.objectives.arbitrage:ArbitrageSpec",
    "command": "tuning_worker.objectives.command:CommandSpec",
    "python": "tuning_worker.objectives.python:PythonSpec",
}
"""Where the spec of each kind lives. Text, as importing one kind must not cost the libraries of another."""


def spec_class(kind: str) -> type[ObjectiveSpec]:
    """Return the spec of a kind.

    Raises:
        UsageError: there is no such kind.
    """
    try:
        module, _, name = OBJECTIVES[kind].partition(":")
    except KeyError:
        known = ", ".join(OBJECTIVES)
        raise UsageError(f"there is no objective of the kind {kind!r}; there are: {known}") from None
    found: type[ObjectiveSpec] = getattr(importlib.import_module(module), name)
    return found


def build_objective(spec: Mapping[str, Any], base: Path) -> Objective:
    """Make an objective from its section as JSON, in the process that is to evaluate it.

    Args:
        spec: a tuning config's `objective`, as written or as `ObjectiveSpec.resolved` returned it.
        base: the folder of the tuning config.

    Raises:
        UsageError: there is no such kind.
        pydantic.ValidationError: a field is wrong.
        EvaluationFailed: it cannot be made here.
        Exception: whatever the user's code raises when it is imported.
    """
    return spec_class(str(spec.get("kind"))).model_validate(dict(spec)).build(base)
