"""The optimizers that come with the worker, by name, for help and documents: the table itself is the worker's."""

from __future__ import annotations

SHIPPED = ("bayesian", "cmaes", "gp", "grid", "nsga2", "qmc", "random")
"""A test holds it to `tuning_worker.optimizers`, which nothing here may import."""
