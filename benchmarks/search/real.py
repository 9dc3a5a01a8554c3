"""The same search by real processes: `orch run` with eight workers, appended to a file that `report.py` reads.

It shows that what `simulate.py` plays is what happens. An evaluation sleeps for an exponential time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from run import append, best_after

HERE = Path(__file__).resolve().parent
OBJECTIVE = """\
import random, time
from functions import problem

def evaluate(params):
    time.sleep(random.expovariate(1 / 0.2))
    return problem("branin").value(params)
"""
TUNING = """\
tuning:
  search_space: {x: {type: float, bounds: [-5, 10]}, y: {type: float, bounds: [0, 15]}}
  objective: {kind: python, function: "slow_branin:evaluate", metric: value, direction: minimize}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--total", type=int, default=100)
    parser.add_argument("--schedule", choices=("async", "batch"), default="async")
    options = parser.parse_args()
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        values = run(seed, options.total, options.schedule)
        entry = {
            "problem": "branin",
            "method": f"orch-run-{options.schedule}-8",
            "seed": seed,
            "total": options.total,
            "best": best_after(values),
            "load": round(os.getloadavg()[0], 1),
        }
        with options.out.open("a") as out:
            append(out, entry)


def run(seed: int, total: int, schedule: str) -> list[float]:
    """The values of a session, in the order in which they were recorded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "slow_branin.py").write_text(OBJECTIVE)
        (folder / "tuning.yaml").write_text(TUNING)
        session = {
            "session_id": f"search-{schedule}-{seed}",
            "total_iterations": total,
            "workers": 8,
            "mode": "paper",
            "optimizer": "bayesian",
            "seed": seed,
            "schedule": schedule,
            "config_path": "tuning.yaml",
            "base_output_csv": "out",
            "env_vars": {"PYTHONPATH": str(HERE)},
        }
        (folder / "session.yaml").write_text(json.dumps(session))
        env = {**os.environ, "ORCH_STATE_DIR": str(folder / "state"), "ORCH_MAX_JOBS": "8", "PYTHONPATH": str(HERE)}
        subprocess.run([sys.executable, "-m", "orchestrator", "run", "session.yaml"], cwd=folder, env=env, check=True)
        rows = [row for path in folder.glob("out_worker-*.csv") for row in csv.DictReader(path.open())]
    assert len(rows) == total
    return [float(row["value"]) for row in sorted(rows, key=lambda row: row["timestamp"])]


if __name__ == "__main__":
    main()
