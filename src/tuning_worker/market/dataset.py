"""The files that a market is made from: one of rows, or a feed each; found, hashed, checked, and loaded once a host."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from orchestrator.looking import is_there
from tuning_worker.market import source
from tuning_worker.market.source import MarketDataError, read_origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuning_worker.market.data import Market

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FEEDS = ("venue_a", "venue_b", "fx")


class FeedsSpec(BaseModel):
    """`{venue_a: upbit.parquet, venue_b: binance.csv.gz, fx: krw.parquet}`: a file for each feed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue_a: str = Field(min_length=1)
    """Its quotes."""
    venue_b: str = Field(min_length=1)
    """Its quotes."""
    fx: str | None = Field(default=None, min_length=1)
    """What one unit of B's quote currency brings (bid) and costs (ask) in A's; none where both quote in the same."""
    venue_a_sha256: Sha256 | None = None
    venue_b_sha256: Sha256 | None = None
    fx_sha256: Sha256 | None = None


Data: TypeAlias = Annotated[
    Annotated[str, Field(min_length=1), Tag("file")] | Annotated[FeedsSpec, Tag("feeds")],
    Discriminator(lambda data: "file" if isinstance(data, str) else "feeds"),
]
"""A file of rows, or a file for each feed."""


class Dataset:
    """The files of one market.

    Attributes:
        paths: `data`, the file of rows; or `venue_a`, `venue_b` and perhaps `fx`.
    """

    def __init__(self, data: str | FeedsSpec, base: Path) -> None:
        names = {"data": data} if isinstance(data, str) else {name: getattr(data, name) for name in FEEDS}
        self.paths = {name: _found(text, base) for name, text in names.items() if text is not None}
        self._whole = isinstance(data, str)

    def header_problems(self) -> list[str]:
        """Return what is wrong with the files as far as their headers tell, one sentence each."""
        if self._whole:
            return source.header_problems(self.paths["data"])
        from tuning_worker.market.feeds import files  # noqa: PLC0415 - NumPy is slow to import

        return [problem for path in self.paths.values() for problem in files.header_problems(path)]

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by its name in `paths`.

        Raises:
            MarketDataError: one cannot be read.
        """
        return {name: _sha256(path) for name, path in self.paths.items()}

    def resolved(self) -> dict[str, Any]:
        """Return the fields `data`, `data_sha256` and `data_origin` of a spec that means these very contents.

        Raises:
            MarketDataError: a file cannot be read.
        """
        hashes = self.hashes()
        origins = {name: origin for name, path in self.paths.items() if (origin := read_origin(path))}
        if self._whole:
            return {"data": str(self.paths["data"]), "data_sha256": hashes["data"], "data_origin": origins.get("data")}
        feeds = dict.fromkeys(FeedsSpec.model_fields)
        feeds |= {name: str(path) for name, path in self.paths.items()}
        feeds |= {f"{name}_sha256": digest for name, digest in hashes.items()}
        origin = "; ".join(f"{name}: {origin}" for name, origin in origins.items()) or None
        return {"data": feeds, "data_sha256": together(hashes), "data_origin": origin}

    def load(self, expected: str | None, *, default_size: float) -> Market:
        """Return the market, mapped from the host's cache, where it is made if it is not there.

        Args:
            expected: `data_sha256`, if known.
            default_size: coins at the best price where a file has no sizes.

        Raises:
            MarketDataError: a file has another content, cannot be read, or a row of it makes no sense.
        """
        from tuning_worker.market.feeds.cache import shared  # noqa: PLC0415 - NumPy is slow to import
        from tuning_worker.market.feeds.validation import load_feeds  # noqa: PLC0415
        from tuning_worker.market.rows import load_market  # noqa: PLC0415

        hashes = self.hashes()
        named = ", ".join(map(str, self.paths.values()))
        if expected is not None and together(hashes) != expected:
            raise MarketDataError(f"{named}: it has changed since the session was submitted; submit a new session")

        def build() -> Market:
            if self._whole:
                market = load_market(self.paths["data"], default_size=default_size)
            else:
                market = load_feeds(self.paths, source=named, default_size=default_size)
            if self.hashes() != hashes:  # it is kept under them
                raise MarketDataError(f"{named}: it was changed while it was read; try again")
            return market

        return shared(named, (sorted(hashes.items()), default_size), build)


def together(hashes: Mapping[str, str]) -> str:
    """Return one hash for all files: that of the file of rows, or one of the hashes of the feeds."""
    if "data" in hashes:
        return hashes["data"]
    return hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode()).hexdigest()


def _found(text: str, base: Path) -> Path:
    """Return the file from the current directory, else beside the tuning config."""
    here, beside = Path(text).absolute(), base.absolute() / text
    return here if is_there(here) or not is_there(beside) else beside


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise MarketDataError(f"{path}: it cannot be read: {error.strerror}") from error
