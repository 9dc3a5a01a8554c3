"""`tuning-worker report`: a recorded session as one page; `orch report` feeds it."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.clock import iso, utc_now
from tuning_worker.reporting.files import new_file
from tuning_worker.reporting.markup import el
from tuning_worker.reporting.page import make_page
from tuning_worker.reporting.sections import Report
from tuning_worker.reporting.values import moment
from tuning_worker.review.recorded import read_lines

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from tuning_worker.review.recorded import RecordedSession

ABOUT = "Write a report of a session, which `orch report` gives on stdin, to an HTML file; the answer is JSON."
_TOP = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--output", required=True, type=Path, help="the file")
    parser.add_argument("--top", type=int, default=_TOP, help="how many of the best its table has")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(options: argparse.Namespace) -> int:
    """Write the page; return 0."""
    with new_file(options.output, force=options.force) as file:
        recorded = read_lines(sys.stdin)
        file.write(make_report(recorded, options.top, utc_now()).encode())
    print(json.dumps({"schema": 1, "iterations": len(recorded.trials)}))  # noqa: T201 - the answer
    return 0


def make_report(recorded: RecordedSession, top: int, now: datetime) -> str:
    """Return the page.

    Args:
        recorded: the session.
        top: how many of the best its table has.
        now: when it is made.
    """
    report = Report(recorded, top)
    program = f"orch {version('tuning-orchestrator')}"
    made = f"Made {moment(iso(now))} by {program} from what was recorded, and from nothing else."
    body = [report.header, el("main", *report.sections), el("footer", made)]
    return make_page(f"{recorded.session_id}: orch report", body, report.figures)
