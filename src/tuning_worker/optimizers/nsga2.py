"""NSGA-II: children of the best points so far, where with several objectives the best are those that none beats.

Deb, Pratap, Agarwal & Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II". A new child
competes with all that is known at once, not once in a generation, so no worker waits for another; that converges at
least as well (Durillo, Nebro, Luna & Alba 2009, "On the effect of the steady-state selection scheme in
multi-objective genetic algorithms").
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from typing_extensions import override

from tuning_worker.optimizers.known import ranked, within
from tuning_worker.optimizers.results_only import Once, ResultsOnly
from tuning_worker.optimizers.unit import from_shares, to_shares
from tuning_worker.space.dimensions import CategoricalDimension, FixedDimension
from tuning_worker.space.draws import draw, first_allowed, random_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.optimizers.protocol import Result, Search
    from tuning_worker.space.dimensions import AnyDimension
    from tuning_worker.space.search_space import Point

POPULATION = 24
"""How many of the best points have children; until as many have a value, candidates are those of random search."""
_CROSSED = 0.9  # of the children have two parents; the paper's figures, as the two below
_SPREAD_OF_CROSSING = 20.0
_SPREAD_OF_MUTATION = 20.0
_BITS = 53


class Nsga2Optimizer(ResultsOnly):
    """A child of two of the best points, each the better of two drawn; a pure function of the results and of g.

    Numbers are crossed and mutated on their dimension's own scale (simulated binary crossover and polynomial mutation,
    Deb & Agrawal 1995); choices are taken from one parent or the other, and mutated to any. A parameter that only one
    parent has is that one's; one that neither has is drawn. FAILED iterations are no parents.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self._once = Once(search.losses)

    @override
    def _suggest(self, g: int, results: Sequence[Result], attempt: int) -> Point:
        space, seed = self._search.space, self._search.seed
        valued = [(losses, result) for result in results if (losses := self._once.of(result)) is not None]
        best = list(islice(within(space, ranked(valued)), POPULATION))
        if len(best) < POPULATION:
            return random_point(space, seed, g, attempt)
        parents = [to_shares(space, result.params) for result in best]
        return first_allowed(space, lambda turn: self._child(parents, _Chance("nsga2", seed, g, attempt, turn)))

    def _child(self, parents: Sequence[Mapping[str, float]], chance: _Chance) -> Point:
        # Parents are sorted, so the better of two has the lower number.
        one, other = (min(chance.below(len(parents), who, i) for i in range(2)) for who in ("one", "other"))
        crossed = chance.share("crossed") < _CROSSED
        dimensions = self._search.space.dimensions
        searched = sum(not isinstance(dimension, FixedDimension) for dimension in dimensions.values())
        genes = {}
        for name, dimension in dimensions.items():
            first, second = parents[one].get(name), parents[other].get(name)
            first = second if first is None else first
            if first is None:
                genes[name] = chance.share("new", name)
                continue
            gene = first if second is None or not crossed else _crossed(dimension, first, second, name, chance)
            mutates = chance.share("mutates", name) < 1 / searched
            genes[name] = _mutated(dimension, gene, chance.share("mutated", name)) if mutates else gene
        return from_shares(self._search.space, genes)


class _Chance:
    """Chance that belongs to a key."""

    def __init__(self, *key: str | int) -> None:
        self._key = key

    def share(self, *more: str | int) -> float:
        """A uniform number in [0, 1)."""
        return draw(_BITS, *self._key, *more) / (1 << _BITS)

    def below(self, count: int, *more: str | int) -> int:
        """A uniform number in 0 … count-1."""
        return draw(_BITS, *self._key, *more) * count >> _BITS


def _crossed(dimension: AnyDimension, one: float, other: float, name: str, chance: _Chance) -> float:
    """A gene between or just beyond the parents' (near one of them, mostly), or one of theirs."""
    if chance.share("whose", name) < 0.5:  # noqa: PLR2004 - either parent
        one, other = other, one
    if isinstance(dimension, CategoricalDimension):
        return one
    uniform = chance.share("crossed", name)
    spread = 2 * uniform if uniform < 0.5 else 1 / (2 * (1 - uniform))  # noqa: PLR2004 - inside and outside
    spread = math.pow(spread, 1 / (_SPREAD_OF_CROSSING + 1))
    return ((1 + spread) * one + (1 - spread) * other) / 2


def _mutated(dimension: AnyDimension, gene: float, uniform: float) -> float:
    """A gene near this one, or any choice."""
    if isinstance(dimension, CategoricalDimension):
        return uniform
    power = 1 / (_SPREAD_OF_MUTATION + 1)
    if uniform < 0.5:  # noqa: PLR2004 - down or up
        return gene + (math.pow(2 * uniform, power) - 1)
    return gene + (1 - math.pow(2 * (1 - uniform), power))
