"""The unit as it is shipped, byte for byte, on a machine of its own: a real systemd, a user, a sandbox, no network."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.machine import Machine

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
HERE = "/srv/tuning"

if reason := machine.why_not():
    pytest.skip(f"no systemd to test the unit under: {reason}", allow_module_level=True)

pytestmark = pytest.mark.timeout(900)  # systemd, Python and numba all start anew, on whatever else this machine does

OBJECTIVE = """
import pathlib, time

HERE = pathlib.Path(__file__).parent

def score(params):
    with (HERE / "evaluated").open("a") as file:
        file.write(f"{params['x']!r}\\n")
    while (HERE / "hold").exists():
        time.sleep(0.02)
    return {"value": params["x"]}
"""

TUNING = """
tuning:
  method: random
  seed: 42
  search_space:
    x: {type: float, bounds: [0.0, 1.0]}
  objective: {kind: python, function: "objective:score", metric: value, direction: maximize}
"""

SESSION = """
session_id: demo
total_iterations: 6
workers: 2
config_path: tuning.yaml
base_output_csv: outputs/demo
"""

STUBBORN = """
session_id: stubborn
total_iterations: 1
workers: 1
base_output_csv: outputs/stubborn
grace: 15s
worker_command:
  - python3
  - -c
  - |
    import pathlib, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path("/srv/tuning/evaluated").touch()
    while True: signal.pause()
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Machine]:
    """A machine on which everything is installed and nothing started."""
    with machine.booted(tmp_path) as made:
        install(made)
        yield made


def install(box: Machine) -> None:
    for name, inside in (
        ("orch.service", "/etc/systemd/system/orch.service"),
        ("orch.sysusers.conf", "/etc/sysusers.d/orch.conf"),
        ("orch.tmpfiles.conf", "/etc/tmpfiles.d/orch.conf"),
        ("orch.toml", "/etc/orch/orch.toml"),
    ):
        box.write(inside, (DEPLOY / name).read_text(encoding="utf-8"))
    box("systemd-sysusers")
    box("systemd-tmpfiles", "--create", "orch.conf")
    box("systemctl", "daemon-reload")
    for name, text in (("objective.py", OBJECTIVE), ("tuning.yaml", TUNING), ("session.yaml", SESSION)):
        box.write(f"{HERE}/{name}", text)


def drop_in(box: Machine, *lines: str) -> None:
    box.write("/etc/systemd/system/orch.service.d/test.conf", "\n".join(["[Service]", *lines, ""]))
    box("systemctl", "daemon-reload")


def hold(box: Machine) -> None:
    """Let no iteration end until `release`."""
    box.path(f"{HERE}/hold").touch()


def release(box: Machine) -> None:
    box.path(f"{HERE}/hold").unlink()


def submit(box: Machine, *arguments: str) -> None:
    box("orch", "submit", *(arguments or ("session.yaml",)), user="orch", cwd=HERE)


def until_evaluating(box: Machine) -> None:
    box.until(lambda: evaluated(box), "the first evaluation")


def evaluated(box: Machine) -> list[str]:
    path = box.path(f"{HERE}/evaluated")
    return path.read_text(encoding="utf-8").splitlines() or ["?"] if path.exists() else []


def status(box: Machine, session: str = "demo") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box("orch", "status", session, "-o", "json", user="orch", cwd=HERE))
    return found


def ends_well(box: Machine) -> None:
    """The session ends with each of its six iterations recorded once."""
    box("orch", "wait", "demo", "--timeout", "80s", user="orch", cwd=HERE)
    rows = []
    for path in sorted(box.path(f"{HERE}/outputs").glob("demo_worker-*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += [(row["worker_id"], row["iteration"], row["status"]) for row in csv.DictReader(file)]
    assert sorted(rows) == [(f"worker-{w}", str(i), "SUCCESS") for w in (1, 2) for i in (1, 2, 3)]
    found = status(box)
    assert (found["status"], found["completed_iterations"], found["failed_iterations"]) == ("SUCCESS", 6, 0)


def processes(box: Machine) -> list[str]:
    return box("ps", "-u", "orch", "-o", "pid=,args=", check=False).splitlines()


def events(box: Machine) -> list[dict[str, Any]]:
    """Return what the daemon logged."""
    return [json.loads(line) for line in box.journal().splitlines() if line.startswith("{")]


def event(box: Machine, name: str) -> dict[str, Any]:
    return next((each for each in reversed(events(box)) if each["event"] == name), {})


REDIS = "unix:///run/redis/redis.sock"


def redis(box: Machine, access: str) -> str:
    """Start a Redis that is none of the daemon's; return its pid."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on PATH (Debian: apt-get install redis-server)")
    box.path("/run/redis").mkdir(exist_ok=True)
    box(
        *(server, "--port", "0", "--unixsocket", "/run/redis/redis.sock", "--unixsocketperm", access),
        *("--dir", "/run/redis", "--appendonly", "yes", "--daemonize", "yes", "--pidfile", "/run/redis/pid"),
    )
    box.until(lambda: box.path("/run/redis/redis.sock").exists(), "the server's socket")
    box("chgrp", "orch", "/run/redis/redis.sock")
    return box.path("/run/redis/pid").read_text(encoding="utf-8").strip()


# --- its start -----------------------------------------------------------------------------------------------------


def test_systemd_finds_nothing_wrong_with_the_unit(box: Machine) -> None:
    verified = box.run("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/orch.service")
    assert (verified.returncode, verified.stderr) == (0, "")
    exposure = box("systemd-analyze", "security", "--no-pager", "--threshold=25", "orch.service")  # 2.5 of 10
    assert "OK" in exposure


def test_it_starts_and_says_so(box: Machine) -> None:
    box("systemctl", "enable", "--now", "orch")
    assert (box.show("ActiveState"), box.show("WatchdogUSec")) == ("active", "30s")
    assert event(box, "daemon.ready")
    box.until(lambda: box.show("StatusText") == "serving: 0 sessions, 0 jobs run", "the status line")
    assert len(processes(box)) == 2  # itself and its embedded server
    pid = box.show("MainPID")
    assert box("ps", "-o", "user=", "-p", pid) == "orch"
    assert "NoNewPrivs:\t1" in box.path(f"/proc/{pid}/status").read_text()
    submit(box)
    ends_well(box)
    outputs = box.path(f"{HERE}/outputs")
    assert outputs.stat().st_mode & 0o2777 == 0o2770  # the group's, and nobody else's
    assert next(outputs.iterdir()).stat().st_mode & 0o777 == 0o640
    assert box.path("/var/lib/orch").stat().st_mode & 0o777 == 0o700


def test_what_a_job_can_reach(box: Machine) -> None:
    """Only what it is given: not the system, nobody's home, no device, no more rights than the daemon's.

    It has a cgroup of its own, out of which nothing gets by forking.
    """
    box("useradd", "--create-home", "ann")
    box.write("/home/ann/secret", "s", 0o644)
    box.path("/home/ann").chmod(0o755)
    box.path("/etc/open").mkdir(mode=0o777)
    box.path("/etc/open").chmod(0o777)
    script = """
import ctypes, os, pathlib, socket
def can(what):
    try:
        what()
    except OSError:
        return False
    return True
print("etc", can(pathlib.Path("/etc/open/x").touch))
print("home", can(pathlib.Path("/home/ann/secret").read_text))
print("kernel", can(lambda: pathlib.Path("/proc/sys/kernel/hostname").write_text("x")))
print("netlink", can(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)))
print("namespace", ctypes.CDLL(None).unshare(0x10000000) == 0)
print("notify", "NOTIFY_SOCKET" in os.environ)
print("cgroup", "/job-" in pathlib.Path("/proc/self/cgroup").read_text())
print("here", can(pathlib.Path("/srv/tuning/x").touch))
print("cache", can(lambda: pathlib.Path(os.environ["NUMBA_CACHE_DIR"]).mkdir(parents=True, exist_ok=True)))
"""
    box.write(f"{HERE}/reach.py", script)
    box.write(
        f"{HERE}/reach.yaml",
        "session_id: reach\ntotal_iterations: 1\nworkers: 1\nbase_output_csv: outputs/reach\n"
        "worker_command: [python3, reach.py]\n",
    )
    box("systemctl", "start", "orch")
    submit(box, "reach.yaml")
    box("orch", "wait", "reach", user="orch", cwd=HERE)
    said = box("orch", "logs", "reach", user="orch", cwd=HERE)
    found = dict(line.split()[-2:] for line in said.splitlines())
    assert found == {
        "etc": "False", "home": "False", "kernel": "False", "netlink": "False", "namespace": "False", "notify": "False",
        "cgroup": "True", "here": "True", "cache": "True",
    }  # fmt: skip


def test_it_is_not_ready_while_there_is_no_store(box: Machine) -> None:
    """And gives up never: the server may come."""
    box.write("/etc/orch/orch.toml", f'state_dir = "/var/lib/orch"\nredis_url = "{REDIS}"\n')
    box("systemctl", "start", "--no-block", "orch")
    box.until(lambda: int(box.show("NRestarts")) >= 1, "a second try")
    assert not event(box, "daemon.ready")
    redis(box, "777")
    box.until(lambda: box.show("ActiveState") == "active", "the store to be found")
    submit(box)
    ends_well(box)


def test_a_wrong_setting_is_told_once_and_not_tried_again(box: Machine) -> None:
    box.write("/etc/orch/orch.toml", "max_job = 3\n")
    box.run("systemctl", "start", "orch")
    box.until(lambda: box.show("ActiveState") == "failed", "the start to fail")
    assert (box.show("NRestarts"), box.show("ExecMainStatus")) == ("0", "2")
    assert "did you mean max_jobs?" in box.journal()
    assert "Traceback" not in box.journal()


# --- its life ------------------------------------------------------------------------------------------------------


def test_a_hung_daemon_is_replaced_and_loses_nothing(box: Machine) -> None:
    drop_in(box, "WatchdogSec=3s")
    box("systemctl", "start", "orch")
    hold(box)
    submit(box)
    until_evaluating(box)
    hung = box.show("MainPID")
    box("kill", "-STOP", hung)
    box.until(lambda: box.show("NRestarts") == "1" and box.show("ActiveState") == "active", "the watchdog")
    assert "Watchdog timeout" in box.journal()
    assert "Fatal Python error: Aborted" in box.journal()  # and where it hung
    assert box.show("MainPID") != hung
    release(box)
    ends_well(box)
    assert {job["attempt"] for job in status(box)["jobs"]} == {2}


def test_a_killed_daemon_is_replaced_and_loses_nothing(box: Machine) -> None:
    """Its jobs and its embedded server go with it, as they are in its cgroup; what they had recorded is there."""
    box("systemctl", "start", "orch")
    hold(box)
    submit(box)
    until_evaluating(box)
    before = {line.split()[0] for line in processes(box)}
    box("kill", "-KILL", box.show("MainPID"))
    box.until(lambda: box.show("NRestarts") == "1" and box.show("ActiveState") == "active", "the restart")
    assert not before & {line.split()[0] for line in processes(box)}
    release(box)
    ends_well(box)
    assert {job["attempt"] for job in status(box)["jobs"]} == {2}


def test_a_killed_embedded_server_is_started_again(box: Machine) -> None:
    box("systemctl", "start", "orch")
    daemon = box.show("MainPID")
    hold(box)
    submit(box)
    until_evaluating(box)
    (server,) = [line.split()[0] for line in processes(box) if "valkey-server" in line]
    box("kill", "-KILL", server)
    release(box)
    ends_well(box)
    assert (box.show("MainPID"), box.show("NRestarts")) == (daemon, "0")
    assert {job["attempt"] for job in status(box)["jobs"]} == {1}


def test_reload_reads_the_settings_again_and_keeps_the_old_where_they_are_wrong(box: Machine) -> None:
    settings = (DEPLOY / "orch.toml").read_text(encoding="utf-8")
    box.write("/etc/orch/orch.toml", f"{settings}\nmax_jobs = 1\n")
    box("systemctl", "start", "orch")
    daemon = box.show("MainPID")
    hold(box)
    submit(box)
    until_evaluating(box)
    box.write("/etc/orch/orch.toml", f"{settings}\nmax_jobs = 2\n")
    box("systemctl", "reload", "orch")
    box.until(lambda: len(evaluated(box)) == 2, "the second worker, for which there is a slot now")
    assert event(box, "daemon.reloaded")["max_jobs"] == 2
    box.write("/etc/orch/orch.toml", "max_jobs = none at all\n")
    box("systemctl", "reload", "orch")
    box.until(lambda: event(box, "daemon.reload_refused"), "the refusal")
    box.until(lambda: box.show("ActiveState") == "active", "the end of the reload")
    assert box.show("MainPID") == daemon
    box.write("/etc/orch/orch.toml", settings)
    release(box)
    ends_well(box)


# --- its end -------------------------------------------------------------------------------------------------------


def test_stop_lets_iterations_end_and_leaves_everything_resumable(box: Machine) -> None:
    box("systemctl", "start", "orch")
    hold(box)
    submit(box)
    box.until(lambda: len(evaluated(box)) == 2, "both workers")
    box("systemctl", "stop", "--no-block", "orch")
    box.until(lambda: box.show("StatusText").startswith("stopping"), "the daemon to say that it stops")
    release(box)
    box.until(lambda: box.show("ActiveState") == "inactive", "the stop")
    assert (box.show("Result"), box.show("ExecMainStatus")) == ("success", "0")
    assert processes(box) == []  # the embedded server has ended too
    assert len(evaluated(box)) == 2  # nothing new was begun, and nothing cut off:
    assert status(box)["completed_iterations"] == 2
    box("systemctl", "start", "orch")
    ends_well(box)
    assert len(evaluated(box)) == 6


def test_restart_goes_on_with_running_jobs(box: Machine) -> None:
    box("systemctl", "start", "orch")
    submit(box)
    until_evaluating(box)
    for _ in range(3):
        box("systemctl", "restart", "orch")
        assert event(box, "daemon.ready")
    ends_well(box)
    assert len(evaluated(box)) == 6
    box("systemctl", "stop", "orch")
    assert processes(box) == []


def test_a_job_has_its_grace_however_long_the_unit_says_that_stopping_takes(box: Machine) -> None:
    drop_in(box, "TimeoutStopSec=4s")
    box.write(f"{HERE}/stubborn.yaml", STUBBORN)
    box("systemctl", "start", "orch")
    submit(box, "stubborn.yaml")
    until_evaluating(box)
    box("systemctl", "stop", "orch")
    assert box.show("Result") == "success"  # not `timeout`: the daemon killed the job itself, when its time was over
    assert processes(box) == []
    box("systemctl", "start", "orch")
    box.until(lambda: status(box, "stubborn")["jobs"][0]["attempt"] == 2, "the job's next attempt")


def test_stop_ends_though_the_store_is_away(box: Machine) -> None:
    server = redis(box, "777")
    box.write("/etc/orch/orch.toml", f'state_dir = "/var/lib/orch"\nredis_url = "{REDIS}"\n')
    box("systemctl", "start", "orch")
    hold(box)
    submit(box)
    until_evaluating(box)
    box("kill", "-KILL", server)
    box.until(lambda: box.show("StatusText").startswith("store away"), "the daemon to see it")
    box("systemctl", "stop", "--no-block", "orch")
    release(box)
    box.until(lambda: box.show("ActiveState") in {"inactive", "failed"}, "the stop")
    assert processes(box) == []
    redis(box, "777")
    box("systemctl", "start", "orch")
    ends_well(box)


# --- a team --------------------------------------------------------------------------------------------------------


def test_a_team_shares_a_store_and_a_directory(box: Machine) -> None:
    """Ann makes a directory with her usual umask, and the daemon's results in it are hers to read."""
    box("useradd", "--groups", "orch", "ann")
    redis(box, "770")
    settings = (DEPLOY / "orch.toml").read_text(encoding="utf-8")
    box.write("/etc/orch/orch.toml", f'{settings}\nredis_url = "{REDIS}"\n')
    box("systemctl", "start", "orch")
    box("sh", "-c", "umask 022; mkdir ann; cp *.* ann", user="ann", cwd=HERE)
    hers = f"{HERE}/ann"
    box("orch", "submit", "session.yaml", "--wait", user="ann", cwd=hers)
    assert box("orch", "results", "demo", user="ann", cwd=hers).count("SUCCESS") == 6
    assert "demo" in box("cat", "outputs/demo_worker-1.csv", user="ann", cwd=hers)
    elsewhere = ("--session-id", "two", "--set", "base_output_csv=/tmp/x")
    refused = box.run("orch", "submit", "session.yaml", *elsewhere, user="ann", cwd=hers)
    assert (refused.returncode, "output_roots" in refused.stderr) == (2, True)


def test_the_how_to_for_a_server_can_be_followed(tmp_path: Path) -> None:
    if not Path("/lib/systemd/system/redis-server.service").exists():
        pytest.skip("no redis-server as a service (Debian: apt-get install redis-server)")
    script = DEPLOY.parents[1] / "scripts/capture_server.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
