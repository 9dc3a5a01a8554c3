"""Files of quotes as columns: Parquet and CSV, by suffix. What the columns must hold is `data`'s business.

pyarrow is imported where it is used, as `tuning-worker check` must be quick.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orchestrator.domain.shown import shown
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    import numpy.typing as npt

Columns: TypeAlias = dict[str, Any]
"""pyarrow arrays by name."""

PRICES = ("bid_a", "ask_a", "bid_b", "ask_b")
SIZES = ("bid_size_a", "ask_size_a", "bid_size_b", "ask_size_b")
RATES = ("fx", "fx_bid", "fx_ask")
WHOLE = ("ts", "seg")
REQUIRED = ("ts", *PRICES)
KNOWN = (*WHOLE, *PRICES, *SIZES, *RATES)
CSV = (".csv", ".csv.gz")
PORTION: Final = 32 * 1024 * 1024
"""Bytes of a CSV file that are parsed at a time, which takes some eight times as many."""


class MarketDataError(UsageError):
    """A file of quotes cannot be used; the message names the file and, where there is one, the row and column."""


def read_header(path: Path) -> list[str]:
    """Return the column names, reading as little as possible.

    Raises:
        MarketDataError: the file is not there, not readable, or neither Parquet nor CSV.
    """
    return list(_open(path, None))


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

    table = read_columns(path, KNOWN)
    columns = {name: numbers(path, name, table[name], whole=name in WHOLE) for name in KNOWN if name in table}
    columns.setdefault("seg", np.zeros(len(columns["ts"]), dtype=np.int64))
    return columns


def read_columns(path: Path, names: Collection[str]) -> Columns:
    """Return those of the named columns that the file has.

    Raises:
        MarketDataError: as `read_header`.
    """
    return _open(path, names)


def read_portions(path: Path, names: Collection[str], texts: Collection[str]) -> Iterator[tuple[int, Columns]]:
    """Yield the named columns of a CSV file portion by portion, each with the number of rows before it.

    So a file may be larger than memory. A portion's columns have the types that its own cells are of.

    Args:
        path: the file.
        names: of the columns.
        texts: those of them that are texts whatever they look like, of which there are few.

    Raises:
        MarketDataError: as `read_header`.
    """
    with _explained(path), _opened_csv(path) as raw, io.BufferedReader(raw) as file:  # pyarrow's has no `readline`
        header, rest, before = file.readline(), b"", 0
        while part := file.read(PORTION):
            whole, end, rest = (rest + part).rpartition(b"\n")
            columns = _parsed(header + whole + end, names, texts)
            rows = len(next(iter(columns.values())))
            yield before, columns
            before += rows
        if rest or not before:
            yield before, _parsed(header + rest, names, texts)


def _open(path: Path, names: Collection[str] | None) -> Columns:
    """Return columns by name; None for each column of the file if only the header is wanted."""
    lower = path.name.lower()
    reader = _open_parquet if lower.endswith(".parquet") else _open_csv if lower.endswith(CSV) else None
    if reader is None:
        raise MarketDataError(f"{path}: market data must be a .parquet or .csv file")
    with _explained(path):
        return reader(path, names)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    try:
        yield
    except FileNotFoundError:
        raise MarketDataError(f"{path}: there is no such file") from None
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise MarketDataError(f"{path}: it cannot be read: {reason}") from error


def _open_parquet(path: Path, names: Collection[str] | None) -> Columns:
    from pyarrow import parquet  # noqa: PLC0415 - slow to import

    with path.open("rb") as file, parquet.ParquetFile(file) as opened:
        there = opened.schema_arrow.names
        if names is None:
            return dict.fromkeys(there)
        table = opened.read(columns=[name for name in there if name in names])
        return dict(zip(table.column_names, table.columns, strict=True))


def _open_csv(path: Path, names: Collection[str] | None) -> Columns:
    from pyarrow import csv  # noqa: PLC0415 - slow to import

    with _opened_csv(path) as file:
        if names is not None:
            return _parsed(file, names)
        with csv.open_csv(file) as reader:
            return dict.fromkeys(reader.schema.names)


@contextmanager
def _opened_csv(path: Path) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    with path.open("rb") as raw, pa.input_stream(raw, compression="gzip" if path.suffix == ".gz" else None) as file:
        yield file


def _parsed(file: Any, names: Collection[str], texts: Collection[str] = ()) -> Columns:
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    from pyarrow import csv  # noqa: PLC0415

    types = dict.fromkeys(texts, pa.dictionary(pa.int32(), pa.string()))
    source = pa.BufferReader(file) if isinstance(file, bytes) else file
    table = csv.read_csv(source, convert_options=csv.ConvertOptions(column_types=types))
    return {name: table[name] for name in table.column_names if name in names}


def read_origin(path: Path) -> str | None:
    """Return what a Parquet file says of where it comes from (its metadata `origin`), None where it does not."""
    if path.suffix.lower() != ".parquet":
        return None
    from pyarrow import parquet  # noqa: PLC0415 - slow to import

    said = (parquet.read_schema(path).metadata or {}).get(b"origin")
    return said.decode(errors="replace")[:1000] if said else None


def numbers(path: Path, name: str, values: Any, *, whole: bool = False, before: int = 0) -> npt.NDArray[Any]:
    """Return one column as a contiguous array, of int64 where they must be whole, else of float64 (null as NaN).

    Args:
        path: whose column it is.
        name: of the column.
        values: the column.
        whole: whether they must be whole.
        before: how many rows of the file stand before these.

    Raises:
        MarketDataError: it holds something else.
    """
    import numpy as np  # noqa: PLC0415 - slow to import
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    if whole:
        if not pa.types.is_integer(values.type) or values.null_count:
            raise MarketDataError(f"{path}: {_odd(name, values, 'whole numbers only', int, before)}")
        target = pa.int64()
    else:
        if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
            raise MarketDataError(f"{path}: {_odd(name, values, 'numbers', float, before)}")
        target = pa.float64()
    return np.ascontiguousarray(values.cast(target, safe=False).to_numpy())


def _odd(name: str, values: Any, what: str, reader: Callable[[str], object], before: int) -> str:
    """Say what is wrong with a column: in which row first, where it is a text or a cell that is empty."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import

    if pa.types.is_string(values.type) or (reader is int and pa.types.is_integer(values.type)):
        for row, value in enumerate(values.to_pylist(), start=before + 1):
            if isinstance(value, str) and not _is_read(value, reader):
                return f"row {row}, column {name}: {shown(value)} is no number"
            if value is None and reader is int:
                return f"row {row}, column {name}: it is empty, and must hold a number"
    return f"column {name} must hold {what}, it is {values.type}"


def _is_read(value: str, reader: Callable[[str], object]) -> bool:
    try:
        reader(value)
    except ValueError:
        return False
    return True


def _listed(names: list[str]) -> str:
    return ", ".join(names)
