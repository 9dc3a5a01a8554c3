"""The synthetic market: the same from a seed everywhere, valid, and what the shipped file holds."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from orchestrator.errors import UsageError
from tuning_worker.market import synth
from tuning_worker.market.rows import load_market
from tuning_worker.market.source import header_problems

SHIPPED = Path(__file__).parents[2] / "configs" / "d23_tuning" / "synthetic_krw_usdt.parquet"


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    synth.add_arguments(parser)
    return synth.run(parser.parse_args(argv))


def test_the_shipped_file_is_what_its_readme_says_made_it() -> None:
    shipped = parquet.read_table(SHIPPED)
    assert shipped.to_pydict() == synth.synthesize(seed=7, rows=20_160)
    origin = "synthetic, made by tuning-worker synth --seed 7 --rows 20160"
    assert shipped.schema.metadata[b"origin"].decode() == origin
    assert "--seed 7 --rows 20160" in SHIPPED.with_suffix(".md").read_text()
    assert SHIPPED.stat().st_size < 400_000


def test_a_seed_makes_the_same_market_and_another_one_another() -> None:
    first = synth.synthesize(1, 50)
    assert synth.synthesize(1, 50) == first
    assert synth.synthesize(2, 50) != first
    longer = synth.synthesize(1, 60)
    assert {name: values[:50] for name, values in longer.items()} == first


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_is_written_is_a_valid_market(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    out = tmp_path / f"synthetic{suffix}"
    assert run(str(out), "--seed", "3", "--rows", "500") == 0
    assert capsys.readouterr().out == f"{out}: 500 rows of a synthetic market, seed 3\n"
    assert header_problems(out) == []
    market = load_market(out)
    assert market.events == 1500
    assert np.array_equal(market.cells[0, ::3], synth.synthesize(3, 500)["bid_a"])


def test_there_are_opportunities_but_not_always() -> None:
    market = load_market(SHIPPED)
    (bid_a, bid_b, fx_bid), (ask_a, ask_b, fx_ask) = (market.cells[cell].reshape(-1, 3).T for cell in (0, 1))
    best = np.maximum(bid_b * fx_bid / ask_a, bid_a / (ask_b * fx_ask)) - 1
    assert 0.01 < np.mean(best > 0.002) < 0.1


def test_a_file_that_is_there_is_kept_unless_told(tmp_path: Path) -> None:
    out = tmp_path / "synthetic.csv"
    out.write_text("mine")
    with pytest.raises(UsageError, match=r"is there already; --force replaces it"):
        run(str(out), "--rows", "5")
    assert out.read_text() == "mine"
    assert run(str(out), "--rows", "5", "--force") == 0
    assert len(out.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("synthetic.parquet", "0", "--rows must be at least 1, got 0"),
        ("synthetic.txt", "1", "the file must be a .parquet or .csv file"),
        ("no/such/folder/synthetic.csv", "1", "it cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str, rows: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        run(str(tmp_path / name), "--rows", rows)
