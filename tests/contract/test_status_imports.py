"""What `orch status` imports is what it costs each time that it is polled."""

from __future__ import annotations

import subprocess
import sys

import pytest

COSTLY = {
    *("argparse", "asyncio", "dataclasses", "inspect", "logging", "orjson", "pydantic", "redis", "rich", "ssl"),
    *("structlog", "subprocess", "textwrap", "typer", "typing", "typing_extensions", "yaml"),
}


@pytest.mark.parametrize("path", ["orchestrator.cli", "orchestrator.cli.polled"])
def test_the_way_of_status_imports_nothing_that_costs_much(path: str):
    # -S: what `site` finds in an environment (a coverage plugin, say) is not ours.
    look = f"import sys; sys.path[:] = {sys.path!r}; before = {{*sys.modules}}; import {path}; "
    look += "print(*{name.partition('.')[0] for name in {*sys.modules} - before})"
    done = subprocess.run([sys.executable, "-S", "-c", look], capture_output=True, text=True, check=True)
    assert "orchestrator" in done.stdout.split()
    assert COSTLY & {*done.stdout.split()} == set()
