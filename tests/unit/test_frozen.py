"""Frozen classes: what `dataclasses` would have made, and what it takes for its own."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest

from orchestrator.frozen import fields_of, frozen


@frozen
class Point:
    """A point."""

    x: int
    y: int = 0

    def doubled(self) -> Point:
        return Point(2 * self.x, y=2 * self.y)


@frozen
class Named:
    name: str

    def __repr__(self) -> str:
        return "hidden"


def test_it_is_made_by_place_and_by_name():
    assert Point(1) == Point(x=1, y=0) != Point(1, 2)
    assert Point(1, 2).doubled() == Point(2, 4)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert Point(1) != (1, 0)
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert (Point.__doc__, Point.__module__, Point.__qualname__) == ("A point.", __name__, "Point")
    assert not hasattr(Point(1), "__dict__")
    assert repr(Named("secret")) == "hidden"


@pytest.mark.parametrize(("given", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 2})])
def test_it_takes_its_fields_and_no_others(given: tuple[int, ...], named: dict[str, int]):
    with pytest.raises(TypeError, match="Point takes x, y"):
        Point(*given, **named)


def test_it_does_not_change():
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 2  # type: ignore[misc]  # that is the point
    with pytest.raises(AttributeError, match="cannot be changed"):
        del point.x
    assert point == Point(1)


def test_dataclasses_takes_it_for_its_own():
    assert replace(Point(1), y=5) == Point(1, 5)
    assert asdict(Point(1)) == fields_of(Point(1)) == {"x": 1, "y": 0}  # type: ignore[call-overload]  # at run time
    assert [field.name for field in fields(Point)] == ["x", "y"]  # type: ignore[arg-type]  # the same
