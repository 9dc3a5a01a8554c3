"""The optimizers by name. A new one is a file with a class like `protocol.Optimizer`, and a line in this table."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from tuning_worker.optimizers.protocol import ASKS, Direction, Optimizer, Result, Search
from tuning_worker.optimizers.rounds import suggest_in_round
from tuning_worker.optimizers.unused import unused_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning_worker.space.search_space import SearchSpace

__all__ = [
    "ASKS",
    "OPTIMIZERS",
    "Direction",
    "Optimizer",
    "Result",
    "Search",
    "make_optimizer",
    "suggest_in_round",
    "unused_point",
]

OPTIMIZERS: Mapping[str, str] = MappingProxyType(
    {
        "bayesian": "tuning_worker.optimizers.bayesian:BayesianOptimizer",
        "cmaes": "tuning_worker.optimizers.cmaes:CmaesOptimizer",
        "gp": "tuning_worker.optimizers.gp:GpOptimizer",
        "grid": "tuning_worker.optimizers.grid:GridOptimizer",
        "nsga2": "tuning_worker.optimizers.nsga2:Nsga2Optimizer",
        "qmc": "tuning_worker.optimizers.qmc:QmcOptimizer",
        "random": "tuning_worker.optimizers.random:RandomOptimizer",
    }
)


def make_optimizer(
    name: str,
    space: SearchSpace,
    *,
    seed: int,
    direction: Direction | Sequence[Direction],
    grid_points: int,
    total: int,
) -> Optimizer:
    """The optimizer of this name for one session; the arguments are those of `Search`.

    Raises:
        UsageError: there is no such optimizer, or it cannot search this space for `total` iterations.
    """
    if name not in OPTIMIZERS:
        near = get_close_matches(name, OPTIMIZERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no optimizer {name!r}: choose one of {', '.join(OPTIMIZERS)}{hint}")
    module, _, attribute = OPTIMIZERS[name].partition(":")
    build: type[Optimizer] = getattr(import_module(module), attribute)
    directions = (direction,) if isinstance(direction, str) else tuple(direction)
    return build(Search(space, seed, directions, grid_points, total))
