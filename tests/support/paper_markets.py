"""Random small markets and strategies for the paper engine, each from a seed."""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from tuning_worker.market.data import DAY_NS, EPOCH, MORE, Market, Quotes, merge
from tuning_worker.market.parameters import Strategy
from tuning_worker.market.rows import make_market
from tuning_worker.market.run import Transfers, Venue
from tuning_worker.market.source import MarketDataError

DAY_MS = 86_400_000
seeds = st.integers(min_value=0, max_value=2**63)
thorough = settings(max_examples=int(os.environ.get("ORCH_ENGINE_EXAMPLES", "300")), deadline=None)
Case = tuple[Market, tuple[Venue, Venue], Strategy, Transfers]


def case(seed: int) -> Case:
    """A market as rows or as feeds, some of its days, and terms and a strategy that all rules have a say in."""
    rng = random.Random(seed)  # noqa: S311 - a market, not a secret
    market = (rows if rng.random() < 0.4 else feeds)(rng)
    if rng.random() < 0.3:
        kept = {day for day in market.days if rng.random() < 0.7} or set(market.days)
        chosen = market.select(kept.__contains__)
        market = chosen if opens(chosen) else market
    return market, (_venue(rng), _venue(rng)), _strategy(rng), _transfers(rng)


def rows(rng: random.Random) -> Market:
    """Prices that move by some basis points a row, venue by venue, some rows without a change, over some days."""
    sized, foreign = rng.random() < 0.5, rng.random() < 0.5
    price, premium, rate, now, seg = 100.0, 0.0, 1.3 if foreign else 1.0, 0, 0
    table: dict[str, list[float]] = {}
    row: dict[str, float] = {}
    for _ in range(rng.randrange(1, 80)):
        now += rng.choice([0, 1, 50, 400, 1000, 1000, 5000, rng.randrange(DAY_MS)])
        seg += rng.random() < 0.05
        price *= 1 + rng.gauss(0, 0.001)
        premium = 0.8 * premium + rng.gauss(0, 0.003)
        rate *= 1 + (rng.gauss(0, 0.0005) if foreign else 0)
        for venue, mid in (("a", price * rate * (1 + premium)), ("b", price)):
            if row.get(f"bid_{venue}") is None or rng.random() < 0.7:
                row[f"bid_{venue}"] = mid * (1 - rng.random() / 2000)
                row[f"ask_{venue}"] = mid * (1 + rng.random() / 2000)
                for side in ("bid", "ask"):
                    row[f"{side}_size_{venue}"] = rng.choice([0.0, 3 * rng.random()]) if sized else math.inf
        rates = {"fx_bid": rate, "fx_ask": rate * rng.choice([1, 1.0001, 1.002])} if foreign else {}
        for name, value in {"ts": now, "seg": seg, **row, **rates}.items():
            table.setdefault(name, []).append(value)
    return make_market(table)


def feeds(rng: random.Random) -> Market:
    """Each venue and the rate in its own time, quotes under way for a while, books of some levels, gaps."""
    levels, foreign = rng.choice([1, 1, 2, 3]), rng.random() < 0.5
    state = {"price": 100.0, "premium": 0.0, "rate": 1.3 if foreign else 1.0}
    table: list[tuple[list[int], list[int], list[list[float]]]] = [([], [], []) for _ in range(3)]
    delay, seen = [rng.choice([0, 0, 20, 700]) for _ in range(3)], [0, 0, 0]
    now = 0
    for _ in range(rng.randrange(1, 160)):
        now += rng.choice([0, 0, 1, 50, 400, 1000, 1000, 5000, rng.randrange(DAY_MS // 2)])
        state["price"] *= 1 + rng.gauss(0, 0.001)
        state["premium"] = 0.8 * state["premium"] + rng.gauss(0, 0.003)
        state["rate"] *= 1 + (rng.gauss(0, 0.0005) if foreign else 0)
        which = rng.choice([0, 0, 1, 1, 2] if foreign else [0, 1])
        seen[which] = max(seen[which], now + rng.randrange(delay[which] + 1) - (5 if delay[which] == 20 else 0))
        local, exchange, cells = table[which]
        local.append(seen[which])
        exchange.append(now)
        repeats = cells and rng.random() < 0.2
        cells.append(cells[-1] if repeats else _quote(rng, state, which, levels))
    first = [
        Quotes(
            np.array(local, dtype=np.int64) * 1_000_000,
            np.array(exchange, dtype=np.int64) * 1_000_000 if rng.random() < 0.8 else None,
            np.array(cells, dtype=np.float64).reshape(len(local), 4 * levels).T,
        )
        for local, exchange, cells in table
    ]
    breaks = [rng.randrange(now + 1) * 1_000_000 for _ in range(rng.choice([0, 0, 1, 3]))]
    if any(len(quotes.local) == 0 for quotes in first[:2]):
        return feeds(rng)
    market = merge(first[0], first[1], first[2] if len(first[2].local) else None, breaks=breaks)
    return market if opens(market) else feeds(rng)


def until(market: Market, last: int) -> Market:
    """The market played up to an event, the last of a moment; what comes later is in the arrays still."""
    pieces = [[begin, min(end, last + 1), skipped] for begin, end, skipped in market.stretches if begin <= last]
    days = tuple(day for day in market.days if day.toordinal() - EPOCH <= market.local[last] // DAY_NS)
    return replace(market, stretches=np.array(pieces, dtype=np.int64), days=days)


def moments(market: Market) -> list[int]:
    """The last event of each moment."""
    stretches = market.stretches.tolist()
    return [event for begin, end, _ in stretches for event in range(begin, end) if not market.feed[event] & MORE]


def fixed(array: np.ndarray) -> np.ndarray:
    """Arrays that can be written to would have the engine compiled a second time."""
    array.flags.writeable = False
    return array


def opens(market: Market) -> bool:
    """Whether there is a moment at which all is quoted."""
    try:
        market.opening()
    except MarketDataError:
        return False
    return True


def _quote(rng: random.Random, state: dict[str, float], which: int, levels: int) -> list[float]:
    if which == 2:
        return [state["rate"], state["rate"] * rng.choice([1, 1.0001, 1.002]), *[0.0] * (4 * levels - 2)]
    mid = state["price"] * (state["rate"] * (1 + state["premium"]) if which == 0 else 1)
    bid, ask = mid * (1 - rng.random() / 2000), mid * (1 + rng.random() / 2000)
    cells: list[float] = []
    sized = rng.random() < 0.9 or levels > 1
    for level in range(levels):
        there = level == 0 or rng.random() < 0.9
        sizes = [rng.choice([0.0, 3 * rng.random(), 0.5]) if sized else math.inf for _ in range(2)]
        cells += [bid, ask, *sizes] if there else [0.0, 0.0, 0.0, 0.0]
        bid, ask = bid * (1 - rng.random() / 1000), ask * (1 + rng.random() / 1000)
    return cells


def _venue(rng: random.Random) -> Venue:
    return Venue(
        fee=rng.choice([0.0, 0.0007 * rng.random()]),
        impact=rng.choice([0.0, 0.0005 * rng.random()]),
        latency_ms=rng.choice([0, 0, 1, 0.5, 300, 2000]),
        quote=rng.choice([1e6, 500 * rng.random(), 0.0]),
        base=rng.choice([1e4, 5 * rng.random(), 0.0]),
        adverse=rng.choice([0.0, 0.0, 0.02]),
    )


def _transfers(rng: random.Random) -> Transfers:
    return Transfers(
        delay_ms=rng.choice([0, 2000, 1e7]),
        coin_fee=rng.choice([0.0, 0.0, 0.01, 5.0]),
        money_fee=rng.choice([0.0, 0.001]),
    )


def _strategy(rng: random.Random) -> Strategy:
    def rarely(value: float, otherwise: float = math.inf, share: float = 0.2) -> float:
        return value if rng.random() < share else otherwise

    changes: dict[str, Any] = {}
    if rng.random() < 0.2:
        changes["mean_window_ms"] = rng.choice([2e5, 1e6, 2e7])
        changes["entry_deviations"], changes["exit_deviations"] = rng.choice([0.0, 0.5]), rng.choice([0.0, -0.5])
    return Strategy(
        min_edge=rng.choice([-0.001, 0.0, 0.001, 0.003]),
        exit_edge=rng.choice([math.inf, -0.002, 0.0]),
        tolerance=rng.choice([0.0, 0.0005, 0.002, 0.1]),
        order_size=rng.choice([0.0, 10.0, 100.0, 300.0, 300.0]),
        min_order=rng.choice([0.0, 50.0]),
        max_position=rng.choice([math.inf, 250.0]),
        max_daily_loss=rarely(0.3, share=0.4),
        cooldown_ms=rarely(2500.0, 0.0),
        max_holding_ms=rarely(4000.0, share=0.4),
        transfer_position=rarely(120.0, share=0.3),
        max_daily_notional=rarely(500.0),
        max_trades_per_hour=rarely(rng.choice([1.0, 3.0])),
        max_losses=rarely(rng.choice([1.0, 2.0])),
        max_fx_jump=rarely(0.0005),
        pause_ms=rng.choice([10_000.0, math.inf]),
        max_quote_age_ms=rarely(1500.0),
        max_fx_age_ms=rarely(5000.0),
        **changes,
    )
