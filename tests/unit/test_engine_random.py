"""The paper engine on thousands of random small markets: against a slow, obvious reference, and its invariants."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_worker.market import engine
from tuning_worker.market.data import ASK, BID, COLUMNS, FX_ASK, FX_BID, Market, make_market
from tuning_worker.market.parameters import Strategy
from tuning_worker.market.run import REASONS, Run, Venue

DAY = 86_400_000

# --- the reference ---------------------------------------------------------------------------------------------------


@dataclass
class Leg:
    venue: int
    buys: bool
    quantity: float
    seen: float
    limit: float
    due: int
    done: bool = False
    filled: float = 0.0
    worth: float = 0.0


@dataclass
class Quote:
    bid: float
    ask: float
    bid_size: float
    ask_size: float


class Reference:
    """Says the rules of the engine once more, in plain Python, as slowly as it likes."""

    def __init__(self, market: Market, venues: tuple[Venue, Venue], strategy: Strategy) -> None:
        self.market, self.venues, self.strategy = market, venues, strategy
        self.columns: list[list[float]] = market.cells.T.tolist()
        self.cash, self.coins = [0.0, 0.0], [0.0, 0.0]
        self.used = [[0.0, 0.0], [0.0, 0.0]]  # [venue][0: of the bid, 1: of the ask]
        self.legs: list[Leg] = []
        self.kind = ""
        self.opened, self.sign, self.last_entry = 0, 0, -math.inf
        self.unclaimed = 0.0
        self.pnls: list[tuple[int, float]] = []
        self.halted_day: int | None = None
        self.day_start = 0.0
        self.exposed = 0.0
        self.sums: defaultdict[str, Any] = defaultdict(int)
        self.rejected: Counter[str] = Counter()
        quote = self.quote(0, 0)
        self.dust = 1e-9 * strategy.order_size / ((quote.bid + quote.ask) / 2)

    def quote(self, row: int, venue: int) -> Quote:
        cells = self.columns[row]
        return Quote(cells[venue], cells[2 + venue], cells[4 + venue], cells[6 + venue])

    def to_a(self, row: int, venue: int, amount: float, *, pays: bool) -> float:
        """An amount of a venue's currency in A's, when it flows out (pays) or in."""
        return amount * (1.0 if venue == 0 else self.columns[row][FX_ASK if pays else FX_BID])

    def buying(self, venue: int, price: float) -> float:
        terms = self.venues[venue]
        return price * ((1 + terms.impact) * (1 + terms.fee))

    def selling(self, venue: int, price: float) -> float:
        terms = self.venues[venue]
        return price * ((1 - terms.impact) * (1 - terms.fee))

    def gain(self, row: int, buy: int) -> float:
        sell = 1 - buy
        cost = self.to_a(row, buy, self.buying(buy, self.quote(row, buy).ask), pays=True)
        return self.to_a(row, sell, self.selling(sell, self.quote(row, sell).bid), pays=False) / cost - 1

    def value(self, row: int) -> float:
        total = 0.0
        for venue in (0, 1):
            here = self.cash[venue] + self.coins[venue] * self.selling(venue, self.quote(row, venue).bid)
            total += self.to_a(row, venue, here, pays=False)
        return total

    def available(self, row: int, venue: int, *, buys: bool) -> float:
        quote = self.quote(row, venue)
        return (quote.ask_size if buys else quote.bid_size) - self.used[venue][buys]

    def affordable(self, venue: int, price: float, *, buys: bool) -> float:
        terms = self.venues[venue]
        return (terms.quote + self.cash[venue]) / price if buys else terms.base + self.coins[venue]

    def mark(self, row: int) -> None:
        day = int(self.market.ts[row]) // DAY
        pnl = self.value(row) - self.unclaimed
        self.pnls.append((day, pnl))
        if self.day_start - pnl >= self.strategy.max_daily_loss:
            self.halted_day = day

    def fill(self, row: int, leg: Leg) -> None:
        leg.done = True
        terms, quote, sign = self.venues[leg.venue], self.quote(row, leg.venue), 1 if leg.buys else -1
        price = quote.ask * (1 + terms.impact) if leg.buys else quote.bid * (1 - terms.impact)
        if (leg.buys and price > leg.limit) or (not leg.buys and price < leg.limit):
            self.sums["missed"] += 1
            return
        net = price * (1 + terms.fee) if leg.buys else price * (1 - terms.fee)
        quantity = min(
            leg.quantity,
            self.available(row, leg.venue, buys=leg.buys),
            self.affordable(leg.venue, net, buys=leg.buys),
        )
        if quantity <= 0:
            return
        leg.filled, leg.worth = quantity, self.to_a(row, leg.venue, net, pays=leg.buys)
        self.cash[leg.venue] -= sign * quantity * net
        self.coins[leg.venue] += sign * quantity
        self.exposed += sign * quantity
        self.used[leg.venue][leg.buys] += quantity
        rate = 1.0 if leg.venue == 0 else (self.columns[row][FX_BID] + self.columns[row][FX_ASK]) / 2
        self.sums["fees"] += quantity * price * terms.fee * rate
        self.sums["slippage"] += sign * quantity * (price - leg.seen) * rate
        self.sums["turnover"] += quantity * price * rate

    def arrive(self, row: int) -> None:
        for leg in self.legs:
            if not leg.done and leg.due <= self.market.ts[row]:
                self.fill(row, leg)
        if self.legs and all(leg.done for leg in self.legs):
            self.close(int(self.market.ts[row]))

    def close(self, now: int) -> None:
        if self.kind != "hedge":
            buy, sell = sorted(self.legs, key=lambda leg: not leg.buys)
            self.sums["filled"] += buy.filled + sell.filled
            if buy.filled > 0 and sell.filled > 0:
                self.sums["entries" if self.kind == "entry" else "exits"] += 1
                self.sums["wins"] += sell.worth > buy.worth
        self.legs, self.kind = [], ""
        position = (self.coins[0] - self.coins[1]) / 2
        sign = 0 if abs(position) <= self.dust else int(math.copysign(1, position))
        if sign != self.sign:
            self.sign, self.opened = sign, now

    def leg(self, row: int, venue: int, quantity: float, tolerance: float, *, buys: bool) -> Leg:
        quote = self.quote(row, venue)
        seen = quote.ask if buys else quote.bid
        limit = seen * (1 + tolerance) if buys else seen * (1 - tolerance)
        return Leg(venue, buys, quantity, seen, limit, int(self.market.ts[row]) + self.venues[venue].latency_ms)

    def hedge(self, row: int) -> None:
        buys = self.exposed < 0
        prices = {}
        for venue in (0, 1):
            quote = self.quote(row, venue)
            price = self.buying(venue, quote.ask) if buys else self.selling(venue, quote.bid)
            room = min(self.available(row, venue, buys=buys), self.affordable(venue, price, buys=buys))
            if room > self.dust:
                prices[venue] = self.to_a(row, venue, price, pays=buys)
        if not prices:
            self.rejected["no_size"] += 1
            return
        venue = (min if buys else max)(prices, key=lambda venue: prices[venue])
        self.kind, self.legs = "hedge", [self.leg(row, venue, abs(self.exposed), math.inf, buys=buys)]
        self.sums["hedges"] += 1

    def trade(self, row: int, kind: str, buy: int, room: float) -> None:
        sell, strategy = 1 - buy, self.strategy
        mid = (self.quote(row, 0).bid + self.quote(row, 0).ask) / 2
        worst = self.quote(row, buy).ask * (1 + max(strategy.tolerance, self.venues[buy].impact))
        limits = [
            (strategy.order_size / mid, "too_small"),
            (room, "position_limit" if kind == "entry" else "too_small"),
            (min(self.available(row, buy, buys=True), self.available(row, sell, buys=False)), "no_size"),
            (self.affordable(buy, worst * (1 + self.venues[buy].fee), buys=True), "no_quote"),
            (self.affordable(sell, 0, buys=False), "no_base"),
        ]
        quantity, reason = min(limits, key=lambda limit: limit[0])
        if quantity <= self.dust or quantity * mid < strategy.min_order:
            self.rejected[reason] += 1
            return
        self.kind = kind
        self.legs = [
            self.leg(row, buy, quantity, strategy.tolerance, buys=True),
            self.leg(row, sell, quantity, strategy.tolerance, buys=False),
        ]
        self.legs.sort(key=lambda leg: leg.venue)
        self.sums["orders"] += 1
        self.sums["ordered"] += 2 * quantity
        if kind == "entry":
            self.last_entry = int(self.market.ts[row])

    def wish(self, row: int) -> tuple[str, int]:
        gains = [self.gain(row, 0), self.gain(row, 1)]
        back = 1 if self.sign > 0 else 0
        best = 0 if gains[0] >= gains[1] else 1
        if self.sign and self.market.ts[row] - self.opened > self.strategy.max_holding_ms:
            return "exit", back
        if gains[best] >= self.strategy.min_edge:
            return "entry", best
        if self.sign and gains[back] >= self.strategy.exit_edge:
            return "exit", back
        return "", 0

    def decide(self, row: int) -> None:
        now = int(self.market.ts[row])
        wish, buy = self.wish(row)
        position = (self.coins[0] - self.coins[1]) / 2
        if self.legs:
            self.rejected["in_flight"] += bool(wish)
        elif abs(self.exposed) > self.dust:
            self.rejected["unhedged"] += bool(wish)
            self.hedge(row)
        elif wish == "exit":
            self.trade(row, "exit", buy, abs(position))
        elif wish == "entry" and self.halted_day == now // DAY:
            self.rejected["loss_limit"] += 1
        elif wish == "entry" and now - self.last_entry < self.strategy.cooldown_ms:
            self.rejected["cooldown"] += 1
        elif wish == "entry":
            mid = (self.quote(row, 0).bid + self.quote(row, 0).ask) / 2
            self.trade(row, "entry", buy, self.strategy.max_position / mid - (position if buy == 0 else -position))

    def cut(self, now: int) -> None:
        for leg in self.legs:
            self.sums["expired"] += not leg.done
            leg.done = True
        if self.legs:
            self.close(now)

    def run(self) -> Run:
        ts, starts = self.market.ts.tolist(), self.market.starts.tolist()
        skipped = dict(zip(starts, self.market.skipped.tolist(), strict=True))
        for row, now in enumerate(ts):
            if row in skipped:
                self.used = [[0.0, 0.0], [0.0, 0.0]]
                self.cut(now)
            for venue in (0, 1):
                if row and self.quote(row, venue) != self.quote(row - 1, venue):
                    self.used[venue] = [0.0, 0.0]
            if skipped.get(row):
                self.unclaimed = self.value(row) - self.pnls[-1][1]
            elif row and abs(self.exposed) > self.dust:
                self.sums["exposure"] += now - ts[row - 1]
            if self.pnls and self.pnls[-1][0] != now // DAY:
                self.day_start = self.pnls[-1][1]
            self.arrive(row)
            self.mark(row)
            self.decide(row)
            self.arrive(row)
            self.mark(row)
        self.cut(ts[-1])
        return self.result()

    def result(self) -> Run:
        ends = dict(self.pnls)  # the last of each day
        before = [0.0, *list(ends.values())[:-1]]
        pnls = [0.0, *(pnl for _, pnl in self.pnls)]
        capital = sum(
            self.to_a(0, venue, terms.quote + self.selling(venue, terms.base * self.quote(0, venue).bid), pays=False)
            for venue, terms in enumerate(self.venues)
        )
        sums = self.sums
        return Run(
            capital=capital,
            net_pnl=pnls[-1],
            fees=sums["fees"],
            slippage=sums["slippage"],
            turnover=sums["turnover"],
            max_drawdown=max(max(pnls[: index + 1]) - pnl for index, pnl in enumerate(pnls)),
            exposure_seconds=sums["exposure"] / 1000,
            ordered=sums["ordered"],
            filled=sums["filled"],
            entries=sums["entries"],
            exits=sums["exits"],
            wins=sums["wins"],
            orders=sums["orders"],
            hedges=sums["hedges"],
            missed=sums["missed"],
            expired=sums["expired"],
            rejected={reason: self.rejected[reason] for reason in REASONS},
            daily=tuple(end - start for start, end in zip(before, ends.values(), strict=True)),
            cash=(self.cash[0], self.cash[1]),
            coins=(self.coins[0], self.coins[1]),
            unclaimed=self.unclaimed,
        )


# --- random markets --------------------------------------------------------------------------------------------------

Case = tuple[Market, tuple[Venue, Venue], Strategy]


def quotes(rng: random.Random, rows: int, *, sized: bool, foreign: bool) -> Market:
    """Prices that move by some basis points a row, venue by venue, some rows without a change, over some days."""
    price, premium, rate = 100.0, 0.0, 1.3 if foreign else 1.0
    now, seg = 0, 0
    table: dict[str, list[float]] = {name: [] for name in ("ts", "seg", *COLUMNS)}
    row: dict[str, float] = {}
    for _ in range(rows):
        now += rng.choice([0, 1, 50, 400, 1000, 1000, 5000, rng.randrange(DAY)])
        seg += rng.random() < 0.05
        price *= 1 + rng.gauss(0, 0.001)
        premium = 0.8 * premium + rng.gauss(0, 0.003)
        rate *= 1 + (rng.gauss(0, 0.0005) if foreign else 0)
        for venue, mid in (("a", price * rate * (1 + premium)), ("b", price)):
            if row.get(f"bid_{venue}") is None or rng.random() < 0.7:
                row[f"bid_{venue}"], row[f"ask_{venue}"] = (
                    mid * (1 - rng.random() / 2000),
                    mid * (1 + rng.random() / 2000),
                )
                for side in ("bid", "ask"):
                    row[f"{side}_size_{venue}"] = rng.choice([0.0, 3 * rng.random()]) if sized else math.inf
        row |= {"fx_bid": rate, "fx_ask": rate * (rng.choice([1, 1.0001, 1.002]) if foreign else 1)}
        for name, values in table.items():
            values.append({"ts": now, "seg": seg}.get(name, row.get(name, 0.0)))
    return make_market(table)


def case(seed: int) -> Case:
    rng = random.Random(seed)  # noqa: S311 - a market, not a secret
    market = quotes(rng, rng.randrange(1, 80), sized=rng.random() < 0.5, foreign=rng.random() < 0.5)
    if rng.random() < 0.3:
        kept = {day for day in market.days if rng.random() < 0.7} or set(market.days)
        market = market.select(kept.__contains__)

    def venue() -> Venue:
        return Venue(
            fee=rng.choice([0.0, 0.0007 * rng.random()]),
            impact=rng.choice([0.0, 0.0005 * rng.random()]),
            latency_ms=rng.choice([0, 0, 1, 300, 2000]),
            quote=rng.choice([1e6, 500 * rng.random(), 0.0]),
            base=rng.choice([1e4, 5 * rng.random(), 0.0]),
        )

    strategy = Strategy(
        min_edge=rng.choice([-0.001, 0.0, 0.001, 0.003]),
        exit_edge=rng.choice([math.inf, -0.002, 0.0]),
        tolerance=rng.choice([0.0, 0.0005, 0.002, 0.1]),
        order_size=rng.choice([0.0, 10.0, 100.0, 300.0]),
        min_order=rng.choice([0.0, 50.0]),
        max_position=rng.choice([math.inf, 250.0]),
        max_daily_loss=rng.choice([math.inf, 0.3]),
        cooldown_ms=rng.choice([0.0, 2500.0]),
        max_holding_ms=rng.choice([math.inf, 4000.0]),
    )
    return market, (venue(), venue()), strategy


seeds = st.integers(min_value=0, max_value=2**63)
thorough = settings(max_examples=400, deadline=None)


@given(seeds)
@thorough
def test_it_agrees_with_the_reference(seed: int) -> None:
    market, venues, strategy = case(seed)
    ours, reference = engine.simulate(market, venues, strategy), Reference(market, venues, strategy).run()
    scale = 1e-9 + 1e-12 * (ours.turnover + ours.capital)  # what rounding may do to a difference of large amounts
    for field in fields(Run):
        if field.name not in {"order_log", "fill_log"}:
            expected = getattr(reference, field.name)
            assert getattr(ours, field.name) == pytest.approx(expected, rel=1e-9, abs=scale), field.name


def test_the_random_cases_reach_everything() -> None:
    runs = [engine.simulate(*case(seed)) for seed in range(600)]
    for field in ("entries", "exits", "wins", "hedges", "missed", "expired", "exposure_seconds", "unclaimed", "fees"):
        assert any(getattr(run, field) for run in runs), field
    for reason in REASONS:
        assert any(run.rejected[reason] for run in runs), reason


@given(seeds)
@thorough
def test_money_and_coins_are_conserved(seed: int) -> None:
    market, venues, strategy = case(seed)
    run = engine.simulate(market, venues, strategy, log=True)
    for venue, terms in enumerate(venues):
        cash, coins = 0.0, 0.0
        for fill in run.fill_log:
            if fill.venue == venue:
                fee = abs(fill.quantity) * fill.price * terms.fee
                cash, coins = cash - fill.quantity * fill.price - fee, coins + fill.quantity
                assert terms.quote + cash >= -1e-9 * (terms.quote + 1)
                assert terms.base + coins >= -1e-9 * (terms.base + 1)
        assert run.cash[venue] == pytest.approx(cash, rel=1e-9, abs=1e-9)
        assert run.coins[venue] == pytest.approx(coins, rel=1e-9, abs=1e-9)
    held = [
        run.cash[v] + run.coins[v] * market.cells[BID + v, -1] * (1 - venues[v].impact) * (1 - venues[v].fee)
        for v in (0, 1)
    ]
    final = held[0] + held[1] * market.cells[FX_BID, -1]
    assert run.net_pnl == pytest.approx(final - run.unclaimed, rel=1e-9, abs=1e-7)
    assert sum(run.daily) == pytest.approx(run.net_pnl, rel=1e-9, abs=1e-9)
    assert run.max_drawdown >= max(0.0, -run.net_pnl)


@given(seeds)
@thorough
def test_no_fill_takes_more_than_was_quoted_nor_a_better_price(seed: int) -> None:
    market, venues, strategy = case(seed)
    taken: defaultdict[tuple[int, bool, int], float] = defaultdict(float)
    for fill in engine.simulate(market, venues, strategy, log=True).fill_log:
        buys = fill.quantity > 0
        quoted = market.cells[(ASK if buys else BID) + fill.venue, fill.row]
        assert fill.price == quoted * (1 + (1 if buys else -1) * venues[fill.venue].impact)
        first = fill.row  # the row where this quote came up
        same = [*range(0, 8, 2)]
        while first not in market.starts and all(
            market.cells[column + fill.venue, first] == market.cells[column + fill.venue, first - 1] for column in same
        ):
            first -= 1
        taken[fill.venue, buys, first] += abs(fill.quantity)
        size = market.cells[(6 if buys else 4) + fill.venue, fill.row]
        assert taken[fill.venue, buys, first] <= size * (1 + 1e-12)


@given(seeds, st.data())
@thorough
def test_nothing_that_comes_later_changes_a_decision(seed: int, data: st.DataObject) -> None:
    market, venues, strategy = case(seed)
    last = data.draw(st.integers(min_value=0, max_value=market.rows - 1))
    rng = np.random.default_rng(seed)
    cells = market.cells.copy()
    cells[:, last + 1 :] *= rng.uniform(0.5, 2, size=cells[:, last + 1 :].shape)
    scrambled = replace(market, cells=cells)
    before, after = (engine.simulate(one, venues, strategy, log=True) for one in (market, scrambled))
    assert [order for order in before.order_log if order.row <= last] == [
        order for order in after.order_log if order.row <= last
    ]
    assert [fill for fill in before.fill_log if fill.row <= last] == [
        fill for fill in after.fill_log if fill.row <= last
    ]


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_where_no_trade_can_pay_none_is_made(seed: int) -> None:
    market, venues, strategy = case(seed)
    cells = market.cells.copy()
    cells[1], cells[3] = cells[0] / cells[FX_ASK], cells[2] / cells[FX_BID]  # the same quote on both venues
    run = engine.simulate(replace(market, cells=cells), venues, replace(strategy, min_edge=1e-9))
    assert run.orders == 0
    assert run.net_pnl == 0
    assert run.max_drawdown == 0
