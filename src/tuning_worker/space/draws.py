"""Chance without state: numbers and permutations that are fixed by a key alone.

They are the same in every process, on every machine and Python, and one is computed without the ones before it.
"""

from __future__ import annotations

from hashlib import shake_256
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from tuning_worker.space.exact import UNIFORM_BITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.space.search_space import Point, SearchSpace

MAX_DRAWS = 100_000
"""Of one point until it meets the constraints: what meets one point in twenty thousand is found surely enough."""
_ROUNDS = 8  # four make a Feistel network indistinguishable from chance where halves are wide; ours may be 1 bit wide


def draw(bits: int, *key: str | int) -> int:
    """The uniform integer in [0, 2**bits) that belongs to this key.

    It is the first `bits` bits of SHAKE-256 (FIPS 202; chosen because it gives any number of bits) over the parts of
    the key, joined by colons in UTF-8. Parts hold no colon, so two keys never join to one text.
    """
    size = (bits + 7) // 8
    digest = shake_256(":".join(map(str, key)).encode()).digest(size)
    return int.from_bytes(digest, "big") >> (8 * size - bits)


def permute(index: int, size: int, *key: str | int) -> int:
    """Where the permutation of [0, size) that belongs to this key takes `index`, without the permutation in memory.

    A balanced Feistel network permutes the next power of four; a result at or beyond `size` is permuted again until
    it is inside ("cycle walking", Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002), on average fewer
    than four times.
    """
    half = ((size - 1).bit_length() + 1) // 2
    while True:
        left, right = divmod(index, 1 << half)
        for turn in range(_ROUNDS):
            left, right = right, left ^ draw(half, "permute", *key, turn, right)
        index = (left << half) | right
        if index < size:
            return index


def first_allowed(space: SearchSpace, make: Callable[[int], Point]) -> Point:
    """The first of `make(0)`, `make(1)`, … that meets the space's constraints.

    Raises:
        UsageError: none of `MAX_DRAWS` does.
    """
    for turn in range(MAX_DRAWS if space.constraints else 1):
        point = make(turn)
        if space.is_allowed(point):
            return point
    texts = "; ".join(constraint.text for constraint in space.constraints)
    raise UsageError(
        f"none of {MAX_DRAWS:,} random points meets the constraints ({texts}): "
        "make the bounds of their parameters fit them better"
    )


def random_point(space: SearchSpace, seed: int, g: int, attempt: int = 0) -> Point:
    """The uniform point that belongs to (seed, g, attempt).

    Each value depends on those and its own name alone. Where constraints are not met the whole point is drawn again,
    so every value depends also on how often that was.

    Raises:
        UsageError: as `first_allowed`.
    """

    def make(turn: int) -> Point:
        again = ("again", turn) if turn else ()
        return space.make_point(
            lambda name, dimension: dimension.at_uniform(draw(UNIFORM_BITS, "random", seed, g, attempt, *again, name))
        )

    return first_allowed(space, make)
