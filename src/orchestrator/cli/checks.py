"""The checks of `orch doctor`: each looks at one thing and says what it found."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hiredis import ReplyError

from orchestrator.client import Client
from orchestrator.errors import OrchError
from orchestrator.process.orphans import adopts_orphans, become_subreaper
from orchestrator.settings import redact
from orchestrator.store.embedded import data_exists
from orchestrator.store.keys import Keys, check_schema
from orchestrator.store.opening import open_store
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.settings import Settings

_GIB = 1 << 30
_LEAST_DISK = 100 << 20
_LITTLE_DISK = _GIB
_PATIENCE = timedelta(seconds=60)
_FILES_EACH_JOB = 8  # two pipes, a log, a pidfd, and room
_FILES_OF_OUR_OWN = 64


class State(StrEnum):
    """What a check comes to."""

    OK = "ok"
    WARN = "warn"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found."""

    name: str
    state: State
    detail: str


def run_checks(settings: Settings) -> list[Check]:
    """Carry out all checks."""
    return [
        _interpreter(),
        _worker(settings),
        *_store(settings),
        _pidfd(),
        _subreaper(),
        check_cgroup(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")),
        check_disk(settings.state_dir),
        check_open_files(settings.max_jobs),
    ]


def _interpreter() -> Check:
    return Check(
        "python", State.OK, f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    )


def _worker(settings: Settings) -> Check:
    python = str(settings.worker_python or sys.executable)
    try:
        done = subprocess.run(
            [python, "-P", "-c", "import tuning_worker, sys; print(sys.version.split()[0])"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE.total_seconds(), check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("worker", State.BROKEN, f"{python} cannot be run: {error}")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Check("worker", State.BROKEN, f"{python} cannot import tuning_worker: {said}")
    return Check("worker", State.OK, f"{python} (Python {done.stdout.strip()}) has tuning_worker")


# --- the store ------------------------------------------------------------------------------------------------------


def _store(settings: Settings) -> Iterator[Check]:
    """Check the store; an embedded one that holds nothing yet is tried in a directory that is removed again."""
    if settings.redis_url is not None or data_exists(settings):
        yield from _opened(settings, "")
        return
    with TemporaryDirectory(prefix="orch-doctor-") as folder:
        yield from _opened(
            replace(settings, state_dir=Path(folder)), ", tried in an empty directory: nothing was run yet"
        )


def _opened(settings: Settings, note: str) -> Iterator[Check]:
    try:
        with open_store(settings) as address, Wire.connect(address.url) as wire:
            before = time.perf_counter()
            wire.pipeline([("PING",)])
            took = (time.perf_counter() - before) * 1000
            info, version = wire.pipeline([("INFO",), ("GET", Keys(settings.env, settings.key_prefix).schema)])
            policy = wire.pipeline([("CONFIG", "GET", "appendfsync")])[0]
            facts = _facts(info)
            where = redact(address.url)
            served = _daemon(Client(wire, Keys(settings.env, settings.key_prefix)))
    except OrchError as error:
        yield Check("store", State.BROKEN, str(error))
        return
    server = f"{facts.get('server_name', 'redis')} {facts.get('valkey_version') or facts.get('redis_version', '?')}"
    yield Check("store", State.OK, f"{server} at {where}, answers in {took:.2f} ms{note}")
    yield check_persistence(facts, "" if isinstance(policy, ReplyError) or not policy else policy[1])
    yield check_eviction(facts)
    yield check_schema_version(version)
    yield served


def _daemon(client: Client) -> Check:
    """Say who serves the env; that nobody does is in order, as `orch run` needs nobody."""
    env = client.keys.env
    daemon, standby = client.find_daemon(), client.find_standby()
    if daemon is None:
        return Check("daemon", State.OK, f"none serves env {env}; `orch run` needs none, `orch submit` does")
    beside = f"; pid {standby.pid} on {standby.host} stands by" if standby else ""
    return Check("daemon", State.OK, f"pid {daemon.pid} on {daemon.host} serves env {env} since {daemon.since}{beside}")


def _facts(info: object) -> dict[str, str]:
    lines = info.splitlines() if isinstance(info, str) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def check_persistence(facts: dict[str, str], policy: str) -> Check:
    """Look at the facts of INFO, and at `appendfsync` (empty where the server does not tell)."""
    if facts.get("aof_enabled") != "1":
        return Check(
            "persistence", State.WARN, "append-only file off: when the server dies, what was recorded lately is lost"
        )
    if facts.get("aof_last_write_status", "ok") != "ok":
        return Check("persistence", State.BROKEN, "the server cannot write its append-only file (is its disk full?)")
    if policy == "no":
        return Check(
            "persistence",
            State.WARN,
            "append-only file, fsynced when the kernel likes (appendfsync no): a loss of power takes what it confirmed",
        )
    if policy == "everysec":
        return Check(
            "persistence",
            State.WARN,
            "append-only file, fsync everysec: killed on a busy disk it forgets up to 2 s of what it confirmed "
            "(a job may stay RUNNING that has ended, say); appendfsync always forgets nothing",
        )
    return Check("persistence", State.OK, f"append-only file{f', fsync {policy}' if policy else ''}")


def check_eviction(facts: dict[str, str]) -> Check:
    """Look at the facts of INFO."""
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory", "0") != "0" and policy != "noeviction":
        return Check("eviction", State.WARN, f"maxmemory-policy {policy}: a full server would drop records")
    return Check("eviction", State.OK, "the server drops nothing by itself")


def check_schema_version(version: str | None) -> Check:
    """Look at what the store says; None where it holds no session."""
    if version is None:
        return Check("schema", State.OK, "no session in this env yet")
    try:
        check_schema(version)
    except OrchError as error:
        return Check("schema", State.BROKEN, str(error))
    return Check("schema", State.OK, f"version {version}")


# --- the machine ----------------------------------------------------------------------------------------------------


def _pidfd() -> Check:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Check(
            "pidfd", State.WARN, f"not available ({error.strerror}): slower, and pids are compared by start time"
        )
    return Check("pidfd", State.OK, "available")


def _subreaper() -> Check:
    become_subreaper()
    if adopts_orphans():
        return Check("subreaper", State.OK, "orphans of jobs come to their supervisor")
    return Check("subreaper", State.WARN, "not allowed: orphans of jobs are found by their mark alone")


def check_cgroup(mountinfo: str) -> Check:
    """Look for a cgroup v2 that we may use, among the mounts of proc_pid_mountinfo(5)."""
    mounts = [line.split(" - ", 1) for line in mountinfo.splitlines() if " - cgroup2 " in line]
    points = [mount[0].split()[4] for mount in mounts]
    for point in points:
        if os.access(Path(point, "cgroup.procs"), os.W_OK):
            return Check("cgroup v2", State.OK, f"writable at {point}")
    found = f"not writable at {points[0]}" if points else "not mounted"
    return Check("cgroup v2", State.OK, f"{found}: jobs are stopped by group, descent and mark")


def check_disk(state_dir: Path) -> Check:
    """Look at the file system of a directory that may not be there yet."""
    there = next(folder for folder in (state_dir, *state_dir.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(
            "disk",
            State.BROKEN,
            f"{there} is no directory that we may write to; set ORCH_STATE_DIR to a directory of your own",
        )
    free = shutil.disk_usage(there).free
    state = State.BROKEN if free < _LEAST_DISK else State.WARN if free < _LITTLE_DISK else State.OK
    return Check("disk", state, f"{free / _GIB:.1f} GiB free at {state_dir}")


def check_open_files(max_jobs: int) -> Check:
    """Look whether so many jobs can be served at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES_OF_OUR_OWN + _FILES_EACH_JOB * max_jobs
    if soft != resource.RLIM_INFINITY and soft < needed:
        return Check("open files", State.WARN, f"{soft} allowed, {max_jobs} jobs at once may need {needed} (ulimit -n)")
    return Check("open files", State.OK, f"{'unlimited' if soft == resource.RLIM_INFINITY else soft} allowed")
