"""hftbacktest on the same stream, in an environment of its own: started by `run.py`, one round for each line on stdin.

The strategy is the simplest that looks at every quote of both venues: where buying on one and selling on the other
earns enough after fees, and no order is out, it sends both. A round prints the CPU seconds and the orders sent.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from hftbacktest import (
    ALL_ASSETS,
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

FEE = 0.0002
TICK = 0.001
WAIT = False


@njit
def play(hbt: HashMapMarketDepthBacktest, least: float) -> tuple[int, int]:
    """Look at every quote; return how many there were, and the orders sent."""
    looks, orders = 0, 0
    while hbt.wait_next_feed(WAIT, 10**15) == 2:
        looks += 1
        a, b = hbt.depth(0), hbt.depth(1)
        gain_a = b.best_bid * (1 - FEE) / (a.best_ask * (1 + FEE)) - 1
        gain_b = a.best_bid * (1 - FEE) / (b.best_ask * (1 + FEE)) - 1
        if max(gain_a, gain_b) < least:
            continue
        if len(hbt.orders(0)) + len(hbt.orders(1)) == 0:
            orders += 1
            if gain_a >= gain_b:
                hbt.submit_buy_order(0, orders, a.best_ask, 1.0, GTC, LIMIT, WAIT)
                hbt.submit_sell_order(1, orders, b.best_bid, 1.0, GTC, LIMIT, WAIT)
            else:
                hbt.submit_buy_order(1, orders, b.best_ask, 1.0, GTC, LIMIT, WAIT)
                hbt.submit_sell_order(0, orders, a.best_bid, 1.0, GTC, LIMIT, WAIT)
        hbt.clear_inactive_orders(ALL_ASSETS)
    return looks, orders


def rows_of(folder: Path, feed: int) -> np.ndarray:
    """Two rows a quote, as hftbacktest's own converter from Tardis makes them."""
    feeds, cells = np.load(folder / "feed.npy") & 3, np.load(folder / "cells.npy")
    chosen = feeds == feed
    rows = np.zeros(2 * np.count_nonzero(chosen), dtype=event_dtype)
    for side, flag in ((0, BUY_EVENT), (1, SELL_EVENT)):
        part = rows[side::2]
        part["ev"] = DEPTH_BBO_EVENT | flag | EXCH_EVENT | LOCAL_EVENT
        part["exch_ts"] = np.load(folder / "exchange.npy")[chosen]
        part["local_ts"] = np.load(folder / "local.npy")[chosen]
        part["px"], part["qty"] = cells[side][chosen], cells[2 + side][chosen]
    return rows


def asset(rows: np.ndarray) -> BacktestAsset:
    return (
        BacktestAsset()
        .data([rows])
        .linear_asset(1.0)
        .constant_order_latency(5_000_000, 200_000)
        .risk_adverse_queue_model()
        .partial_fill_exchange()
        .trading_value_fee_model(FEE, FEE)
        .tick_size(TICK)
        .lot_size(0.001)
    )


def main() -> None:
    folder, least = Path(sys.argv[1]), float(sys.argv[2])
    tables = [rows_of(folder, feed) for feed in range(2)]
    for _ in sys.stdin:
        hbt = HashMapMarketDepthBacktest([asset(rows) for rows in tables])
        started = time.process_time()
        looks, orders = play(hbt, least)
        taken = time.process_time() - started
        hbt.close()
        print(json.dumps({"seconds": taken, "looks": looks, "orders": orders}), flush=True)


main()
