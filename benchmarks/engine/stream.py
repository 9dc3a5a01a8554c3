"""The stream that all of them play: quotes of two venues, and perhaps a rate, made up from a seed."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from tuning_worker.market.data import Market, Quotes, merge

TICK = 0.001
START = 1_600_000_000_000_000_000


def make_stream(events: int, *, rate: bool, seed: int = 1) -> Market:
    """A random walk, quoted on two venues in turns of chance, a millisecond apart on average.

    The premium of A returns to zero; where there is a rate, every tenth event is one. A quote is known 0.2 ms after
    its exchange time.
    """
    rng = np.random.default_rng(seed)
    exchange = START + np.cumsum(rng.integers(1, 2_000_000, events))
    which = rng.choice(3, events, p=[0.45, 0.45, 0.1]) if rate else rng.integers(0, 2, events)
    mid = 100 * np.exp(np.cumsum(rng.normal(0, 2e-6, events)))
    premium = np.array(list(accumulate(rng.normal(0, 3e-6, events), lambda last, step: 0.9999 * last + step)))
    worth = 1.3 if rate else 1.0
    prices = (mid * (1 + premium) * worth, mid, np.full(events, worth))
    return merge(*(_quotes(rng, exchange[which == feed], prices[feed][which == feed]) for feed in range(2 + rate)))


def _quotes(rng: np.random.Generator, exchange: np.ndarray, price: np.ndarray) -> Quotes:
    count = len(price)
    bid = np.floor(price / TICK).astype(np.int64)
    ask = bid + rng.integers(1, 4, count)
    sizes = rng.integers(1, 50, (2, count)) / 10
    return Quotes(exchange + 200_000, exchange, np.vstack([bid * TICK, ask * TICK, sizes]))
