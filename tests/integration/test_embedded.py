from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import SettingError, StateError, StoreUnreachableError
from orchestrator.settings import Settings, load_settings
from orchestrator.store.embedded import EmbeddedServer, data_exists
from orchestrator.store.engine import find_engine
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.every_python

SOON = timedelta(seconds=1)

USER = """
import os, sys
from datetime import timedelta
from pathlib import Path
from orchestrator.settings import load_settings
from orchestrator.store.embedded import EmbeddedServer

server = EmbeddedServer(load_settings(os.environ, Path.cwd(), system_file=Path("none")))
sys.stdin.readline()
server.acquire()
print(server.pid, flush=True)
sys.stdin.readline()
server.release()
print("released", flush=True)
"""
"""A program that takes the server at the first line it is given and lets go of it at the second."""


def servers_below(folder: Path) -> list[int]:
    """Return the processes that work in or below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder) and _is_server(process):
                found.append(int(process.name))
    return found


def _is_server(process: Path) -> bool:
    return b"-server" in (process / "cmdline").read_bytes()


def wait_until(condition: Callable[[], object]) -> None:
    holds = False
    while not holds:
        time.sleep(0.005)
        holds = bool(condition())


@pytest.fixture(autouse=True)
def _none_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = servers_below(tmp_path)
    list(map(kill, left))
    assert left == []


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "ORCH_STATE_DIR": str(tmp_path / "state"), "PATH": os.environ["PATH"]}


@pytest.fixture
def settings(environ: dict[str, str], tmp_path: Path) -> Settings:
    return load_settings(environ, tmp_path, system_file=tmp_path / "none")


@pytest.fixture
def user(environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start programs like `USER`, none of which outlives the test."""
    started: list[subprocess.Popen[str]] = []
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", USER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**environ, **coverage},
                cwd=tmp_path,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(url: str, *command: str) -> object:
    with Wire.connect(url) as wire:
        return wire.pipeline([command])[0]


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


# --- one user -----------------------------------------------------------------------------------------------------


def test_it_runs_while_it_is_held_and_keeps_what_it_was_given(settings: Settings, tmp_path: Path) -> None:
    assert not data_exists(settings)
    with EmbeddedServer(settings) as url:
        assert url == f"unix://{tmp_path}/state/redis/redis.sock?db=0"
        assert ask(url, "SET", "k", "v") == "OK"
        assert len(servers_below(tmp_path)) == 1
    assert servers_below(tmp_path) == []
    assert data_exists(settings)
    with EmbeddedServer(settings) as url:
        assert ask(url, "GET", "k") == "v"


def test_it_is_nobodys_but_ours(settings: Settings) -> None:
    with EmbeddedServer(settings) as url:
        folder = settings.state_dir / "redis"
        for path in (settings.state_dir, folder):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        for path in (folder / "redis.sock", folder / "redis.log", *folder.glob("appendonlydir/*")):
            assert path.stat().st_mode & 0o077 == 0, path
        assert ask(url, "CONFIG", "GET", "port") == ["port", "0"]
        assert ask(url, "CONFIG", "GET", "appendonly") == ["appendonly", "yes"]


def test_its_process_is_detached_from_ours(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    server.acquire()
    try:
        assert server.pid is not None
        assert os.getsid(server.pid) != os.getsid(0)
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
        assert f"PPid:\t{os.getpid()}\n" not in status
        for descriptor in (0, 1, 2):
            assert Path(f"/proc/{server.pid}/fd/{descriptor}").readlink() == Path("/dev/null")
    finally:
        server.release()


def test_it_is_told_nothing_of_our_environment(environ: dict[str, str], tmp_path: Path) -> None:
    program, _ = find_engine(load_settings(environ, tmp_path, system_file=tmp_path / "none"), None)
    curious = tmp_path / "curious"
    curious.write_text(f'#!/bin/sh\nenv > {tmp_path}/seen\nexec {program} "$@"\n')
    curious.chmod(0o755)
    settings = load_settings({**environ, "ORCH_REDIS_SERVER": str(curious)}, tmp_path, system_file=tmp_path / "none")
    with EmbeddedServer(settings):
        seen = {line.split("=", 1)[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert seen <= {"PWD", "OLDPWD", "SHLVL", "_"}  # the shell's own


def test_taking_and_letting_go_may_be_repeated(settings: Settings, tmp_path: Path) -> None:
    server = EmbeddedServer(settings)
    server.release()
    assert server.acquire() == server.acquire()
    server.release()
    server.release()
    assert servers_below(tmp_path) == []
    server.acquire()
    server.release()


def test_a_loose_directory_is_tightened(settings: Settings) -> None:
    folder = settings.state_dir / "redis"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with EmbeddedServer(settings):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["with space", 'it\'s "quoted" %20 ?#', "é漢"])
def test_any_path_will_do(environ: dict[str, str], tmp_path: Path, name: str) -> None:
    settings = load_settings(
        {**environ, "ORCH_STATE_DIR": str(tmp_path / name)}, tmp_path, system_file=tmp_path / "none"
    )
    with EmbeddedServer(settings) as url:
        assert ask(url, "PING") == "PONG"
        assert (tmp_path / name / "redis" / "redis.sock").is_socket()


# --- death --------------------------------------------------------------------------------------------------------


def test_a_killed_server_loses_nothing_and_is_started_again(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    with server as url:
        first = server.pid
        ask(url, "SET", "k", "v")
        kill(first)
        server.ensure_running()
        assert server.pid != first
        assert ask(url, "GET", "k") == "v"
        server.ensure_running()  # all is well: nothing happens
        assert ask(url, "GET", "k") == "v"


def test_a_server_that_died_is_nothing_to_stop(settings: Settings, tmp_path: Path) -> None:
    server = EmbeddedServer(settings)
    with server:
        kill(server.pid)
        wait_until(lambda: not servers_below(tmp_path))


def test_a_torn_end_of_the_data_is_cut_off(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    with server as url:
        ask(url, "SET", "k", "v")
    (data,) = (settings.state_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    with data.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    with server as url:
        assert ask(url, "GET", "k") == "v"


def test_a_server_that_does_not_start_says_why(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    with server as url:
        ask(url, "SET", "k", "v")
    (data,) = (settings.state_dir / "redis" / "appendonlydir").glob("*.incr.aof")
    with data.open("r+b") as file:
        file.write(b"garbage")
    with pytest.raises(StoreUnreachableError, match="ended while it started") as caught:
        server.acquire()
    message = str(caught.value)
    assert f"the end of its log, {settings.state_dir}/redis/redis.log:\n" in message
    assert "Bad file format" in message
    server.release()  # nothing is held: no trouble


def test_a_server_that_refuses_its_options_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    real = shutil.which("false")
    picky = tmp_path / "picky"
    picky.write_text(f"#!/bin/sh\n[ $# = 1 ] && echo 'Redis server v=7.0.15' || {{ echo 'Bad directive'; {real}; }}\n")
    picky.chmod(0o755)
    settings = load_settings({**environ, "ORCH_REDIS_SERVER": str(picky)}, tmp_path, system_file=tmp_path / "none")
    with pytest.raises(StoreUnreachableError, match="picky refused to start as the embedded store: Bad directive"):
        EmbeddedServer(settings).acquire()


def test_a_server_that_ends_without_a_word(environ: dict[str, str], tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n[ $# = 1 ] && echo 'Redis server v=7.0.15'; exit 0\n")
    silent.chmod(0o755)
    settings = load_settings({**environ, "ORCH_REDIS_SERVER": str(silent)}, tmp_path, system_file=tmp_path / "none")
    with pytest.raises(StoreUnreachableError, match="ended while it started"):
        EmbeddedServer(settings).acquire()


def test_a_server_that_hangs_is_told_from_one_that_died(settings: Settings, tmp_path: Path) -> None:
    server = EmbeddedServer(settings)
    with server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnreachableError, match=r"runs but does not answer: .* no answer in time"):
                EmbeddedServer(settings, SOON).acquire()
            assert servers_below(tmp_path) == [server.pid]
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_a_server_that_hangs_is_left_for_the_next_user(settings: Settings, tmp_path: Path) -> None:
    leaving = EmbeddedServer(settings, SOON)
    with EmbeddedServer(settings):  # it may take its time to start
        leaving.acquire()
    assert leaving.pid is not None
    os.kill(leaving.pid, signal.SIGSTOP)
    leaving.release()
    assert servers_below(tmp_path) == [leaving.pid]
    os.kill(leaving.pid, signal.SIGCONT)
    with EmbeddedServer(settings):
        pass


def test_a_server_that_cannot_save_is_not_stopped(settings: Settings, tmp_path: Path) -> None:
    server = EmbeddedServer(settings)
    url = server.acquire()
    ask(url, "CONFIG", "SET", "save", "3600 1")  # so that it wants to write a snapshot, which it cannot
    ask(url, "CONFIG", "SET", "dbfilename", "dump.rdb")
    (settings.state_dir / "redis" / "dump.rdb").mkdir()
    server.release()
    assert servers_below(tmp_path) == [server.pid]
    with EmbeddedServer(settings) as url:
        ask(url, "CONFIG", "SET", "save", "")


def test_a_server_that_locks_us_out_is_not_adopted(settings: Settings) -> None:
    with EmbeddedServer(settings) as url:
        ask(url, "ACL", "SETUSER", "default", "-config")
        with pytest.raises(StoreUnreachableError, match="NOPERM"):
            EmbeddedServer(settings, SOON).acquire()
        ask(url, "ACL", "SETUSER", "default", "+config")


# --- several users ------------------------------------------------------------------------------------------------


def test_two_who_start_at_once_share_one_server(user: Callable[[], subprocess.Popen[str]], tmp_path: Path) -> None:
    users = [user() for _ in range(3)]
    for process in users:
        tell(process)
    pids = {hear(process) for process in users}
    assert pids == {str(pid) for pid in servers_below(tmp_path)}
    assert len(pids) == 1
    for process in users:
        tell(process)
    assert {hear(process) for process in users} == {"released"}
    assert servers_below(tmp_path) == []


def test_the_last_who_leaves_stops_it(
    user: Callable[[], subprocess.Popen[str]], settings: Settings, tmp_path: Path
) -> None:
    starter, other = user(), user()
    for process in (starter, other):
        tell(process)
        hear(process)
    tell(starter)
    assert hear(starter) == "released"
    with EmbeddedServer(settings):  # a third comes and goes
        pass
    assert len(servers_below(tmp_path)) == 1
    tell(other)
    assert hear(other) == "released"
    assert servers_below(tmp_path) == []


def test_it_survives_a_killed_starter_and_is_adopted(
    user: Callable[[], subprocess.Popen[str]], settings: Settings, tmp_path: Path
) -> None:
    starter = user()
    tell(starter)
    pid = hear(starter)
    starter.kill()
    starter.wait()
    server = EmbeddedServer(settings)
    with server:
        assert str(server.pid) == pid
    assert servers_below(tmp_path) == []  # the killed one's hold died with it


def test_who_comes_while_it_is_being_stopped_waits_and_starts_another(
    user: Callable[[], subprocess.Popen[str]], settings: Settings
) -> None:
    server = EmbeddedServer(settings)
    server.acquire()
    first = server.pid
    assert first is not None
    leaving = user()
    tell(leaving)
    hear(leaving)
    server.release()
    os.kill(first, signal.SIGSTOP)
    tell(leaving)  # it now waits for the server to stop
    wait_until(lambda: not _can_share(settings))
    with pytest.raises(StoreUnreachableError, match="is being stopped; try again"):
        EmbeddedServer(settings, SOON).acquire()
    coming = user()
    tell(coming)
    os.kill(first, signal.SIGCONT)
    assert hear(leaving) == "released"
    assert hear(coming) != str(first)
    tell(coming)
    assert hear(coming) == "released"


def _can_share(settings: Settings) -> bool:
    done = subprocess.run(["flock", "-ns", settings.state_dir / "redis" / "users.lock", "true"], check=False)
    return done.returncode == 0


# --- whose data it is ---------------------------------------------------------------------------------------------


def test_data_of_another_server_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = settings.state_dir / "redis"
    folder.mkdir(parents=True)
    (folder / "ENGINE").write_text("valkey 99.0.0\n")
    with pytest.raises(StateError, match=r"was written by valkey 99\.0\.0, which .* cannot read"):
        EmbeddedServer(settings).acquire()
    assert (folder / "ENGINE").read_text() == "valkey 99.0.0\n"
    assert servers_below(tmp_path) == []


def test_the_engine_is_recorded_and_moves_on_with_its_version(settings: Settings) -> None:
    record = settings.state_dir / "redis" / "ENGINE"
    server = EmbeddedServer(settings)
    with server:
        written = record.read_text()
    assert written.startswith("valkey ")
    record.write_text("valkey 8.1.0\n")
    with server:
        pass
    assert record.read_text() == written


def test_a_server_that_is_set_wrongly_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    settings = load_settings({**environ, "ORCH_REDIS_SERVER": "/bin/true"}, tmp_path, system_file=tmp_path / "none")
    with pytest.raises(SettingError, match="is no Redis or Valkey server"):
        EmbeddedServer(settings).acquire()


def test_a_directory_of_another_user_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(
        StateError, match=r"redis belongs to another user \(uid \d+\): be that user, or set ORCH_STATE_DIR"
    ):
        EmbeddedServer(settings).acquire()


def test_a_link_in_place_of_the_directory_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.state_dir.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (settings.state_dir / "redis").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnreachableError, match=r"the embedded store cannot use .*/state/redis: Not a directory"):
        EmbeddedServer(settings).acquire()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_state_directory_that_cannot_be_is_named(settings: Settings) -> None:
    settings.state_dir.write_text("")
    assert not data_exists(settings)
    with pytest.raises(StoreUnreachableError, match=r"cannot use .*/state: File exists; set ORCH_STATE_DIR"):
        EmbeddedServer(settings).acquire()


def test_a_state_directory_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "ORCH_STATE_DIR": str(tmp_path / ("x" * 300))}
    with pytest.raises(StoreUnreachableError, match=r"ENGINE: File name too long; set ORCH_STATE_DIR"):
        data_exists(load_settings(environ, tmp_path, system_file=tmp_path / "none"))


# --- paths too long for a socket ----------------------------------------------------------------------------------


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime directory with a path that leaves room for a socket's."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def deep(environ: dict[str, str], tmp_path: Path, runtime: Path) -> Settings:
    state = tmp_path.joinpath(*["a-directory-with-a-name-that-is-long"] * 4)
    return load_settings(
        {**environ, "ORCH_STATE_DIR": str(state), "XDG_RUNTIME_DIR": str(runtime)},
        tmp_path,
        system_file=tmp_path / "none",
    )


def other_runtime(settings: Settings, runtime: Path | None) -> Settings:
    environ = {"HOME": "/nowhere", "ORCH_STATE_DIR": str(settings.state_dir)}
    return load_settings({**environ, **({"XDG_RUNTIME_DIR": str(runtime)} if runtime else {})}, Path("/nowhere"))


def test_the_socket_moves_to_the_runtime_directory(deep: Settings, runtime: Path) -> None:
    with EmbeddedServer(deep) as url:
        assert url.startswith(f"unix://{runtime}/orch-{os.geteuid()}-")
        (private,) = runtime.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        # Whoever has another runtime directory, as after `su` or under systemd, finds it all the same.
        with EmbeddedServer(other_runtime(deep, None)) as same:
            assert same == url
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("runtime", [None, "missing", "x" * 90])
def test_without_a_runtime_directory_that_will_do_it_is_tmp(
    deep: Settings, tmp_path: Path, runtime: str | None
) -> None:
    if runtime is not None and runtime != "missing":
        (tmp_path / runtime).mkdir()
    with EmbeddedServer(other_runtime(deep, tmp_path / runtime if runtime else None)) as url:
        assert url.startswith(f"unix:///tmp/orch-{os.geteuid()}-")
        private = Path(url.removeprefix("unix://").removesuffix("/redis.sock?db=0"))
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not private.exists()


def test_a_trap_in_place_of_the_private_directory_is_refused(deep: Settings, tmp_path: Path) -> None:
    with EmbeddedServer(deep) as url:
        private = Path(url.removeprefix("unix://").removesuffix("/redis.sock?db=0"))
    (tmp_path / "trap").mkdir()
    private.symlink_to(tmp_path / "trap")
    with pytest.raises(StoreUnreachableError, match="Not a directory"):
        EmbeddedServer(deep).acquire()
    assert list((tmp_path / "trap").iterdir()) == []


def test_a_copy_of_the_data_does_not_adopt_the_originals_server(deep: Settings, tmp_path: Path) -> None:
    original = EmbeddedServer(deep)
    with original as url:
        ask(url, "SET", "k", "original")
        state = deep.state_dir.with_name("another-directory-with-a-name-that-is-long")
        shutil.copytree(deep.state_dir, state, symlinks=True, ignore=lambda *_: ["server.lock", "users.lock"])
        other = load_settings({"HOME": "/nowhere", "ORCH_STATE_DIR": str(state)}, Path("/nowhere"))
        copy = EmbeddedServer(other)
        with copy as copied:
            assert copied != url
            assert copy.pid != original.pid
            ask(copied, "SET", "k", "copy")
        assert ask(url, "GET", "k") == "original"
        assert servers_below(tmp_path) == [original.pid]


def test_data_that_is_moved_takes_its_server_along(deep: Settings) -> None:
    original = EmbeddedServer(deep)
    original.acquire()
    state = deep.state_dir.with_name("another-directory-with-a-name-that-is-long")
    deep.state_dir.rename(state)
    moved = EmbeddedServer(other_runtime(load_settings({"HOME": "/", "ORCH_STATE_DIR": str(state)}, Path("/")), None))
    moved.acquire()
    assert moved.pid == original.pid
    original.release()
    moved.release()


# --- the system's server ------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="Debian's redis-server is absent")
def test_the_systems_redis_does_the_same(environ: dict[str, str], tmp_path: Path) -> None:
    redis = shutil.which("redis-server")
    assert redis is not None
    settings = load_settings({**environ, "ORCH_REDIS_SERVER": redis}, tmp_path, system_file=tmp_path / "none")
    server = EmbeddedServer(settings)
    with server as url:
        ask(url, "SET", "k", "v")
        kill(server.pid)
        server.ensure_running()
        assert ask(url, "GET", "k") == "v"
    assert servers_below(tmp_path) == []
    assert (settings.state_dir / "redis" / "ENGINE").read_text().startswith("redis ")
    bundled = load_settings({**environ, "PATH": "/nowhere"}, tmp_path, system_file=tmp_path / "none")
    assert data_exists(bundled)
    with EmbeddedServer(bundled) as url:  # the data decides which server runs
        assert ask(url, "GET", "k") == "v"
