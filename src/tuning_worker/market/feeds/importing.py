"""`tuning-worker import`: quotes of another format made a feed's file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import argparse

ABOUT = "Make a feed's file of quotes in another format."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    tardis = formats.add_parser("tardis", help="quotes, book_ticker or book_snapshot files of Tardis (.csv, .csv.gz)")
    tardis.add_argument("--symbol", help="which one, where the files have several")
    hftbacktest = formats.add_parser("hftbacktest", help="event files of hftbacktest (.npz), in the order of time")
    for each in (tardis, hftbacktest):
        each.add_argument("files", nargs="+", type=Path, metavar="FILE")
        each.add_argument("-o", "--output", required=True, type=Path, help="the feed's file to write, .parquet or .csv")
        each.add_argument("--force", action="store_true", help="replace the file if there is one")


def run(options: argparse.Namespace) -> int:
    """Read, clean and write; return the exit code.

    Raises:
        UsageError: the output is there already or cannot be written.
        MarketDataError: a file cannot be used.
    """
    from tuning_worker.market.feeds import hftbacktest, tardis  # noqa: PLC0415 - NumPy is slow to import
    from tuning_worker.market.feeds.writing import clean, write_feed  # noqa: PLC0415

    if options.output.exists() and not options.force:
        raise UsageError(f"{options.output} is there already; --force replaces it")
    if options.format == "tardis":
        recorded = tardis.read(options.files, options.symbol)
    else:
        recorded = hftbacktest.read(options.files)
    quotes, done = clean(recorded)
    names = ", ".join(file.name for file in options.files)
    write_feed(options.output, quotes, origin=f"imported from {options.format}: {names}"[:1000])
    said = f"; {done}" if str(done) else ""
    sys.stdout.write(f"{options.output}: {len(quotes.local)} quote{'s' if len(quotes.local) > 1 else ''}{said}\n")
    return 0
