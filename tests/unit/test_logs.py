from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.logs import EVENTS, configure_logging
from orchestrator.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.every_python

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCES = Path(__file__).parents[2] / "src"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def settings(**overrides: object) -> Settings:
    return load_settings({"HOME": "/nowhere"}, Path("/nowhere"), overrides, system_file=Path("/nowhere/orch.toml"))


def logged(stream: io.StringIO | None = None, *, event: str = "job.started", **fields: Any) -> dict[str, Any]:
    stream = stream or io.StringIO()
    configure_logging(settings(), stream, clock=lambda: NOON)
    structlog.get_logger().info(event, **fields)
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert isinstance(record, dict)
    return record


def log_failure(message: str) -> None:
    def fail() -> None:
        raise RuntimeError(message)

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("store.away")


def test_an_event_is_one_json_line_with_time_level_and_name_first() -> None:
    record = logged(pid=7, after=timedelta(seconds=1.5))
    assert record == {
        "time": "2026-03-01T12:00:00.000Z",
        "level": "info",
        "event": "job.started",
        "pid": 7,
        "after": 1.5,
    }
    assert list(record)[:3] == ["time", "level", "event"]


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    logged()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_an_exception_stays_on_the_line() -> None:
    stream = io.StringIO()
    configure_logging(settings(), stream, clock=lambda: NOON)
    log_failure("redis://:hunter2@store/0\nsecond line")
    (line,) = stream.getvalue().splitlines()
    assert "RuntimeError: redis://:***@store/0" in json.loads(line)["exception"]


def test_secrets_are_hidden_wherever_they_are() -> None:
    record = logged(
        url="rediss://user:hunter2@store:6379/0",
        error=ValueError("cannot reach redis://:hunter2@store"),
        Password="hunter2",  # noqa: S106 - of nothing
        deep={"api_key": "hunter2", "list": ["unix:///s?password=hunter2&db=1"], "redis://:hunter2@h": 1},
        token=12,
    )
    assert "hunter2" not in json.dumps(record)
    assert record["url"] == "rediss://user:***@store:6379/0"
    assert record["deep"]["list"] == ["unix:///s?password=***&db=1"]
    assert record["token"] == 12  # the fencing token is no secret


def test_every_kind_of_value_is_written() -> None:
    looped: list[Any] = []
    looped.append(looped)
    record = logged(
        path=Path("/a"),
        moment=NOON,
        raw=b"a\xff",
        nan=float("nan"),
        half=0.5,
        yes=True,
        no=None,
        numbers={3},
        looped=looped,
    )
    assert record["path"] == "/a"
    assert record["moment"] == "2026-03-01T12:00:00.000Z"
    assert record["raw"] == "a\\xff"
    assert record["nan"] == "nan"
    assert (record["half"], record["yes"], record["no"], record["numbers"]) == (0.5, True, None, [3])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.timedeltas(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_no_value_breaks_the_line(value: Any) -> None:
    stream = io.StringIO()
    record = logged(stream, value=value)
    assert set(record) == {"time", "level", "event", "value"}
    assert stream.getvalue().count("\n") == 1


def test_context_of_the_task_is_in_the_record() -> None:
    with structlog.contextvars.bound_contextvars(session_id="s1"):
        assert logged()["session_id"] == "s1"


def test_events_below_the_level_are_dropped() -> None:
    stream = io.StringIO()
    configure_logging(settings(log_level="warning"), stream)
    structlog.get_logger().info("job.started")
    structlog.get_logger().warning("store.away")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["store.away"]


def test_loggers_follow_a_new_configuration() -> None:
    log = structlog.get_logger()
    first, second = io.StringIO(), io.StringIO()
    configure_logging(settings(), first)
    log.info("job.started")
    configure_logging(settings(log_level="error"), second)
    log.info("job.started")
    log.error("store.away")
    assert "job.started" in first.getvalue()
    assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["store.away"]


@pytest.mark.parametrize(
    ("chosen", "stream", "readable"),
    [("auto", Terminal, True), ("auto", io.StringIO, False), ("console", io.StringIO, True), ("json", Terminal, False)],
)
def test_the_form_is_for_who_reads_it(chosen: str, stream: type[io.StringIO], readable: bool) -> None:  # noqa: FBT001 - a table
    written = stream()
    configure_logging(settings(log_format=chosen), written)
    structlog.get_logger().info("job.started")
    assert written.getvalue().startswith("{") is not readable


def test_colour_is_for_terminals_only_and_NO_COLOR_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802 - its name
    def written(stream: io.StringIO, *, colour: bool | None = None) -> str:
        configure_logging(settings(log_format="console"), stream, colour=colour)
        structlog.get_logger().info("job.started", pid=7)
        return stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in written(Terminal())
    assert "\x1b" not in written(io.StringIO())
    assert "\x1b" not in written(Terminal(), colour=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in written(Terminal())


def test_a_terminal_obeys_nothing_that_an_event_carries() -> None:
    stream = Terminal()
    configure_logging(settings(), stream, colour=False, clock=lambda: NOON)
    structlog.get_logger().info(
        "job.exited", reason="\x1b]0;owned\x07", csi="\x9b2J", more={"é": ["\x1b"]}, text="a\nb"
    )
    (line,) = stream.getvalue().splitlines()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
    assert line.startswith("2026-03-01T12:00:00.000Z [info] job.exited")
    assert r"\x1b]0;owned\x07" in line


def test_an_exception_is_readable_on_a_terminal() -> None:
    stream = Terminal()
    configure_logging(settings(), stream, colour=False)
    log_failure("\x1b[31mred")
    assert r"RuntimeError: \x1b[31mred" in stream.getvalue().splitlines()[-1]


def test_a_stream_that_fails_harms_nobody() -> None:
    configure_logging(settings(log_format="json"), Broken())
    structlog.get_logger().info("job.started")
    closed = io.StringIO()
    configure_logging(settings(log_format="json"), closed)
    closed.close()
    structlog.get_logger().info("job.started")


def test_strict_refuses_events_that_are_not_listed() -> None:
    stream = io.StringIO()
    configure_logging(settings(), stream, strict=True)
    structlog.get_logger().info("job.started")
    with pytest.raises(ValueError, match=r"job\.vanished is not in"):
        structlog.get_logger().info("job.vanished")
    assert "job.vanished" not in stream.getvalue()


def test_every_event_in_the_sources_is_listed_and_every_listed_one_is_there() -> None:
    call = re.compile(r"""\blog\.(?:debug|info|warning|error|critical|exception)\(\s*"([^"]+)\"""")
    used = {name for file in SOURCES.rglob("*.py") for name in call.findall(file.read_text(encoding="utf-8"))}
    assert used == set(EVENTS)
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", name) for name in EVENTS)
    assert list(EVENTS) == sorted(EVENTS)
