"""A user with sixteen days of made-up quotes: what the tests of `evaluation` and of a pruner tune on."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from e2e.conftest import user_in
from orchestrator.settings import load_settings
from orchestrator.store.opening import open_store
from tuning_worker.market import synth
from tuning_worker.market.engine import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Cli

TUNING = """
tuning:
  method: random
  seed: 3
  search_space:
    min_spread_pct: {type: float, bounds: [0.0, 0.3]}
    exit_spread_pct: {type: float, bounds: [-0.2, 0.1]}
  objective:
    kind: arbitrage
    data: quotes.parquet
    capital: 10000000
    venue_a: {fee_bps: 2, latency_ms: 0}
    venue_b: {fee_bps: 2, latency_ms: 0}
"""
"""To be gone on with: by `evaluation`, and by what else is tested."""

_SESSION = """
session_id: NAME
total_iterations: 12
workers: 2
config_path: NAME.yaml
base_output_csv: out/NAME
"""
_TEN_MINUTES = 600_000
_FIRST = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)


def market(seed: int = 9) -> dict[str, list[Any]]:
    """Sixteen days of made-up quotes, one each ten minutes."""
    columns: dict[str, list[Any]] = dict(synth.synthesize(seed, 16 * 144))
    columns["ts"] = [_FIRST + row * _TEN_MINUTES for row in range(len(columns["ts"]))]
    return columns


def configure(cli: Cli, name: str, tuning: str) -> str:
    """Write a tuning config and a session of that name with it; return the session file."""
    cli.write(f"{name}.yaml", tuning)
    cli.write(f"{name}-session.yaml", _SESSION.replace("NAME", name))
    return f"{name}-session.yaml"


@contextmanager
def trader_in(folder: Path, quotes: dict[str, list[Any]]) -> Iterator[Cli]:
    """A user with these quotes in `quotes.parquet`, whose store runs all the time."""
    warm_up()  # to compile may take longer than a verb is waited for
    with user_in(folder) as cli:
        synth.write(cli.cwd / "quotes.parquet", quotes, seed=9)
        with open_store(load_settings(cli.environ, cli.cwd)):
            yield cli
