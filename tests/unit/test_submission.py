"""Which files a session may write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submission import outside_roots

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_below_one_of_the_roots_is_inside_wherever_links_lead(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
    (inside / "link").symlink_to(outside)
    (tmp_path / "root").symlink_to(inside)
    roots = (tmp_path / "other", tmp_path / "root")
    assert not outside_roots(inside / "deep" / "run", roots)
    assert not outside_roots(tmp_path / "root" / "run", roots)
    assert outside_roots(outside / "run", roots)
    assert outside_roots(inside / ".." / "out" / "run", roots)
    assert outside_roots(inside / "link" / "run", roots)
    assert outside_roots(tmp_path / "in-2" / "run", (inside,))


def test_without_roots_nothing_is_outside(tmp_path: Path) -> None:
    assert not outside_roots(tmp_path, ())
