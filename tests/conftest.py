"""Fixtures that many tests share: a real store, and time that goes on by itself."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import hypothesis
import pytest

from orchestrator.clock import utc_now
from orchestrator.settings import Settings, load_settings
from orchestrator.store.keys import Keys
from orchestrator.store.opening import open_store
from orchestrator.store.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

# How fast a machine is decides no test: not how long an example takes, nor how long it takes to think of one.
hypothesis.settings.register_profile("orch", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("orch")

# Most tests have a home of their own; the engine's machine code is the machine's, or each of those would compile it.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "orch" / "numba"))


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests apart from whatever the person who runs them has set."""
    for name in [name for name in os.environ if name.startswith("ORCH_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home", numbered=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Let a Ctrl-C reach what the tests start: in the background of a shell it is ignored, which is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _server(kind: str) -> str | None:
    """Return the program of a kind of server; None is the bundled one."""
    if kind == "bundled":
        return None
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server on PATH (Debian: apt-get install redis-server)")
    return found


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes without coverage: where others come everywhere that these do, it only makes them half as fast."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[str]:
    """Run a server of a kind for a while."""
    environ = {"HOME": "/nowhere", "ORCH_STATE_DIR": str(folder)}
    if program := _server(kind):
        environ["ORCH_REDIS_SERVER"] = program
    with open_store(load_settings(environ, Path("/"))) as address:
        yield address.url


@pytest.fixture(scope="session")
def bundled_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the bundled server."""
    with serving("bundled", tmp_path_factory.mktemp("bundled")) as url:
        yield url


@pytest.fixture(scope="session")
def system_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the system's server."""
    with serving("system", tmp_path_factory.mktemp("system")) as url:
        yield url


@pytest.fixture
def redis_url(bundled_url: str) -> str:
    """The server of a test; a module that wants both kinds overrides this."""
    return bundled_url


@pytest.fixture
def keys() -> Keys:
    """Keys that no other test uses."""
    return Keys(f"test-{uuid4().hex[:8]}")


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> Settings:
    """Settings for a supervisor over the shared server, with retries that do not keep a test waiting."""
    return load_settings(
        {
            "HOME": str(tmp_path),
            "ORCH_STATE_DIR": str(tmp_path / "state"),
            "ORCH_REDIS_URL": redis_url,
            "ORCH_ENV": keys.env,
            "ORCH_MAX_JOBS": "4",
            "ORCH_RETRY_BACKOFF": "10ms",
            "ORCH_RETRY_BACKOFF_MAX": "20ms",
        },
        tmp_path,
    )


@pytest.fixture
async def store(settings: Settings, keys: Keys) -> AsyncIterator[RedisStore]:
    """An open store."""
    assert settings.redis_url
    async with RedisStore(settings.redis_url, keys, utc_now, settings.retention) as opened:
        yield opened


def wait_until(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Wait for a condition; the limit is there to end a broken test, not to measure anything."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
