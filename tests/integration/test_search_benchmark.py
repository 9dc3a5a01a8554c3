"""`benchmarks/search` runs, and goes on where it stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/search"


@pytest.mark.skipif(not BENCHMARK.is_dir(), reason="the benchmarks are not here")
def test_a_search_is_run_once_and_is_the_same_again(tmp_path: Path):
    def run(*methods: str) -> list[dict[str, object]]:
        argv = [sys.executable, str(BENCHMARK / "run.py"), "found.jsonl", "--problems", "branin", "--methods", *methods]
        subprocess.run([*argv, "--seeds", "1", "--total", "20"], cwd=tmp_path, check=True)
        return [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]

    first = run("random", "async-8")
    assert [entry["method"] for entry in first] == ["random", "async-8"]
    assert all(list(entry["best"]) == ["10", "20"] for entry in first)
    kept, again = first
    (tmp_path / "found.jsonl").write_text(json.dumps(kept) + "\n")
    more = run("random", "async-8", "batch-8")
    assert more[0] == kept
    assert [entry["method"] for entry in more] == ["random", "async-8", "batch-8"]
    assert more[1]["best"] == again["best"]
