"""The rules of the paper engine said once more, in plain Python, as slowly as they like: what the engine is held to."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuning_worker.market.run import REASONS, Run, Transfers, Venue

if TYPE_CHECKING:
    from tuning_worker.market.data import Market
    from tuning_worker.market.parameters import Strategy

MS = 1_000_000
DAY = 86_400_000 * MS
HOUR = 3_600_000 * MS
SAMPLES = 100


@dataclass
class Leg:
    venue: int
    buys: bool
    quantity: float
    seen: float
    limit: float
    due: int
    since: int  # the first event that can fill it
    done: bool = False
    fills: list[tuple[float, float]] = field(default_factory=list)  # quantity, what a coin is worth in A's currency

    @property
    def filled(self) -> float:
        return sum(quantity for quantity, _ in self.fills)

    @property
    def worth(self) -> float:
        return sum(quantity * worth for quantity, worth in self.fills) / self.filled


@dataclass
class Quote:
    """One venue's latest quote: levels of (price, size), best first."""

    event: int
    time: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]

    def side(self, *, buys: bool) -> list[tuple[float, float]]:
        return self.asks if buys else self.bids


class Reference:
    def __init__(self, market: Market, venues: tuple[Venue, Venue], strategy: Strategy, transfers: Transfers) -> None:
        self.market, self.venues, self.strategy, self.transfers = market, venues, strategy, transfers
        self.local, self.exchange = market.local.tolist(), market.exchange.tolist()
        self.feed, self.columns = market.feed.tolist(), market.cells.T.tolist()
        self.quotes: dict[int, Quote] = {}
        self.rate, self.rate_time = (1.0, 1.0), 0
        self.quoted: set[int] = set()
        self.cash, self.coins = [0.0, 0.0], [0.0, 0.0]
        self.coming: list[tuple[int, str, int, float]] = []  # when, what, where, how much
        self.used: dict[int, list[dict[int, float]]] = {0: [{}, {}], 1: [{}, {}]}  # venue: [of bids, of asks] by level
        self.legs: list[Leg] = []
        self.kind, self.buy, self.moment = "", 0, 0
        self.opened, self.sign, self.exposed = 0, 0, 0.0
        self.last_entry: float = -math.inf
        self.sent: list[int] = []
        self.losses, self.losses_until, self.jump_until = 0, 0, 0
        self.samples: list[float] = []
        self.next_sample: int | None = None
        self.fair, self.entry_from, self.exit_from = 1.0, strategy.min_edge, strategy.exit_edge
        self.look, self.left_out, self.before = False, False, 0
        self.unclaimed, self.pnls, self.turnovers = 0.0, [(-1, 0.0)], {-1: 0.0}
        self.halted_day: int | None = None
        self.capital: float | None = None
        self.dust = 0.0
        self.sums: defaultdict[str, Any] = defaultdict(int)
        self.rejected: Counter[str] = Counter()

    # --- prices --------------------------------------------------------------------------------------------------

    def mid(self, venue: int) -> float:
        return (self.quotes[venue].bids[0][0] + self.quotes[venue].asks[0][0]) / 2

    def to_a(self, venue: int, amount: float, *, pays: bool) -> float:
        """An amount of a venue's currency in A's, when it flows out (pays) or in."""
        return amount if venue == 0 else amount * self.rate[1 if pays else 0]

    def at_mid(self, venue: int, amount: float) -> float:
        return amount if venue == 0 else amount * (self.rate[0] + self.rate[1]) / 2

    def executed(self, venue: int, price: float, *, buys: bool) -> float:
        terms = self.venues[venue]
        return price * (1 + terms.impact) + terms.adverse if buys else price * (1 - terms.impact) - terms.adverse

    def net(self, venue: int, price: float, *, buys: bool) -> float:
        fee = self.venues[venue].fee
        return self.executed(venue, price, buys=buys) * (1 + fee if buys else 1 - fee)

    def gain(self, buy: int, ask: float, bid: float) -> float:
        """The edge of buying at a quoted ask and selling at a quoted bid."""
        cost = self.to_a(buy, self.net(buy, ask, buys=True), pays=True) * (self.fair if buy == 1 else 1)
        got = self.to_a(1 - buy, self.net(1 - buy, bid, buys=False), pays=False) * (self.fair if buy == 0 else 1)
        return got / cost - 1

    def best_gain(self, buy: int) -> float:
        return self.gain(buy, self.quotes[buy].asks[0][0], self.quotes[1 - buy].bids[0][0])

    def value(self) -> float:
        total = 0.0
        for venue in (0, 1):
            coin = self.net(venue, self.quotes[venue].bids[0][0], buys=False)
            total += self.to_a(venue, self.cash[venue] + self.coins[venue] * coin, pays=False)
        return total

    def available(self, venue: int, level: int, *, buys: bool) -> float:
        return self.quotes[venue].side(buys=buys)[level][1] - self.used[venue][buys].get(level, 0.0)

    def affordable(self, venue: int, price: float, *, buys: bool) -> float:
        terms = self.venues[venue]
        what = "cash" if buys else "coins"
        there = terms.quote + self.cash[venue] if buys else terms.base + self.coins[venue]
        there -= sum(amount for _, kind, where, amount in self.coming if (kind, where) == (what, venue))
        return there / price if buys else there

    @property
    def position(self) -> float:
        return (self.coins[0] - self.coins[1]) / 2

    # --- legs ----------------------------------------------------------------------------------------------------

    def leg(self, now: int, venue: int, quantity: float, tolerance: float, *, buys: bool) -> Leg:
        seen = self.quotes[venue].side(buys=buys)[0][0]
        limit = seen * (1 + tolerance) if buys else seen * (1 - tolerance)
        latency = round(self.venues[venue].latency_ms * MS)
        since = self.moment if latency == 0 else self.event + 1
        return Leg(venue, buys, quantity, seen, limit, now + latency, since)

    def arrive(self, now: int) -> None:
        for leg in self.legs:
            quote = self.quotes[leg.venue]
            if not leg.done and quote.event >= leg.since and quote.time >= leg.due:
                self.fill(leg)
        if self.legs and all(leg.done for leg in self.legs):
            self.close(now)

    def fill(self, leg: Leg) -> None:
        leg.done = True
        sign, wanted = 1 if leg.buys else -1, leg.quantity
        for level, (quoted, _) in enumerate(self.quotes[leg.venue].side(buys=leg.buys)):
            price = self.executed(leg.venue, quoted, buys=leg.buys)
            if (leg.buys and price > leg.limit) or (not leg.buys and price < leg.limit):
                self.sums["missed"] += level == 0
                return
            there = self.available(leg.venue, level, buys=leg.buys)
            if there <= 0:
                continue
            net = self.net(leg.venue, quoted, buys=leg.buys)
            quantity = min(wanted, there, self.affordable(leg.venue, net, buys=leg.buys))
            if quantity <= 0:
                return
            fair = self.fair if leg.venue == 1 else 1.0
            leg.fills.append((quantity, self.to_a(leg.venue, net, pays=leg.buys) * fair))
            self.cash[leg.venue] -= sign * quantity * net
            self.coins[leg.venue] += sign * quantity
            self.exposed += sign * quantity
            used = self.used[leg.venue][leg.buys]
            used[level] = used.get(level, 0.0) + quantity
            self.sums["fees"] += self.at_mid(leg.venue, quantity * price * self.venues[leg.venue].fee)
            self.sums["slippage"] += self.at_mid(leg.venue, sign * quantity * (price - leg.seen))
            self.sums["turnover"] += self.at_mid(leg.venue, quantity * price)
            wanted -= quantity
            if wanted <= 0:
                return

    def close(self, now: int) -> None:
        if self.kind != "hedge":
            buy, sell = sorted(self.legs, key=lambda leg: not leg.buys)
            self.sums["filled"] += buy.filled + sell.filled
            won = False
            if buy.filled > 0 and sell.filled > 0:
                won = sell.worth > buy.worth
                self.sums["entries" if self.kind == "entry" else "exits"] += 1
                self.sums["wins"] += won
            if self.kind == "entry" and buy.filled + sell.filled > 0:
                self.losses = 0 if won else self.losses + 1
                if self.losses >= self.strategy.max_losses:
                    self.losses, self.losses_until = 0, now + self.pause()
        self.legs, self.kind, self.look = [], "", True
        self.regard(now)

    def regard(self, now: int) -> None:
        sign = 0 if abs(self.position) <= self.dust else int(math.copysign(1, self.position))
        if sign != self.sign:
            self.sign, self.opened = sign, now

    # --- transfers -----------------------------------------------------------------------------------------------

    def transfer(self, now: int) -> None:
        if self.legs or abs(self.exposed) > self.dust:
            return
        self.look = False
        if self.coming or abs(self.position) * self.mid(0) < self.strategy.transfer_position:
            return
        terms = self.transfers
        here = 0 if self.position > 0 else 1
        there = 1 - here
        coins = min(abs(self.position) + terms.coin_fee / 2, self.affordable(here, 0.0, buys=False))
        if coins <= terms.coin_fee or coins <= self.dust:
            return
        money = min(coins * self.mid(there), self.affordable(there, 1.0, buys=True))
        changed = (money * self.rate[0] if here == 0 else money / self.rate[1]) * (1 - terms.money_fee)
        self.sums["transfer_costs"] += self.at_mid(there, money) - self.at_mid(here, changed)
        self.sums["transfer_costs"] += terms.coin_fee * self.mid(0)
        self.sums["transfers"] += 1
        arrives = now + round(terms.delay_ms * MS)
        self.coins[here] -= coins
        self.cash[there] -= money
        self.coins[there] += coins - terms.coin_fee
        self.cash[here] += changed
        self.coming = [(arrives, "coins", there, coins - terms.coin_fee), (arrives, "cash", here, changed)]
        self.regard(now)

    # --- decisions -----------------------------------------------------------------------------------------------

    def hedge(self, now: int) -> None:
        buys = self.exposed < 0
        prices = {}
        for venue in (0, 1):
            levels = self.quotes[venue].side(buys=buys)
            price = self.net(venue, levels[0][0], buys=buys)
            size = sum(self.available(venue, level, buys=buys) for level in range(len(levels)))
            if min(size, self.affordable(venue, price, buys=buys)) > self.dust:
                prices[venue] = self.to_a(venue, price, pays=buys)
        if not prices:
            self.rejected["no_size"] += 1
            return
        venue = (min if buys else max)(prices, key=lambda venue: prices[venue])
        self.kind, self.legs = "hedge", [self.leg(now, venue, abs(self.exposed), math.inf, buys=buys)]
        self.sums["hedges"] += 1

    def depth(self, buy: int, least: float) -> float:
        """Match the cheapest asks with the dearest bids for as long as that is worth it."""
        sides = []
        for venue, buys in ((buy, True), (1 - buy, False)):
            best, tolerance = self.quotes[venue].side(buys=buys)[0][0], self.strategy.tolerance
            sides.append([])
            for level, (price, _) in enumerate(self.quotes[venue].side(buys=buys)):
                executed = self.executed(venue, price, buys=buys)
                beyond = executed > best * (1 + tolerance) if buys else executed < best * (1 - tolerance)
                if level and (beyond or executed <= 0):
                    break
                sides[-1].append([price, self.available(venue, level, buys=buys)])
        (asks, bids), total, first = sides, 0.0, True
        while asks and bids:
            if not first and self.gain(buy, asks[0][0], bids[0][0]) < least:
                break
            step = min(asks[0][1], bids[0][1])
            total, first = total + step, False
            if math.isinf(step):
                break
            asks[0][1] -= step
            bids[0][1] -= step
            (asks if asks[0][1] <= 0 else bids).pop(0)
        return total

    def trade(self, now: int, kind: str, buy: int, room: float, least: float) -> None:
        sell, strategy, price = 1 - buy, self.strategy, self.mid(0)
        ask = self.quotes[buy].asks[0][0]
        dearest = max(ask * (1 + strategy.tolerance), self.executed(buy, ask, buys=True)) * (1 + self.venues[buy].fee)
        limits = [
            (strategy.order_size / price, "too_small"),
            (room, "position_limit" if kind == "entry" else "too_small"),
            (self.depth(buy, least), "no_size"),
            (self.affordable(buy, dearest, buys=True), "no_quote"),
            (self.affordable(sell, 0.0, buys=False), "no_base"),
        ]
        quantity, reason = min(limits, key=lambda limit: limit[0])
        if quantity <= self.dust or quantity * price < strategy.min_order:
            self.rejected[reason] += 1
            return
        self.kind = kind
        self.legs = [
            self.leg(now, buy, quantity, strategy.tolerance, buys=True),
            self.leg(now, sell, quantity, strategy.tolerance, buys=False),
        ]
        self.legs.sort(key=lambda leg: leg.venue)
        self.sums["orders"] += 1
        self.sums["ordered"] += 2 * quantity
        self.sent.append(now)
        if kind == "entry":
            self.last_entry = now

    def wish(self, now: int) -> tuple[str, int, float]:
        """What is wanted, where to buy, and the least edge of what is bought deeper in the books."""
        gains = [self.best_gain(0), self.best_gain(1)]
        back, best = 1 if self.sign > 0 else 0, 0 if gains[0] >= gains[1] else 1
        too_old = now - self.opened > self.strategy.max_holding_ms * MS
        least_back = -math.inf if too_old else min(self.entry_from, self.exit_from)
        leave = self.sign != 0 and gains[back] >= least_back
        can_leave = abs(self.position) * self.mid(0) >= self.strategy.min_order
        if leave and can_leave:
            return "exit", back, least_back
        if gains[best] >= self.entry_from:
            return "entry", best, self.entry_from
        return ("exit", back, least_back) if leave else ("", 0, 0.0)

    def forbidden(self, now: int) -> str:
        strategy, day = self.strategy, now // DAY
        oldest = min(quote.time for quote in self.quotes.values())
        before = max(number for number in self.turnovers if number < day)
        within = [time for time in self.sent if time > now - HOUR]
        rules = {
            "stale": now - oldest > strategy.max_quote_age_ms * MS
            or (self.market.has_rate and now - self.rate_time > strategy.max_fx_age_ms * MS),
            "fx_jump": now < self.jump_until,
            "losses": now < self.losses_until,
            "loss_limit": self.halted_day == day,
            "notional_limit": self.sums["turnover"] - self.turnovers[before] >= strategy.max_daily_notional,
            "trade_limit": len(within) >= int(min(strategy.max_trades_per_hour, 1e9)),
            "cooldown": now - self.last_entry < strategy.cooldown_ms * MS,
        }
        return next((reason for reason, holds in rules.items() if holds), "")

    def decide(self, now: int) -> None:
        wish, buy, least = self.wish(now)
        if self.legs:
            self.rejected["in_flight"] += bool(wish)
        elif abs(self.exposed) > self.dust:
            self.rejected["unhedged"] += bool(wish)
            self.hedge(now)
        elif wish == "exit":
            self.trade(now, "exit", buy, abs(self.position), least)
        elif wish == "entry":
            reason = self.forbidden(now)
            if reason:
                self.rejected[reason] += 1
                return
            same_way = self.position if buy == 0 else -self.position
            self.trade(now, "entry", buy, self.strategy.max_position / self.mid(0) - same_way, least)

    def pause(self) -> int:
        return round(min(self.strategy.pause_ms * MS, 2**62))

    # --- time ----------------------------------------------------------------------------------------------------

    def mark(self, now: int) -> None:
        day = now // DAY
        start = next(pnl for number, pnl in reversed(self.pnls) if number < day)
        pnl = self.value() - self.unclaimed
        self.pnls.append((day, pnl))
        self.turnovers[day] = self.sums["turnover"]
        if start - pnl >= self.strategy.max_daily_loss:
            self.halted_day = day

    def take_in(self, event: int) -> None:
        which, cells = self.feed[event] & 3, self.columns[event]
        if which == 2:
            before = sum(self.rate)
            self.rate, self.rate_time = (cells[0], cells[1]), self.exchange[event]
            if which in self.quoted and abs(sum(self.rate) / before - 1) > self.strategy.max_fx_jump:
                self.jump_until = self.local[event] + self.pause()
        else:
            levels = range(0, len(cells), 4)
            bids, asks = [[(cells[i + s], cells[i + 2 + s]) for i in levels] for s in (0, 1)]
            old = self.quotes.get(which)
            if old and (old.bids, old.asks) != (bids, asks):
                self.used[which] = [{}, {}]
            self.quotes[which] = Quote(event, self.exchange[event], bids, asks)
        self.quoted.add(which)

    def sample(self, now: int) -> None:
        every = max(1, round(self.strategy.mean_window_ms * MS) // SAMPLES)
        if not self.strategy.mean_window_ms or self.next_sample is None:
            return
        value = self.mid(0) / (self.mid(1) * (self.rate[0] + self.rate[1]) / 2) - 1
        due = len(range(self.next_sample, now, every))
        self.samples += [value] * min(due, SAMPLES)
        self.next_sample += due * every
        if len(self.samples) >= SAMPLES:
            window = self.samples[-SAMPLES:]
            deviation = statistics.stdev(window)
            self.fair = 1 + statistics.fmean(window)
            self.entry_from = self.strategy.min_edge + self.strategy.entry_deviations * deviation
            self.exit_from = self.strategy.exit_edge + self.strategy.exit_deviations * deviation

    def begin(self, event: int, *, skipped: bool) -> None:
        self.used = {0: [{}, {}], 1: [{}, {}]}
        for leg in self.legs:
            self.sums["expired"] += not leg.done
            leg.done = True
        if self.legs:
            self.close(self.local[event])
        self.quoted = set() if skipped else self.quoted & {2}
        self.next_sample = None
        if skipped:
            self.before, self.left_out = self.local[event], True

    def get_ready(self, now: int) -> None:
        if self.strategy.mean_window_ms:
            self.samples, self.next_sample = [], now
            self.entry_from = self.exit_from = math.inf
        if self.left_out:
            self.left_out, self.unclaimed = False, self.value() - self.pnls[-1][1]
        if self.capital is None:
            self.dust = 1e-9 * self.strategy.order_size / self.mid(0)
            self.capital = sum(
                self.to_a(v, terms.quote + terms.base * self.net(v, self.quotes[v].bids[0][0], buys=False), pays=False)
                for v, terms in enumerate(self.venues)
            )

    def live(self, now: int) -> None:
        if abs(self.exposed) > self.dust:
            self.sums["exposure"] += now - self.before
        self.before = now
        if self.coming and self.coming[0][0] <= now:
            self.coming, self.look = [], True
        self.arrive(now)
        self.mark(now)
        if self.look:
            self.transfer(now)
            self.mark(now)
        self.decide(now)
        if min(venue.latency_ms for venue in self.venues) == 0:
            self.arrive(now)
            self.mark(now)

    def run(self) -> Run:  # noqa: C901 - the loop, whole
        days, needed = {}, {0, 1, 2} if self.market.has_rate else {0, 1}
        now = 0
        for first, last, skipped in self.market.stretches.tolist():
            self.begin(first, skipped=bool(skipped))
            ready, self.event = False, first - 1
            while self.event + 1 < last:
                now, self.moment = self.local[self.event + 1], self.event + 1
                days[now // DAY] = None
                if ready:
                    self.sample(now)
                more = True
                while more:
                    self.event += 1
                    self.take_in(self.event)
                    more = bool(self.feed[self.event] & 4)
                if not ready and needed <= self.quoted:
                    ready = True
                    self.get_ready(now)
                if ready:
                    self.live(now)
        for leg in self.legs:
            self.sums["expired"] += not leg.done
            leg.done = True
        if self.legs:
            self.close(now)
        return self.result(list(days))

    def result(self, days: list[int]) -> Run:
        ends = dict(self.pnls)  # the last of each day
        pnls, daily, start = [pnl for _, pnl in self.pnls], [], 0.0
        for day in days:
            daily.append(ends.get(day, start) - start)
            start = ends.get(day, start)
        drawdown, peak = 0.0, 0.0
        for pnl in pnls:
            peak = max(peak, pnl)
            drawdown = max(drawdown, peak - pnl)
        sums = self.sums
        assert self.capital is not None
        return Run(
            capital=self.capital,
            net_pnl=pnls[-1],
            fees=sums["fees"],
            slippage=sums["slippage"],
            transfer_costs=sums["transfer_costs"],
            turnover=sums["turnover"],
            max_drawdown=drawdown,
            exposure_seconds=sums["exposure"] / 1e9,
            ordered=sums["ordered"],
            filled=sums["filled"],
            entries=sums["entries"],
            exits=sums["exits"],
            wins=sums["wins"],
            orders=sums["orders"],
            hedges=sums["hedges"],
            transfers=sums["transfers"],
            missed=sums["missed"],
            expired=sums["expired"],
            rejected={reason: self.rejected[reason] for reason in REASONS},
            daily=tuple(daily),
            cash=(self.cash[0], self.cash[1]),
            coins=(self.coins[0], self.coins[1]),
            unclaimed=self.unclaimed,
        )
