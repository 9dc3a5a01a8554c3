"""The lesser and the greater of two prices, in a form that LLVM does for several at a time.

For `min` and `max` it does not, as they have rules for what is not a number and for the two zeros. Prices are neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numba
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    Choice = Callable[[float, float], float]

ANY_WILL_DO = ("nnan", "nsz")
"""LLVM's names for leave to assume that there is no such number, and no second zero."""


def _choice(comparison: str) -> Choice:
    def choose(_context: Any, one: Any, other: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, both: Any) -> Any:
            first = builder.fcmp_ordered(comparison, *both, flags=ANY_WILL_DO)
            return builder.select(first, *both, flags=ANY_WILL_DO)

        return types.float64(one, other), generate

    return cast("Choice", intrinsic(choose))


_config: Any = numba.config
lesser: Choice = min if _config.DISABLE_JIT else _choice("<")
greater: Choice = max if _config.DISABLE_JIT else _choice(">")
