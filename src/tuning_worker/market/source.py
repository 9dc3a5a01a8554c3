"""Files of quotes as columns: Parquet and CSV, by suffix. What the columns must hold is `data`'s business.

pyarrow is imported where it is used, as `tuning-worker check` must be quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

PRICES = ("bid_a", "ask_a", "bid_b", "ask_b")
SIZES = ("bid_size_a", "ask_size_a", "bid_size_b", "ask_size_b")
RATES = ("fx", "fx_bid", "fx_ask")
WHOLE = ("ts", "seg")
REQUIRED = ("ts", *PRICES)
KNOWN = (*WHOLE, *PRICES, *SIZES, *RATES)


class MarketDataError(UsageError):
    """A file of quotes cannot be used; the message names the file and, where there is one, the row and column."""


def read_header(path: Path) -> list[str]:
    """Return the column names, reading as little as possible.

    Raises:
        MarketDataError: the file is not there, not readable, or neither Parquet nor CSV.
    """
    return list(_open(path, header_only=True))


def header_problems(path: Path) -> list[str]:
    """Return what is wrong with the file as far as its header tells, one sentence each."""
    try:
        names = read_header(path)
    except MarketDataError as error:
        return [str(error)]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        return [f"{path}: it lacks {_listed(missing)}; it has {_listed(names)}"]
    problems = []
    if ("fx_bid" in names) != ("fx_ask" in names):
        problems.append(f"{path}: a two-sided rate needs both fx_bid and fx_ask")
    if "fx" in names and "fx_bid" in names:
        problems.append(f"{path}: it has fx and fx_bid; give one of them")
    partial = [name for name in SIZES if name in names]
    if partial and len(partial) < len(SIZES):
        problems.append(f"{path}: it has {_listed(partial)} but not all four sizes; give all of them or none")
    return problems


def read_table(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the known columns of a file, `ts` and `seg` as int64 and the others as float64 (null as NaN).

    `seg` is 0 throughout where the file has none; other columns that are optional are absent.

    Raises:
        MarketDataError: as `read_header`, or the header is wrong, or a column holds something else than numbers.
    """
    problems = header_problems(path)
    if problems:
        raise MarketDataError("\n".join(problems))
    import numpy as np  # noqa: PLC0415 - slow to import, and `check` needs only headers

    table = _open(path, header_only=False)
    columns = {name: _column(path, name, table[name]) for name in KNOWN if name in table}
    columns.setdefault("seg", np.zeros(len(columns["ts"]), dtype=np.int64))
    return columns


def _open(path: Path, *, header_only: bool) -> dict[str, Any]:
    """Return the columns by name: pyarrow arrays, or None for each if only the header is wanted."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    readers = {".parquet": _open_parquet, ".csv": _open_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise MarketDataError(f"{path}: market data must be a .parquet or .csv file")
    try:
        return reader(path, header_only)
    except FileNotFoundError:
        raise MarketDataError(f"{path}: there is no such file") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise MarketDataError(f"{path}: it cannot be read: {reason}") from error


def _open_parquet(path: Path, header_only: bool) -> dict[str, Any]:  # noqa: FBT001 - one signature for both readers
    from pyarrow import parquet  # noqa: PLC0415 - slow to import

    with path.open("rb") as file, parquet.ParquetFile(file) as opened:
        names = opened.schema_arrow.names
        if header_only:
            return dict.fromkeys(names)
        table = opened.read(columns=[name for name in names if name in KNOWN])
        return dict(zip(table.column_names, table.columns, strict=True))


def _open_csv(path: Path, header_only: bool) -> dict[str, Any]:  # noqa: FBT001 - one signature for both readers
    from pyarrow import csv  # noqa: PLC0415 - slow to import

    with path.open("rb") as file:
        if header_only:
            with csv.open_csv(file) as reader:
                return dict.fromkeys(reader.schema.names)
        table = csv.read_csv(file)
        return {name: table[name] for name in KNOWN if name in table.column_names}


def _column(path: Path, name: str, values: Any) -> npt.NDArray[Any]:
    """Return one column as a contiguous array of its type."""
    import numpy as np  # noqa: PLC0415 - slow to import
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    if name in WHOLE:
        if not pa.types.is_integer(values.type) or values.null_count:
            raise MarketDataError(f"{path}: column {name} must hold whole numbers only, it is {_type(values)}")
        target = pa.int64()
    else:
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise MarketDataError(f"{path}: column {name} must hold numbers, it is {_type(values)}")
        target = pa.float64()
    return np.ascontiguousarray(values.cast(target, safe=False).to_numpy())


def _type(values: Any) -> str:
    return f"{values.type}, with {values.null_count} empty" if values.null_count else str(values.type)


def _listed(names: list[str]) -> str:
    return ", ".join(names)
