"""What one `orch status SESSION` costs: CPU time (user and system) as a ratio to `python -c pass`, in paired runs.

A daemon serves a finished session in a directory of its own meanwhile, as it does where `status` is polled.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

OBJECTIVE = "def score(params):\n    return params['x']\n"
TUNING = """
tuning:
  search_space: {x: {type: float, bounds: [0, 1]}, y: {type: int, bounds: [1, 9]}}
  objective: {kind: python, function: "objective:score", metric: value, direction: maximize}
"""
SESSION = """
session_id: measured
total_iterations: 20
workers: 2
optimizer: random
config_path: tuning.yaml
base_output_csv: out/measured
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pairs", type=int, default=100, help="how many pairs of runs (default 100)")
    asked.add_argument("--json", action="store_true", help="measure `status -o json`")
    given = asked.parse_args()
    orch = str(Path(sys.executable).with_name("orch"))
    with TemporaryDirectory(prefix="orch-bench-") as folder:
        for name, text in (("objective.py", OBJECTIVE), ("tuning.yaml", TUNING), ("session.yaml", SESSION)):
            Path(folder, name).write_text(text, encoding="utf-8")
        os.chdir(folder)
        os.environ.update(ORCH_STATE_DIR=str(Path(folder, "state")), ORCH_REDIS_URL="embedded")
        # Installed programs have their bytecode; one that writes none would be compiled each time.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with Path("daemon.log").open("wb") as log:
            daemon = subprocess.Popen([sys.executable, orch, "daemon"], stdout=log, stderr=log)
        try:
            while b"daemon.ready" not in Path("daemon.log").read_bytes():
                time.sleep(0.05)
            subprocess.run([sys.executable, orch, "submit", "session.yaml", "--wait"], check=True, capture_output=True)
            compare([sys.executable, orch, "status", "measured", *(["-o", "json"] if given.json else [])], given.pairs)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


def compare(command: list[str], pairs: int) -> None:
    nothing = [sys.executable, "-c", "pass"]
    cpu(command)  # writes the bytecode
    measured = [(cpu(nothing), cpu(command)) for _ in range(pairs)]
    ratios = sorted(mine / base for base, mine in measured)
    base, mine = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"python {sys.version.split()[0]}, {pairs} pairs, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"python -c pass  {base * 1000:6.1f} ms of CPU (median)")
    print(f"orch status     {mine * 1000:6.1f} ms of CPU (median)")
    low, high = ratios[pairs // 10], ratios[-1 - pairs // 10]
    print(
        f"ratio           {statistics.median(ratios):6.2f}    (median of the pairs; 80 % lie in {low:.2f}-{high:.2f})"
    )


def cpu(command: list[str]) -> float:
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
