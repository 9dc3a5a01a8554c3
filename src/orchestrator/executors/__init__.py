"""The executors there are. A new one is a file here and a line below."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.executors.protocol import Executor

EXECUTORS = {
    "local": "orchestrator.executors.local:LocalExecutor",
}


def make_executor(name: str) -> Executor:
    """Load and make the executor of that name.

    Raises:
        KeyError: there is none.
    """
    module, _, attribute = EXECUTORS[name].partition(":")
    executor: Executor = getattr(import_module(module), attribute)()
    return executor
