"""An unused point: the last resort when an optimizer proposes only points that are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuning_worker.space.draws import draw, permute, random_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning_worker.space.search_space import Point, SearchSpace

MAX_TRIES = 100_000
_CHANCES = 1000  # in a continuous space the first one is as good as certain
_BEYOND = 1000  # of the attempts that an optimizer may have made for the same g


def unused_point(
    space: SearchSpace, seed: int, g: int, is_used: Callable[[str], bool], max_tries: int = MAX_TRIES
) -> Point | None:
    """A point whose key is not used yet, chosen by (seed, g) among all such points.

    Args:
        space: where to look.
        seed: the session's.
        g: the iteration's global index; different g begin to look at different places.
        is_used: asked with `SearchSpace.point_key`; of countable points never twice for one.
        max_tries: the most points that are looked at.

    Returns:
        The point; None where all that were looked at are used: of a space of at most `max_tries` points all of them,
        of one whose points cannot be counted some random ones.
    """
    lattice = space.lattice()
    if lattice is None:
        chances = (random_point(space, seed, g, _BEYOND + turn) for turn in range(min(max_tries, _CHANCES)))
        return next((point for point in chances if not is_used(space.point_key(point))), None)
    size = lattice.size
    start = draw(size.bit_length() + 64, "unused", seed, g) % size
    for turn in range(min(size, max_tries)):
        point = lattice.point(permute((start + turn) % size, size, "unused", seed))
        if not is_used(space.point_key(point)):
            return point
    return None
