"""The paper engine sees nothing that becomes known later: everything after a moment is made another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given

from support.paper_markets import case, fixed, moments, seeds, thorough, until
from tuning_worker.market import data as layout
from tuning_worker.market import engine
from tuning_worker.market.data import DAY_NS, EPOCH, MORE, Market

if TYPE_CHECKING:
    from support.paper_markets import Case
    from tuning_worker.market.run import Run

MS = 1_000_000


@given(seeds)
@thorough
def test_nothing_that_becomes_known_later_changes_anything(seed: int) -> None:
    (market, *terms), run = traded(seed)
    rng = np.random.default_rng(seed)
    for last in some_moments(market, run, rng):
        other = scrambled(market, last, rng)
        # All that is said of the time up to there: orders, fills, rejections by reason, money, drawdown, days …
        cut = engine.simulate(until(market, last), *terms, log=True)
        assert engine.simulate(until(other, last), *terms, log=True) == cut, last
        # … and what both do up to there when they go on.
        for whole in (run, engine.simulate(other, *terms, log=True)):
            assert tuple(order for order in whole.order_log if order.event <= last) == cut.order_log, last
            assert tuple(fill for fill in whole.fill_log if fill.event <= last) == cut.fill_log, last


def some_moments(market: Market, run: Run, rng: np.random.Generator) -> list[int]:
    """Moments that have an order before them or in them, and something after them."""
    orders = {order.event for order in run.order_log}
    within = [last for last in moments(market)[:-1] if last >= min(orders)]
    just_sent = [last for last in within if last in orders]
    return [int(last) for last in (*rng.choice(just_sent, 3), *rng.choice(within, 9))]


def traded(seed: int) -> tuple[Case, Run]:
    """The next random case in which an order is sent before the last moment, and its run."""
    while True:
        given_all = case(seed)
        run = engine.simulate(*given_all, log=True)
        if run.order_log and run.order_log[0].event < moments(given_all[0])[-1]:
            return given_all, run
        seed += 1


def scrambled(market: Market, last: int, rng: np.random.Generator) -> Market:
    """The same market up to an event; after it other times, another order of feeds, other prices, sizes and gaps."""
    local, exchange, cells = market.local.copy(), market.exchange.copy(), market.cells.copy()
    feed, later = market.feed & ~np.uint8(MORE), slice(last + 1, None)
    count = len(local) - last - 1
    local[later] = local[last] + np.cumsum(rng.choice([0, 1, 50, 1000, 10**7], count)) * MS
    feed[later] = rng.permutation(feed[later])
    for which in range(3):
        events = np.flatnonzero(feed == which)
        known, to_come = events[events <= last], events[events > last]
        since = exchange[known[-1]] if len(known) else local[last] - 1000 * MS
        exchange[to_come] = since + np.cumsum(rng.choice([0, 1, 50, 1000, 10**7], len(to_come))) * MS
    shape = cells[:, later].shape
    cells[:, later] = rng.permutation(cells[:, later], axis=1) * rng.uniform(0.5, 2, shape)
    cells[2:, later] *= rng.choice([0.25, 1, 1, 5], (shape[0] - 2, count))
    feed = np.append(market.feed[: last + 1], layout.moments(local[later], feed[later]))
    return in_stretches(
        replace(market, local=fixed(local), exchange=fixed(exchange), feed=fixed(feed), cells=fixed(cells)), last, rng
    )


def in_stretches(market: Market, last: int, rng: np.random.Generator) -> Market:
    """The market with the stretches that it has up to an event, and others from then on."""
    pieces = [piece for piece in market.stretches.tolist() if piece[0] <= last]
    starts = [event + 1 for event in range(last, len(market.local)) if not market.feed[event] & MORE]
    pieces[-1][1] = int(rng.choice(starts))
    if pieces[-1][1] < len(market.local):
        pieces.append([pieces[-1][1], len(market.local), int(rng.choice([0, 1]))])
    days = {int(day) for begin, end, _ in pieces for day in market.local[begin:end] // DAY_NS}
    return replace(
        market,
        stretches=np.array(pieces, dtype=np.int64),
        days=tuple(date.fromordinal(EPOCH + day) for day in sorted(days)),
    )
