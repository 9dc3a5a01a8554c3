"""`tuning-worker export`: a recorded session as one file; `orch export` feeds it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tuning_worker.reporting.files import new_file
from tuning_worker.reporting.table import WRITERS
from tuning_worker.review.recorded import read_lines

if TYPE_CHECKING:
    import argparse

ABOUT = "Write a session's iterations, which `orch export` gives on stdin, to a file; the answer is JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--format", required=True, choices=sorted(WRITERS))
    parser.add_argument("--output", required=True, type=Path, help="the file")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(options: argparse.Namespace) -> int:
    """Write the file; return 0."""
    with new_file(options.output, force=options.force) as file:
        recorded = read_lines(sys.stdin)
        WRITERS[options.format](recorded, file)
    print(json.dumps({"schema": 1, "iterations": len(recorded.trials)}))  # noqa: T201 - the answer
    return 0
