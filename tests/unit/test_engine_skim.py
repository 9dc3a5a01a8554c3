"""Moments that the engine passes over in blocks: it says of them what it says if it looks at each, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from support.paper_markets import Case, case, seeds, thorough
from tuning_worker.market import engine
from tuning_worker.market.data import CELLS, RATE, Floats, Quotes, merge
from tuning_worker.market.kernel import layout

if TYPE_CHECKING:
    from tuning_worker.market.run import Run

EVENTS = 3000
"""Some times more than in the largest block."""


@given(seeds)
@thorough
def test_a_short_market_is_the_same_moment_by_moment(seed: int) -> None:
    run, _ = played(case(seed))
    assert run == moment_by_moment(case(seed))


@given(seeds)
@thorough
def test_a_long_one_is_too(seed: int) -> None:
    run, _ = played(calm(seed))
    assert run == moment_by_moment(calm(seed))


def test_the_long_ones_are_skimmed_and_something_happens_in_them() -> None:
    found = [played(calm(seed)) for seed in range(120)]
    assert sum(block > layout.SMALLEST_BLOCK for _, block in found) > 30
    assert sum(run.orders > 0 for run, _ in found) > 30
    assert sum(run.rejected["fx_jump"] > 0 for run, _ in found) > 5
    assert sum(run.rejected["loss_limit"] > 0 for run, _ in found) > 5


def played(given_all: Case) -> tuple[Run, int]:
    """A run, and how large a block it would have tried next."""
    accounts: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        made = engine._account
        patch.setattr(engine, "_account", lambda strategy: accounts.append(made(strategy)) or accounts[0])
        run = engine.simulate(*given_all, log=True)
    return run, int(accounts[0].block)


def moment_by_moment(given_all: Case) -> Run:
    """The run of an engine for which it is always too early to skim."""

    def account(strategy: Any) -> Any:
        account = made(strategy)
        account.skim_from = layout.NEVER
        return account

    made = engine._account
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_account", account)
        return engine.simulate(*given_all, log=True)


def calm(seed: int) -> Case:
    """A long market that moves little, some of it in moments of several feeds; terms and strategy as in any case."""
    _, venues, strategy, transfers = case(seed)
    rng = np.random.default_rng(seed)
    share = [0.45, 0.45, 0.1] if rng.random() < 0.5 else [0.6, 0.4, 0.0]
    which = rng.choice(3, EVENTS, p=share)
    local = np.cumsum(rng.choice([0, 1, 40], EVENTS, p=[0.3, 0.4, 0.3])) * 1_000_000
    price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-5, EVENTS)))
    premium = np.convolve(rng.normal(0, 5e-5, EVENTS), np.exp(-np.arange(EVENTS) / 300))[:EVENTS]
    rate = 1.3 * np.exp(np.cumsum(rng.normal(0, 1e-5, EVENTS))) if share[RATE] else np.ones(EVENTS)
    mids = (price * rate * (1 + premium), price, rate)
    feeds = [quotes(rng, local[which == feed], mids[feed][which == feed]) for feed in range(3)]
    market = merge(feeds[0], feeds[1], feeds[RATE] if share[RATE] else None)
    terms = random.Random(seed)  # noqa: S311 - a market, not a secret
    strategy = replace(
        strategy,
        min_edge=terms.choice([0.0, 0.0003, 0.0006]),
        exit_edge=terms.choice([np.inf, 0.0, -0.0005]),
        max_fx_jump=terms.choice([np.inf, 0.00003]),
        max_daily_loss=terms.choice([np.inf, 0.02, 0.2]),
    )
    cheap = [
        replace(venue, fee=venue.fee / 10, impact=venue.impact / 10, adverse=0.0, quote=1e6, base=1e4)
        for venue in venues
    ]
    return market, (cheap[0], cheap[1]), strategy, transfers


def quotes(rng: np.random.Generator, local: np.ndarray, mid: Floats) -> Quotes:
    half = mid * rng.uniform(0, 2e-5, len(mid))
    cells = np.zeros((CELLS, len(mid)))
    cells[:2] = mid - half, mid + half
    cells[2:] = rng.choice([0.0, 0.5, 3.0], (2, len(mid)))
    return Quotes(local, None, cells)
