"""A synthetic market of two venues from a seed: `tuning-worker synth OUT`. It is made up, and says so in the file.

Venue A quotes in KRW, venue B in USDT, `fx` is KRW for one USDT. Venue B follows a random walk with volatility that
comes and goes; A is the same price at the rate of the moment, moved by a premium that returns to zero with a half-life
of minutes. Now and then an episode pulls at it for a while, up or down: those are the opportunities. Others are a
mirage: gone by the next row.

Only `random.Random.random`, whose sequence Python guarantees, and plain arithmetic make the numbers, and these are
rounded to ticks, so that a seed means the same file everywhere.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import argparse

START_MS: Final = 1_704_067_200_000
"""2024-01-01 00:00 UTC."""
STEP_MS: Final = 30_000
DEFAULT_SEED: Final = 7
DEFAULT_ROWS: Final = 20_160
"""Seven days."""

COLUMNS: Final = (
    ("ts", 0),
    *((name, 0) for name in ("bid_a", "ask_a")),
    *((name, 1) for name in ("bid_b", "ask_b")),
    *((f"{side}_size_{venue}", 3) for venue in "ab" for side in ("bid", "ask")),
    ("fx", 1),
)
"""The columns and how many decimals they have."""

Columns = dict[str, list[float]]


class _Walk:
    """The hidden state of the market: one `step` is one row."""

    def __init__(self, seed: int) -> None:
        self._uniform = random.Random(seed).random  # noqa: S311 - a market, not a secret
        self._inverse = NormalDist().inv_cdf
        self.price, self.rate, self.premium, self.calm = 42_000.0, 1_300.0, 0.0, 0.0
        self._episode, self._pull, self._left = 0.0, 0.0, 0

    def step(self) -> None:
        """Move on by one row."""
        self.calm = 0.995 * self.calm + 0.04 * self.normal()
        self.price *= 1 + 0.0004 * math.exp(self.calm) * self.normal()
        self.rate += 0.002 * (1_300.0 - self.rate) + 0.15 * self.normal()
        if self._left > 0:
            self._left -= 1
        elif self.uniform() < 1 / 400:
            self._left = 4 + int(36 * self.uniform())
            self._episode = self._either(0.0015 + 0.0035 * self.uniform())
        else:
            self._episode = 0.0
        self._pull += 0.12 * (self._episode - self._pull) + 0.00018 * self.normal()
        mirage = self._either(0.001 + 0.003 * self.uniform()) if self.uniform() < 1 / 150 else 0.0
        self.premium = self._pull + mirage

    def _either(self, size: float) -> float:
        return size if self.uniform() < 0.5 else -size  # noqa: PLR2004 - a fair coin

    def uniform(self) -> float:
        """Return a number strictly between 0 and 1."""
        return self._uniform() or 0.5

    def normal(self) -> float:
        """Return a number of the standard normal distribution."""
        return self._inverse(self.uniform())


def synthesize(seed: int = DEFAULT_SEED, rows: int = DEFAULT_ROWS) -> Columns:
    """Make a market.

    Args:
        seed: any whole number; the same one makes the same market.
        rows: one each 30 seconds, from 2024-01-01.

    Returns:
        Lists by column name, as `tuning_worker.market.data` describes them; prices of A and fx are multiples of
        1000 KRW and 0.1 KRW, of B of 0.1 USDT, sizes of 0.001 coins.
    """
    walk = _Walk(seed)
    columns: Columns = {name: [] for name, _ in COLUMNS}
    for index in range(rows):
        walk.step()
        mid_a = walk.price * walk.rate * (1 + walk.premium)
        half_a = 500 * (1 + int(3 * walk.uniform()))
        half_b = 0.05 * (1 + int(8 * walk.uniform()))
        row = {
            "ts": START_MS + index * STEP_MS,
            "bid_a": 1000 * math.floor((mid_a - half_a) / 1000),
            "ask_a": 1000 * math.ceil((mid_a + half_a) / 1000),
            "bid_b": math.floor((walk.price - half_b) * 10) / 10,
            "ask_b": math.ceil((walk.price + half_b) * 10) / 10,
            "fx": walk.rate,
        }
        sizes = {name: 0.001 + 0.02 * walk.uniform() ** 2 for name, _ in COLUMNS if "size" in name}
        for name, decimals in COLUMNS:
            value = row.get(name, sizes.get(name, 0.0))
            columns[name].append(round(value, decimals) if decimals else int(value))
    return columns


def write(path: Path, columns: Columns, *, seed: int) -> None:
    """Write a market to a `.parquet` or `.csv` file.

    Raises:
        UsageError: the suffix is another, or the file cannot be written.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and this module gives the command line its options
    from pyarrow import csv, parquet  # noqa: PLC0415

    origin = f"synthetic, made by tuning-worker synth --seed {seed} --rows {len(columns['ts'])}"
    types = {name: pa.int64() if name == "ts" else pa.float64() for name in columns}
    table = pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})
    if path.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"{path}: the file must be a .parquet or .csv file")
    try:
        if path.suffix == ".csv":
            csv.write_csv(table, path)
            return
        smooth = dict.fromkeys(("bid_a", "ask_a", "bid_b", "ask_b"), "BYTE_STREAM_SPLIT")
        parquet.write_table(
            table.replace_schema_metadata({"origin": origin}),
            path,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in columns if name not in smooth and name != "ts"],
            column_encoding={"ts": "DELTA_BINARY_PACKED", **smooth},
        )
    except OSError as error:
        raise UsageError(f"{path}: it cannot be written: {error}") from error


ABOUT = "Write a synthetic two-venue data set."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tuning-worker synth`."""
    parser.add_argument("out", type=Path, metavar="OUT", help="the file to write, .parquet or .csv")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="what the market follows from (%(default)s)")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="one each 30 seconds (%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")


def run(args: argparse.Namespace) -> int:
    """Make a market and write it; return the exit code.

    Raises:
        UsageError: the options make no sense, or the file is there already.
    """
    if args.rows < 1:
        raise UsageError(f"--rows must be at least 1, got {args.rows}")
    if args.out.exists() and not args.force:
        raise UsageError(f"{args.out} is there already; --force replaces it")
    write(args.out, synthesize(args.seed, args.rows), seed=args.seed)
    sys.stdout.write(f"{args.out}: {args.rows} rows of a synthetic market, seed {args.seed}\n")
    return 0
