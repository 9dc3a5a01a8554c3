"""Inventory that goes back to where it came from: coins one way and money the other, at a cost, and not at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuning_worker.market.data import A, B
from tuning_worker.market.kernel.caching import compiled
from tuning_worker.market.kernel.layout import IDLE, NEVER, TRANSFER
from tuning_worker.market.kernel.legs import log_row, regard, seek
from tuning_worker.market.kernel.prices import balance, mid, mid_rate, position

if TYPE_CHECKING:
    from tuning_worker.market.kernel.layout import Tape


@compiled
def arrive(account: Any) -> None:
    """Let what was on its way be used."""
    account.coming_cash[:] = 0.0
    account.coming_coins[:] = 0.0
    account.arrives = NEVER
    account.arrival_event = NEVER
    account.look = 1


@compiled
def consider(tape: Tape, rules: Any, account: Any, now: int, event: int) -> None:
    """After an order or an arrival, send inventory back if enough is shifted and nothing is under way."""
    if account.kind != IDLE or abs(account.exposed) > rules.dust:
        return
    account.look = 0
    if account.arrives == NEVER and abs(position(account)) * mid(tape.cells, account, A) >= rules.transfer_at:
        transfer(tape, rules, account, now, event)


@compiled
def transfer(tape: Tape, rules: Any, account: Any, now: int, event: int) -> None:
    """Send the coins shifted to where they came from, and what they are worth there the other way."""
    shifted = position(account)
    here = A if shifted > 0 else B  # where the coins are too many, and the money too little
    there = 1 - here
    coins = min(abs(shifted) + rules.coin_fee / 2, balance(rules, account, here, -1, 0.0))
    money = min(coins * mid(tape.cells, account, there), balance(rules, account, there, 1, 1.0))
    if coins <= rules.coin_fee or coins <= rules.dust:
        return
    changed = money * account.rate[0] if here == A else money / account.rate[1]
    changed *= 1 - rules.money_fee
    lost = money * mid_rate(account) - changed if here == A else money - changed * mid_rate(account)
    account.coins[here] -= coins
    account.coins[there] += coins - rules.coin_fee
    account.coming_coins[there] = coins - rules.coin_fee
    account.cash[there] -= money
    account.cash[here] += changed
    account.coming_cash[here] = changed
    account.arrives = now + rules.transfer_delay
    account.arrival_event = seek(tape.local, event, account.arrives)
    account.transfers += 1
    account.transfer_costs += lost + rules.coin_fee * mid(tape.cells, account, A)
    log_row(tape, account, event, TRANSFER, here, coins, money, changed)
    regard(tape, rules, account, now)
