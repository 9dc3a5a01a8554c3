"""The report in a real browser: all is drawn, nothing is complained of, and nothing is fetched.

The page's policy forbids it to fetch anything: an attempt would be an error on the console, like any other.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.recorded import ARBITRAGE, ARBITRAGE_SPACE, EVIL, daily_iterations, iterations, lines, look, session
from tuning_worker.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_OPTIONS = (
    *("--headless=new", "--no-sandbox", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
    # Parallel coordinates are drawn by WebGL, here without a graphics card.
    *("--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-logging=stderr", "--virtual-time-budget=60000", "--window-size=1200,900"),
)
EARNED = daily_iterations(40)
PAGES = {
    "front": lines(
        session({"kind": "python", "function": "m:f", "metrics": {"net_pnl": "maximize", "max_drawdown": "minimize"}}),
        iterations(60),
    ),
    "days": lines(
        session(ARBITRAGE, ARBITRAGE_SPACE), EARNED, look(max(EARNED, key=lambda each: float(each["value"])))
    ),
}
NAMES = {
    "front": {"history", "front", "importances", "parallel", *(f"slice-{place}" for place in range(5))},
    "days": {"history", "importances", "parallel", "slice-0", "slice-1", "earnings", "logits"},
}


@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize("name", PAGES)
def test_a_browser_draws_it_without_complaint(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.html"
    monkeypatch.setattr("sys.stdin", io.StringIO(PAGES[name]))
    assert main(["report", "--output", str(page)]) == 0
    opened = subprocess.run(
        [str(BROWSER), *_OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    said = [line for line in opened.stderr.splitlines() if "CONSOLE" in line and "GL Driver Message" not in line]
    assert said == []
    shown = opened.stdout
    figures = json.loads(re.findall(r'<script type="application/json" id="figures">(.*?)</script>', shown)[0])
    assert set(figures) == NAMES[name]
    assert re.findall(r'<html[^>]* data-drawn="(\d+)"', shown) == [str(len(figures))]
    assert len(re.findall(r'class="main-svg"', shown)) >= len(figures)
    assert len(re.findall(r'<path class="point[ "]', shown)) > 40  # of the history and the slices
    assert re.search(r'<canvas[^>]*class="gl-canvas', shown)  # the parallel coordinates
    assert EVIL not in shown
