"""Constraints between parameters, such as `fast < slow`: parsed into functions of a point, never executed as code.

Numbers are the decimals that were written and are reckoned with as fractions, so 0.1 + 0.2 <= 0.3 holds, and nothing
overflows or depends on a machine.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from orchestrator.domain.complaints import nearest
from orchestrator.domain.shown import shown
from tuning_worker.space.exact import exact

if TYPE_CHECKING:
    from fractions import Fraction

    from tuning_worker.space.spelling import Scalar

MAX_LENGTH = 500
MAX_CONSTRAINTS = 100
_MAX_DEPTH = 50

Kind: TypeAlias = Literal["number", "text", "truth", "mixed"]
"""What a name or a part of a constraint is; "mixed" are choices of several kinds, which only == and != compare."""
_Value: TypeAlias = Any  # a Fraction, a text or a bool
_Part: TypeAlias = tuple[Kind, Callable[[Mapping[str, _Value]], _Value]]

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_ORDERINGS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITIES: Mapping[type[ast.cmpop], bool] = {ast.Eq: True, ast.NotEq: False}
_CONSTANTS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must hold between the parameters of a point.

    Attributes:
        text: as the user wrote it.
        names: the parameters that it speaks of.
    """

    text: str
    names: frozenset[str]
    _test: Callable[[Mapping[str, _Value]], bool]

    def holds(self, point: Mapping[str, Scalar]) -> bool:
        """Whether it holds; so it does where one of its parameters is not there. A division by zero never holds."""
        if not self.names <= point.keys():
            return True
        try:
            return self._test({name: _exact(point[name]) for name in self.names})
        except ZeroDivisionError:
            return False


def parse_constraint(text: str, kinds: Mapping[str, Kind]) -> Constraint:
    """Read a constraint: names, numbers, strings, true, false, + - * / %, comparisons, and, or, not, parentheses.

    Args:
        text: as the user wrote it.
        kinds: of what kind each parameter is, by name.

    Raises:
        ValueError: it is none, with what is wrong and where in the text.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a constraint has at most {MAX_LENGTH} characters")
    parser = _Parser(text, kinds)
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # it is not Python that is meant
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"is no expression: {error.msg} (at character {error.offset or 1})") from None
    except (ValueError, RecursionError, MemoryError):
        raise ValueError("is no expression that can be read") from None
    kind, test = parser.part(tree.body, 0)
    if kind != "truth":
        raise ValueError("is no comparison: write what must hold, as in fast < slow")
    if not parser.names:
        raise ValueError("names no parameter, so it always holds or never")
    return Constraint(text, frozenset(parser.names), test)


def _exact(value: Scalar) -> _Value:
    return value if isinstance(value, bool | str) else exact(value)


class _Parser:
    """Turns the nodes of a syntax tree into functions, those of a short list and no others."""

    def __init__(self, text: str, kinds: Mapping[str, Kind]) -> None:
        self.names: set[str] = set()
        self._text = text.strip()
        self._kinds = kinds

    def part(self, node: ast.expr, depth: int) -> _Part:
        if depth > _MAX_DEPTH:
            raise ValueError("is nested too deep")
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return self._constant(value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
                return self._unary(node, depth + 1)
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Mod()):
                left, right = (self._typed(each, "number", depth + 1) for each in (node.left, node.right))
                combine = _ARITHMETIC[type(node.op)]
                return "number", lambda values: combine(left(values), right(values))
            case ast.BoolOp():
                parts = [self._typed(each, "truth", depth + 1) for each in node.values]
                every = all if isinstance(node.op, ast.And) else any
                return "truth", lambda values: every(part(values) for part in parts)
            case ast.Compare():
                return self._comparison(node, depth + 1)
            case _:
                raise ValueError(
                    f"cannot use {shown(self._source(node))}: a constraint is made of parameters, numbers, texts, "
                    "true, false, + - * / %, comparisons, and, or, not and parentheses"
                )

    def _name(self, name: str) -> _Part:
        if name in self._kinds:
            self.names.add(name)
            return self._kinds[name], lambda values: values[name]
        if name in _CONSTANTS:
            return "truth", lambda _: _CONSTANTS[name]
        meant = nearest(name, self._kinds)
        hint = f"did you mean {meant!r}?" if meant else f"put texts in quotes; there are: {', '.join(self._kinds)}"
        raise ValueError(f"{shown(name)} is no parameter of the search space; {hint}")

    def _constant(self, value: bool | float | str) -> _Part:  # noqa: FBT001 - any constant
        if isinstance(value, bool | str):
            return "text" if isinstance(value, str) else "truth", lambda _: value
        try:
            number = exact(value)
        except ValueError:
            raise ValueError("a number is too large for a float") from None
        return "number", lambda _: number

    def _unary(self, node: ast.UnaryOp, depth: int) -> _Part:
        if isinstance(node.op, ast.Not):
            truth = self._typed(node.operand, "truth", depth)
            return "truth", lambda values: not truth(values)
        number = self._typed(node.operand, "number", depth)
        return "number", number if isinstance(node.op, ast.UAdd) else lambda values: -number(values)

    def _comparison(self, node: ast.Compare, depth: int) -> _Part:
        """A chain such as a < b <= c is a < b and b <= c, as in Python."""
        sides = [node.left, *node.comparators]
        links = [self._link(*link, depth) for link in zip(node.ops, sides, sides[1:], strict=False)]
        return "truth", lambda values: all(link(values) for link in links)

    def _link(self, compare: ast.cmpop, one: ast.expr, other: ast.expr, depth: int) -> Callable[..., bool]:
        if ordering := _ORDERINGS.get(type(compare)):
            left, right = (self._typed(each, "number", depth) for each in (one, other))
            return lambda values: ordering(left(values), right(values))
        same = _EQUALITIES.get(type(compare))
        if same is None:
            raise ValueError("compares with < <= > >= == and != only")
        (kind, first), (against, second) = self.part(one, depth), self.part(other, depth)
        if kind != against and "mixed" not in (kind, against):
            raise ValueError(f"{shown(self._source(one))} is a {kind} and {shown(self._source(other))} a {against}")
        return lambda values: _are_equal(first(values), second(values)) is same

    def _typed(self, node: ast.expr, wanted: Kind, depth: int) -> Callable[[Mapping[str, _Value]], _Value]:
        kind, function = self.part(node, depth)
        if kind != wanted:
            raise ValueError(f"{shown(self._source(node))} is no {wanted}" + (" (see ==)" if kind == "mixed" else ""))
        return function

    def _source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self._text, node) or "that"


def _are_equal(one: _Value, other: _Value) -> bool:
    """True is not the number 1, as in choices."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
