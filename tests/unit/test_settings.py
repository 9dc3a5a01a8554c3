from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.errors import SettingError, UsageError
from orchestrator.settings import DEFINITIONS, Settings, load_settings, parsers, redact

pytestmark = pytest.mark.every_python


class Places:
    """The four places where settings can be, below one temporary directory."""

    def __init__(self, root: Path) -> None:
        self.cwd = root / "work"
        self.home = root / "home"
        self.system = root / "etc" / "orch.toml"
        self.environ = {"HOME": str(self.home)}
        self.user = self.home / ".config" / "orch" / "orch.toml"
        for folder in (self.cwd, self.user.parent, self.system.parent):
            folder.mkdir(parents=True)

    def write(self, file: Path, text: str) -> None:
        file.write_text(text, encoding="utf-8")

    def load(self, overrides: dict[str, object] | None = None, **environ: str) -> Settings:
        return load_settings({**self.environ, **environ}, self.cwd, overrides or {}, system_file=self.system)

    def refused(self, overrides: dict[str, object] | None = None, **environ: str) -> str:
        with pytest.raises(UsageError) as caught:
            self.load(overrides, **environ)
        return str(caught.value)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_defaults(places: Places) -> None:
    settings = places.load()
    assert settings.redis_url is None
    assert settings.state_dir == places.home / ".local/state/orch"
    assert settings.runtime_dir is None
    assert (settings.env, settings.key_prefix) == ("docker", "arbitrage")
    assert settings.max_jobs == len(os.sched_getaffinity(0))
    assert settings.retention == timedelta(days=30)
    assert settings.log_max_bytes == 50 * 1024 * 1024
    assert settings.lease_ttl == timedelta(seconds=10)
    assert settings.heartbeat == settings.lease_ttl / 3
    assert {settings.origin(definition.name) for definition in DEFINITIONS} == {"default"}


def test_each_source_goes_before_the_next(places: Places) -> None:
    found = []
    places.write(places.system, "max_jobs = 1")
    found.append(places.load())
    places.write(places.user, "max_jobs = 2")
    found.append(places.load())
    places.write(places.cwd / "orch.toml", "max_jobs = 3")
    found.append(places.load())
    found.append(places.load(ORCH_MAX_JOBS="4"))
    found.append(places.load({"max_jobs": 5, "env": None}, ORCH_MAX_JOBS="4"))
    assert [(settings.max_jobs, settings.origin("max_jobs")) for settings in found] == [
        (1, str(places.system)),
        (2, str(places.user)),
        (3, str(places.cwd / "orch.toml")),
        (4, "environment ORCH_MAX_JOBS"),
        (5, "command line"),
    ]
    assert found[-1].origin("env") == "default"  # None: the option was not given


def test_XDG_directories_are_honoured_where_they_are_absolute(places: Places) -> None:  # noqa: N802 - its name
    other = places.home / "other"
    (other / "orch").mkdir(parents=True)
    places.write(other / "orch" / "orch.toml", 'env = "xdg"')
    settings = places.load(XDG_CONFIG_HOME=str(other), XDG_STATE_HOME="/var/state", XDG_RUNTIME_DIR="/run/user/7")
    assert (settings.env, settings.state_dir, settings.runtime_dir) == (
        "xdg",
        Path("/var/state/orch"),
        Path("/run/user/7"),
    )
    settings = places.load(XDG_CONFIG_HOME="other", XDG_STATE_HOME="state", XDG_RUNTIME_DIR="run")
    assert settings.env == "docker"
    assert settings.state_dir == places.home / ".local/state/orch"
    assert settings.runtime_dir is None


def test_the_home_directory_is_known_without_HOME(places: Places) -> None:  # noqa: N802 - its name
    settings = load_settings({}, places.cwd, system_file=places.system)
    assert settings.state_dir.is_absolute()


def test_relative_paths_start_where_they_were_written(places: Places) -> None:
    places.write(places.user, 'state_dir = "state"\noutput_roots = ["out", "~/out", "/out"]')
    settings = places.load(ORCH_REDIS_SERVER="bin/valkey-server", ORCH_WORKER_PYTHON="venv/bin/python")
    assert settings.state_dir == places.user.parent / "state"
    assert settings.output_roots == (places.user.parent / "out", places.home / "out", Path("/out"))
    assert settings.redis_server == places.cwd / "bin/valkey-server"
    assert settings.worker_python == places.cwd / "venv/bin/python"
    assert places.load(ORCH_WORKER_PYTHON="python3.12").worker_python == "python3.12"  # looked for on PATH
    assert places.load({"worker_python": Path("python")}).worker_python == places.cwd / "python"
    assert places.load(ORCH_OUTPUT_ROOTS="a:~/b:").output_roots == (places.cwd / "a", places.home / "b")


def test_values_as_people_write_them(places: Places) -> None:
    places.write(
        places.cwd / "orch.toml",
        """
        retention = "1d"
        lease_ttl = 1.5
        log_max_bytes = 1000
        allow_insecure_redis = ["Redis"]
        pass_env = ["A", "B_*"]
        """,
    )
    settings = places.load(ORCH_RETRY_BACKOFF="0", ORCH_LOG_LEVEL="debug", ORCH_LOG_BACKUPS="0")
    assert (settings.retention, settings.lease_ttl) == (timedelta(days=1), timedelta(seconds=1.5))
    assert (settings.retry_backoff, settings.log_level) == (timedelta(0), "debug")
    assert (settings.log_max_bytes, settings.log_backups) == (1000, 0)
    assert (settings.allow_insecure_redis, settings.pass_env) == (("redis",), ("A", "B_*"))
    assert places.load(ORCH_ALLOW_INSECURE_REDIS="redis, Store").allow_insecure_redis == ("redis", "store")
    assert places.load(ORCH_LOG_MAX_BYTES="2 KiB").log_max_bytes == 2048
    assert places.load(ORCH_STATE_DIR="").origin("state_dir") == "default"  # empty counts as not set


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("MAX_JOBS", "0", "must be a whole number, 1 or more (got '0')"),
        ("MAX_JOBS", "many", "must be a whole number, 1 or more (got 'many')"),
        ("MAX_JOBS", "9" * 5000, "must be a whole number, 1 or more"),
        ("MAX_JOBS", "²", "must be a whole number, 1 or more (got '²')"),
        ("ENV", "a:b", "must be 1 to 64 of letters"),
        ("KEY_PREFIX", "-x", "must be 1 to 64 of letters"),
        ("RETENTION", "soon", "(got 'soon')"),
        ("RETENTION", "0", "must be 1s or more (got '0')"),
        ("LEASE_TTL", "10ms", "must be 1s or more (got '10ms')"),
        ("LOG_MAX_BYTES", "0", "must be a number of bytes"),
        ("LOG_MAX_BYTES", "1KB", "such as 512KiB, 50MiB or 1GiB (got '1KB')"),
        ("LOG_FORMAT", "xml", "must be one of auto, json, console (got 'xml')"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_origin(
    places: Places, variable: str, value: str, says: str
) -> None:
    environ = {f"ORCH_{variable}": value}
    message = places.refused(None, **environ)
    assert message.startswith(f"environment ORCH_{variable}: {variable.lower()}: ")
    assert says in message


@pytest.mark.parametrize(
    "line",
    [
        "max_jobs = true",
        "max_jobs = 1.5",
        "log_max_bytes = true",
        "env = 1",
        'env = ""',
        "output_roots = 3",
        "pass_env = [1]",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_file(places: Places, line: str) -> None:
    places.write(places.system, line)
    assert places.refused().startswith(f"{places.system}: {line.split(maxsplit=1)[0]}: must be ")


def test_a_parsed_value_is_no_way_around_the_limits(places: Places) -> None:
    assert places.refused({"lease_ttl": timedelta(0)}).startswith("command line: lease_ttl: must be 1s or more")


def test_an_unknown_key_is_refused_with_the_nearest(places: Places) -> None:
    places.write(places.system, 'redis_ulr = "redis://:hunter2@store"')
    assert places.refused() == (
        f"{places.system}: redis_ulr: there is no such setting; did you mean redis_url? (got 'redis://:***@store')"
    )
    places.write(places.system, "colour = 1")
    assert "there is no such setting; there are redis_url, redis_server, " in places.refused()
    assert "command line: maxjobs: there is no such setting; did you mean max_jobs?" in places.refused({"maxjobs": 1})


def test_a_file_that_cannot_be_used_is_named(places: Places) -> None:
    file = places.cwd / "orch.toml"
    places.write(file, "env = ")
    assert places.refused().startswith(f"{file}: is not TOML: ")
    file.write_bytes(b'env = "\xff"')
    assert places.refused().startswith(f"{file}: is not TOML: ")
    file.unlink()
    file.mkdir()
    assert places.refused() == f"{file}: cannot be read: Is a directory"


def test_a_directory_that_is_a_file_holds_no_settings(places: Places) -> None:
    places.write(places.home / "file", "")
    assert places.load(XDG_CONFIG_HOME=str(places.home / "file")).env == "docker"


# --- the store's URL and its secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://store",
        "redis://store:6380/3",
        "redis://store?db=3",
        "redis://user:pass%40word@store/0",
        "rediss://:p@[::1]:6379/0?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock",
        "unix://:p@/run/redis.sock?db=2",
    ],
)
def test_urls_that_are_accepted(places: Places, url: str) -> None:
    assert places.load(ORCH_REDIS_URL=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "store:6379",
        "http://store",
        "redis://",
        "redis://:hunter2@",
        "redis://:hunt/er2@store",
        "redis://store:hunter2",
        "redis://store:99999",
        "redis://store:0",
        "redis://[::1",
        "redis://store/one",
        "redis://store?db=-1",
        "unix://run/redis.sock",
        "unix:///run/redis.sock?db=x",
        "unix:",
    ],
)
def test_urls_that_are_refused_without_showing_their_secrets(places: Places, url: str) -> None:
    message = places.refused(ORCH_REDIS_URL=url)
    assert message == (
        "environment ORCH_REDIS_URL: redis_url: must be redis://HOST:PORT/DB, rediss://HOST:PORT/DB, "
        "unix:///PATH?db=DB or embedded (got '***')"
    )


def test_embedded_is_a_word_that_undoes_a_url(places: Places) -> None:
    places.write(places.system, 'redis_url = "redis://store"')
    assert places.load().redis_url == "redis://store"
    assert places.load(ORCH_REDIS_URL="embedded").redis_url is None


def test_a_secret_can_come_from_a_file(places: Places) -> None:
    file = places.cwd / "secret"
    places.write(file, "redis://:hunter2@store/0\n")
    settings = places.load(ORCH_REDIS_URL_FILE="secret")
    assert settings.redis_url == "redis://:hunter2@store/0"
    assert settings.origin("redis_url") == f"environment ORCH_REDIS_URL_FILE ({file})"
    both = places.refused(ORCH_REDIS_URL_FILE="secret", ORCH_REDIS_URL="redis://store")
    assert both.startswith("environment ORCH_REDIS_URL_FILE: redis_url: ORCH_REDIS_URL is set too; unset one of them")
    file.unlink()
    missing = places.refused(ORCH_REDIS_URL_FILE="secret")
    assert "redis_url: the file cannot be read: No such file or directory" in missing
    file.write_bytes(b"\xff")
    assert "redis_url: the file cannot be read: 'utf-8' codec" in places.refused(ORCH_REDIS_URL_FILE="secret")


def test_secrets_are_shown_nowhere(places: Places) -> None:
    settings = places.load(ORCH_REDIS_URL="redis://me:hunter2@store/0")
    assert "hunter2" not in repr(settings) + str(settings.shown())
    assert settings.shown()[0] == ("redis_url", "redis://me:***@store/0", "environment ORCH_REDIS_URL")


def test_what_is_shown(places: Places) -> None:
    settings = places.load({"retention": timedelta(hours=36), "output_roots": "/a:/b"})
    shown = {name: value for name, value, _ in settings.shown()}
    assert list(shown) == [definition.name for definition in DEFINITIONS]
    assert (shown["redis_url"], shown["redis_server"], shown["pass_env"]) == ("embedded", "not set", "none")
    assert (shown["retention"], shown["output_roots"], shown["log_backups"]) == ("1d12h", "/a, /b", "3")


SECRET = st.text(st.characters(exclude_characters="\"'<>@/:?&#", exclude_categories=("Z", "C")), min_size=4)


@given(
    SECRET,
    st.sampled_from(
        ["redis://u:{}@h:1/0", "x rediss://:{}@h y", "unix:///s?password={}&db=1", "a://b:{}@c d://e:{}@f"]
    ),
)
def test_no_password_of_a_url_survives(secret: str, around: str) -> None:
    assume(secret not in around)
    assert secret not in redact(around.format(secret, secret))


@given(st.text(st.characters(exclude_characters="@=")))
def test_a_text_without_passwords_stays(text: str) -> None:
    assert redact(text) == text


# --- the table ----------------------------------------------------------------------------------------------------


def test_every_definition_says_what_it_is() -> None:
    names = [definition.name for definition in DEFINITIONS]
    assert len(set(names)) == len(names)
    assert all(definition.doc and "\n" not in definition.doc for definition in DEFINITIONS)
    assert DEFINITIONS[0].variable == "ORCH_REDIS_URL"


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.text() | st.integers())
    | st.dates()
)


@given(st.sampled_from([definition.name for definition in DEFINITIONS]), ANYTHING)
def test_a_value_is_taken_or_refused_with_a_sentence(name: str, value: object) -> None:
    refused = None
    try:
        load_settings({"HOME": "/nowhere"}, Path("/nowhere"), {name: value}, system_file=Path("/nowhere/orch.toml"))
    except SettingError as error:
        refused = error
    assert refused is None or (refused.name == name and refused.message)


@given(st.text())
def test_names_can_leave_neither_their_key_nor_their_directory(text: str) -> None:
    try:
        name = parsers.name(text)
    except ValueError:
        return
    assert not set(name) & set(":/*?[]{}\\ \n\0")
    assert name not in {".", ".."}


def test_loading_is_fast_because_of_what_it_does_not_import(places: Places) -> None:
    program = (
        "import sys; from pathlib import Path; from orchestrator.settings import load_settings;"
        f"load_settings({{'HOME': {str(places.home)!r}}}, Path({str(places.cwd)!r}));"
        "import orchestrator.store.wire, orchestrator.store.embedded; print(' '.join(sys.modules))"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    slow = {"pydantic", "redis", "structlog", "typer", "asyncio", "tomllib", "decimal", "subprocess", "ssl", "json"}
    assert not slow & set(done.stdout.split())
