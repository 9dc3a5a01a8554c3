"""`tuning-worker inspect`: what files of quotes are like, and what in them cannot be traded on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning_worker.market.source import MarketDataError, read_header

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from tuning_worker.market.feeds.quality import Series
    from tuning_worker.market.findings import Finding

ABOUT = "Tell what files of quotes are like, and what in them cannot be traded on; exit code 2 where something cannot."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".parquet, .csv or .csv.gz")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")


def run(options: argparse.Namespace) -> int:
    """Write the report; return the exit code: 0 where all files can be traded on, else 2."""
    reports = [inspect(path) for path in options.files]
    if options.output == "json":
        sys.stdout.write(json.dumps({"schema": 1, "files": reports}) + "\n")
    else:
        sys.stdout.write("\n".join(_text(report) for report in reports))
    return 2 if any(report["problems"] for report in reports) else 0


def inspect(path: Path) -> dict[str, Any]:
    """Look at a file.

    Returns:
        `file`, `kind` (`rows`: of all feeds together, `feed`, or None where it cannot be read), `rows`, `units` (by
        column of times), `problems` (`file`, `row`, `column`, `value`, `message`, `count`; row and column None where
        it has no place) and `feeds`: by name `days` (see `quality.Day`) and `gaps`; empty where times are not in order.
    """
    try:
        kind = "rows" if {"ts", "bid_a"} <= set(read_header(path)) else "feed"
        rows, units, found, series = _rows(path) if kind == "rows" else _feed(path)
    except MarketDataError as error:
        return _report(path, None, 0, {}, [_problem(path, each) for each in str(error).splitlines()], {})
    return _report(path, kind, rows, units, [_problem(path, each) for each in found], series)


def _report(
    path: Path,
    kind: str | None,
    rows: int,
    units: Mapping[str, str],
    problems: Sequence[Mapping[str, Any]],
    series: Mapping[str, Series],
) -> dict[str, Any]:
    from tuning_worker.market.feeds.quality import days, longest_gaps  # noqa: PLC0415 - NumPy is slow to import

    feeds = {
        name: {
            "days": [asdict(day) for day in days(each)],
            "gaps": [
                {
                    "row": gap.row,
                    "since": _iso(gap.since_ns),
                    "seconds": gap.seconds,
                    "seg_changes": gap.is_between_segments,
                }
                for gap in longest_gaps(each)
            ],
        }
        for name, each in series.items()
    }
    return {"file": str(path), "kind": kind, "rows": rows, "units": units, "problems": problems, "feeds": feeds}


def _problem(path: Path, found: Finding | str) -> dict[str, Any]:
    if isinstance(found, str):
        message = found.removeprefix(f"{path}: ")
        return {"file": str(path), "row": None, "column": None, "value": None, "message": message, "count": 1}
    place = {"file": str(path), "row": found.row, "column": found.column, "value": found.value}
    return {**place, "message": str(found), "count": found.count}


def _feed(path: Path) -> tuple[int, dict[str, str], list[Finding], dict[str, Series]]:
    from tuning_worker.market.feeds.files import read_feed  # noqa: PLC0415 - NumPy is slow to import
    from tuning_worker.market.feeds.quality import Series  # noqa: PLC0415
    from tuning_worker.market.feeds.validation import problems  # noqa: PLC0415

    feed = read_feed(path)
    found = problems(feed)
    if any(each.column in feed.times for each in found):
        return feed.rows, feed.units, found, {}
    local, *rest = [feed.nanoseconds(name) for name in feed.times]
    return feed.rows, feed.units, found, {"quotes": Series(local, rest[0] if rest else None, feed.cells[:4], feed.seg)}


def _rows(path: Path) -> tuple[int, dict[str, str], list[Finding], dict[str, Series]]:
    import numpy as np  # noqa: PLC0415 - slow to import

    from tuning_worker.market.data import MS_NS  # noqa: PLC0415
    from tuning_worker.market.feeds.quality import Series  # noqa: PLC0415
    from tuning_worker.market.rows import make_market, problems  # noqa: PLC0415
    from tuning_worker.market.source import read_table  # noqa: PLC0415

    columns = read_table(path)
    rows = len(columns["ts"])
    if rows == 0:
        raise MarketDataError(f"{path}: the file has no rows")
    found = problems(columns)
    if any(each.column == "ts" for each in found):
        return rows, {"ts": "ms"}, found, {}
    market = make_market(columns)
    names = ("a", "b", "fx") if market.has_rate else ("a", "b")
    local = columns["ts"] * MS_NS
    cells = {name: market.cells[:, each :: len(names)] for each, name in enumerate(names)}
    if "fx" in cells:
        cells["fx"] = np.concatenate([cells["fx"][:2], np.full((2, rows), np.inf)])  # a rate has no sizes
    return rows, {"ts": "ms"}, found, {name: Series(local, None, each, columns["seg"]) for name, each in cells.items()}


# --- the table -------------------------------------------------------------------------------------------------------

_HEADINGS = {
    "day": "day",
    "rows": "rows",
    "gap_median_s": "gap s",
    "gap_longest_s": "longest",
    "same_time": "same time",
    "repeated": "repeated",
    "unchanged_longest_s": "unchanged s",
    "crossed": "crossed",
    "locked": "locked",
    "empty": "empty",
    "spread_bps": "spread bps",
    "size": "size",
    "latency_ms": "latency ms",
    "early": "early",
}


def _text(report: Mapping[str, Any]) -> str:
    units = ", ".join(f"{name} in {unit or 'no known unit'}" for name, unit in report["units"].items())
    told = {"rows": "rows of all feeds", "feed": "quotes of one feed"}.get(report["kind"], "cannot be read")
    lines = [f"{report['file']}: {report['rows']:,} {told}; {units}" if units else f"{report['file']}: {told}"]
    lines += [f"  problem: {problem['message']}" for problem in report["problems"]]
    for name, feed in report["feeds"].items():
        lines += ["", f"  {name}", *(f"  {line}" for line in _aligned(feed["days"]))]
        lines += [
            f"  no quote for {gap['seconds']:,.3f} s from {gap['since']}, to row {gap['row']}"
            + (", where seg changes" if gap["seg_changes"] else "")
            for gap in feed["gaps"]
        ]
    if report["feeds"] and not report["problems"]:
        lines += ["", "  can be traded on"]
    return "\n".join(lines) + "\n"


def _aligned(days: Iterable[Mapping[str, Any]]) -> list[str]:
    table = [list(_HEADINGS.values()), *([_cell(day[name]) for name in _HEADINGS] for day in days)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
