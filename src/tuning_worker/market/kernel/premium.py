"""The rolling mean of the premium (A's mid price over B's at the mid rate, less 1), for pairs that have a standing one.

It is sampled on a grid of times that begins when a stretch is ready, SAMPLES to a window; a sample is the premium in
force at its time. Until a window is full, in each stretch anew, nothing is entered or left for its edge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning_worker.market.data import A, B
from tuning_worker.market.kernel.caching import compiled
from tuning_worker.market.kernel.layout import NEVER, SAMPLES
from tuning_worker.market.kernel.legs import seek
from tuning_worker.market.kernel.prices import mid, mid_rate

if TYPE_CHECKING:
    from tuning_worker.market.kernel.layout import Tape


@compiled
def begin_samples(rules: Any, account: Any, now: int) -> None:
    """Begin a stretch: with an empty window, or with none at all."""
    account.next_sample = NEVER
    account.sample_event = NEVER
    if rules.sample_every > 0:
        account.sampled = 0
        account.next_sample = now
        account.sample_event = 0  # already: the next moment takes the first sample
        account.enter_from = np.inf
        account.exit_from = np.inf


@compiled
def sample(tape: Tape, rules: Any, account: Any, i: int) -> None:
    """Take the samples that are due before event `i`, which has not been taken in yet."""
    now, every = tape.local[i], rules.sample_every
    value = mid(tape.cells, account, A) / (mid(tape.cells, account, B) * mid_rate(account)) - 1
    due = (now - account.next_sample - 1) // every + 1
    for _ in range(min(due, SAMPLES)):
        tape.samples[account.sampled % SAMPLES] = value
        account.sampled += 1
    account.next_sample += due * every
    account.sample_event = seek(tape.local, i, account.next_sample + 1)
    if account.sampled >= SAMPLES:
        judge_premium(tape, rules, account)


@compiled
def judge_premium(tape: Tape, rules: Any, account: Any) -> None:
    """Set the fair rate to the mean, and the thresholds by the standard deviation (ddof 1)."""
    mean, squares = 0.0, 0.0
    for value in tape.samples:
        mean += value
    mean /= SAMPLES
    for value in tape.samples:
        squares += (value - mean) ** 2
    deviation = math.sqrt(squares / (SAMPLES - 1))
    account.fair = 1 + mean
    account.enter_from = rules.min_edge + rules.entry_deviations * deviation
    account.exit_from = rules.exit_edge + rules.exit_deviations * deviation
