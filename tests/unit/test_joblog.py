"""The log of a job: nothing that a job writes is lost, or what is lost is counted and marked."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.joblog.log import JobLog, LogLimits, read_records
from orchestrator.joblog.records import RecordEncoder, decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.process.output_pipe import Stream

pytestmark = pytest.mark.every_python

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FIXED = {"time": "2026-03-01T12:00:00.123Z", "session_id": "demo", "worker_id": "worker-1", "attempt": 2}


def open_log(path: Path, **limits: int) -> JobLog:
    encoder = RecordEncoder(session_id="demo", worker_id="worker-1", attempt=2)
    return JobLog(path, encoder, limits=LogLimits(**limits), clock=lambda: NOON)


def write(path: Path, chunks: list[bytes], *, stream: Stream = "stdout", **limits: int) -> JobLog:
    log = open_log(path, **limits)
    for chunk in chunks:
        log.feed(stream, chunk)
    log.end("stdout", complete=True)
    log.end("stderr", complete=True)
    return log


def contents(path: Path) -> list[dict[str, Any]]:
    """What the records say beyond what is the same in all of them."""
    found = [record.data for record in read_records(path)]
    assert all(data.items() >= FIXED.items() for data in found)
    return [{key: value for key, value in data.items() if key not in FIXED} for data in found]


def raw(path: Path, stream: str = "stdout") -> bytes:
    return b"".join(record.raw for record in read_records(path) if record.data["stream"] == stream)


def test_each_line_becomes_a_record(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    log = write(path, [b'one\ntwo \xc3\xa9 "quoted" \\n\r\n\n'])
    assert contents(path) == [
        {"stream": "stdout", "line": "one"},
        {"stream": "stdout", "line": 'two é "quoted" \\n\r'},
        {"stream": "stdout", "line": ""},
    ]
    assert (log.counts.bytes_in, log.counts.lines) == (len(raw(path)), 3)


def test_a_json_object_keeps_its_fields_and_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    line = b'{ "loss":1.50,  "of": {"x": [1, 1e-3]}, "fields":{"y":2} , "big": 123456789012345678901234567890 }\n'
    write(path, [b"before\n" + line])
    assert contents(path)[1]["fields"]["of"] == {"x": [1, 1e-3]}
    assert raw(path) == b"before\n" + line


@pytest.mark.parametrize(
    "line",
    [b'{"x": NaN}', b'{"x": 1', b"{}x", b'{"x": "\xff"}', b'{"x":\r1}', b"[1]", b"{", b'{"x":1},{"y":2}'],
)
def test_what_is_no_json_object_is_kept_as_it_is(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [line + b"\n"])
    assert not contents(path)[0].keys() & {"fields", "mark"}
    assert raw(path) == line + b"\n"


def test_bytes_that_are_no_text_stay_readable_and_so_do_their_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [b"good\n\xff\xfe\nalso good\n"])
    assert contents(path) == [
        {"stream": "stdout", "line": "good"},
        {"stream": "stdout", "bytes": "//4="},
        {"stream": "stdout", "line": "also good"},
    ]


def test_a_last_line_without_newline_is_marked_partial(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [b"whole\nnot wh", b"ole"])
    assert contents(path)[1] == {"stream": "stdout", "partial": True, "line": "not whole"}
    assert raw(path) == b"whole\nnot whole"


def test_a_long_line_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, ["ééé\nexactly8\n".encode()], longest_line=5)
    assert contents(path) == [
        {"stream": "stdout", "partial": True, "line": "éé"},
        {"stream": "stdout", "line": "é"},
        {"stream": "stdout", "partial": True, "line": "exact"},
        {"stream": "stdout", "line": "ly8"},
    ]


def test_a_line_longer_than_a_mebibyte_survives(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    line = b"0123456789abcdef" * (3 << 16) + b"!\n"
    write(path, [line[at : at + 32768] for at in range(0, len(line), 32768)])
    assert [data.get("partial", False) for data in contents(path)] == [True, True, True, False]
    assert raw(path) == line


def test_the_streams_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    log = open_log(path)
    log.feed("stdout", b"half an ")
    log.feed("stderr", b"oops\n")
    log.feed("stdout", b"answer\n")
    log.end("stderr", complete=False)
    log.end("stdout", complete=True)
    assert contents(path) == [
        {"stream": "stderr", "line": "oops"},
        {"stream": "stdout", "line": "half an answer"},
        {"stream": "stderr", "mark": "output_incomplete"},
    ]
    assert (raw(path), raw(path, "stderr")) == (b"half an answer\n", b"oops\n")


NASTY = [
    *(b"\n", b"\n\n", b"\r", b"\x00", b"\x7f", b"\xff", b"\xc3", b"\\", b"\\n", b'"', b'",', b"plain text"),
    *(b"{", b"}", b'{"a":1}', b'{"a":', b',"fields":', b'"partial":true'),
    *(text.encode() for text in ("é", "\U0001f600", "\u2028")),
]
OUTPUT = st.lists(st.sampled_from(NASTY) | st.binary(max_size=6), max_size=30).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(output=OUTPUT, cuts=st.lists(st.integers(0, 200), max_size=12), longest_line=st.integers(4, 40))
@example(output=b'a",\nnext\\\nx', cuts=[], longest_line=40)
@example(output="x\U0001f600\U0001f600\n".encode(), cuts=[5], longest_line=4)
def test_however_it_is_cut_the_records_are_the_same_and_give_the_bytes_back(
    tmp_path_factory: pytest.TempPathFactory, output: bytes, cuts: list[int], longest_line: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    places = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    log = write(folder / "cut", [output[a:b] for a, b in pairwise(places)], longest_line=longest_line)
    write(folder / "whole", [output], longest_line=longest_line)
    assert raw(folder / "cut") == output
    if output:
        assert (folder / "cut").read_bytes() == (folder / "whole").read_bytes()
        assert (folder / "cut").read_bytes().count(b"\n") == log.counts.lines
    assert log.counts.bytes_in == len(output)


def test_rotation_keeps_the_newest_and_counts_and_marks_what_it_drops(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    lines = [b"line %04d\n" % number for number in range(500)]
    log = write(path, lines, max_bytes=5000, backups=2)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["job.jsonl", "job.jsonl.1", "job.jsonl.2"]
    assert all(file.stat().st_size <= 5000 for file in tmp_path.iterdir())
    kept = raw(path).splitlines(keepends=True)
    assert kept == lines[-len(kept) :]
    marks = [record.data for record in read_records(path) if "mark" in record.data]
    assert marks[-1]["mark"] == "dropped"
    assert marks[-1]["lines"] == log.dropped_lines
    assert len(kept) + log.dropped_lines == len(lines)


def test_rotation_counts_what_an_earlier_attempt_wrote(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [b"first attempt\n" * 7])
    log = write(path, [b"second attempt\n"], max_bytes=500, backups=0)
    assert log.dropped_lines == 7
    assert raw(path) == b"second attempt\n"


def test_a_single_block_may_exceed_the_size(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [b"x" * 1000 + b"\n"], max_bytes=100, backups=1)
    assert len(raw(path)) == 1001


def test_an_attempt_appends_and_mends_a_line_that_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    write(path, [b"one\n"])
    with path.open("ab") as file:
        file.write(b'{"time":"2026-03-')
    write(path, [b"two\n"])
    assert raw(path) == b"one\ntwo\n"


@pytest.mark.parametrize("line", [b"", b"torn", b"[1]", b'{"no": "record"}'])
def test_what_is_no_record_is_none(line: bytes) -> None:
    assert decode(line) is None


def test_the_log_is_for_our_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "job.jsonl"
    write(path, [b"secret\n"])
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (tmp_path / "a", tmp_path / "a" / "b", path)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_log_nobody_wrote_to_leaves_no_file(tmp_path: Path) -> None:
    write(tmp_path / "job.jsonl", [])
    assert list(tmp_path.iterdir()) == []
    assert list(read_records(tmp_path / "job.jsonl")) == []


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """A disk that is full beyond 4000 bytes of a file, as far as this process can tell (EFBIG instead of ENOSPC)."""
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, old)


@pytest.mark.usefixtures("file_size_limit")
def test_a_full_disk_costs_records_that_are_counted_and_marked_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "job.jsonl"
    log = open_log(path)
    sent = 0
    while not log.counts.lost_lines:
        log.feed("stdout", b"line %04d\n" % sent)
        sent += 1
    log.feed("stderr", b"lost too\n")
    written = path.read_bytes()
    assert written.endswith(b"}\n"), "a record that did not fit is taken back whole"
    soft, hard = resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft if hard == soft else hard, hard))
    log.feed("stdout", b"there is room\n")
    log.feed("stdout", b"and still is\n")
    assert contents(path)[-4:] == [
        {"stream": "stdout", "mark": "lost", "lines": 1, "size": 10},
        {"stream": "stderr", "mark": "lost", "lines": 1, "size": 9},
        {"stream": "stdout", "line": "there is room"},
        {"stream": "stdout", "line": "and still is"},
    ]
    assert (log.counts.lost_lines, log.counts.lost_bytes, log.counts.lines) == (2, 19, sent + 3)
    log.close()


@pytest.mark.usefixtures("file_size_limit")
def test_a_torn_record_that_cannot_be_taken_back_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _length: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    path = tmp_path / "job.jsonl"
    monkeypatch.setattr(os, "ftruncate", refuse)
    log = open_log(path, max_bytes=1 << 20)
    log.feed("stdout", b"one\n")
    log.feed("stdout", b"x" * 5000 + b"\n")
    log.feed("stdout", b"still full\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    log.feed("stdout", b"two\n")
    assert raw(path) == b"one\ntwo\n"
    assert log.counts.lost_lines == 2
    log.close()


def test_a_folder_that_cannot_be_made_costs_the_log_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = write(tmp_path / "file" / "job.jsonl", [b"one\ntwo\n", b"three"])
    assert (log.counts.lost_lines, log.counts.lost_bytes) == (3, 13)


def test_the_tail_holds_the_newest_and_counts_the_rest(tmp_path: Path) -> None:
    told: list[None] = []
    encoder = RecordEncoder(session_id="demo", worker_id="worker-1", attempt=2)
    log = JobLog(
        tmp_path / "log",
        encoder,
        limits=LogLimits(tail_records=3),
        on_tail=lambda: told.append(None),
        clock=lambda: NOON,
    )
    for number in range(10):
        log.feed("stdout", b"%d a\n%d b\n" % (number, number))
    tail = log.take_tail()
    assert [orjson.loads(record)["line"] for record in tail.records] == ["8 b", "9 a", "9 b"]
    assert tail.dropped == 17
    assert len(told) == 1, "told once, until it is taken"
    log.feed("stderr", b"new\n")
    tail = log.take_tail()
    assert ([orjson.loads(record)["line"] for record in tail.records], tail.dropped) == (["new"], 0)
    assert len(told) == 2
    assert log.take_tail().records == []
    log.close()


def test_the_tail_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", tail_bytes=400)
    for size in (300, 10, 10):
        log.feed("stdout", b"x" * size + b"\n")
    assert [len(orjson.loads(record)["line"]) for record in log.take_tail().records] == [10, 10]
    log.feed("stdout", b"x" * 500 + b"\n")
    assert log.take_tail().dropped == 1
    log.close()
