from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import pytest
from hiredis import ReplyError

from orchestrator.errors import StoreUnreachableError
from orchestrator.settings import load_settings
from orchestrator.store.engine import find_engine
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.every_python

PASSWORD = "p@ss:w/rd %"  # noqa: S105 - of a server that lives as long as its test
ENOUGH = timedelta(seconds=100)
SOON = timedelta(milliseconds=200)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


class Server:
    """A real server, without persistence, on a unix socket and a port of loopback."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.unix = folder / "s"
        program, _ = find_engine(load_settings({"HOME": str(folder)}, folder, system_file=folder / "none"), None)
        listen = ("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.unix))
        quiet = ("--save", "", "--logfile", str(folder / "log"))
        self.process = subprocess.Popen([program, *listen, *quiet, *options], cwd=folder, env={})

    def url(self, who: str = "", db: int = 0) -> str:
        return f"redis://{who}127.0.0.1:{self.port}/{db}"

    def unix_url(self, who: str = "", db: int = 0) -> str:
        return f"unix://{who}{self.unix}?db={db}"

    def wait_until(self, condition: Callable[[], bool]) -> None:
        holds = False
        while not holds:
            assert self.process.poll() is None
            time.sleep(0.005)
            holds = condition()

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.unix)) == 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Server]:
    server = Server(folder, *options)
    try:
        server.wait_until(server.listens)
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("locked")
    folder.joinpath("acl").write_text(f"user default on #{_sha(PASSWORD)} ~* +@all\nuser me on >mine ~* +get\n")
    with running(folder, "--aclfile", str(folder / "acl")) as server:
        yield server


def _sha(text: str) -> str:
    from hashlib import sha256  # noqa: PLC0415 - of this one line

    return sha256(text.encode()).hexdigest()


def refusal(url: str, timeout: timedelta = ENOUGH) -> str:
    with pytest.raises(StoreUnreachableError) as caught, Wire.connect(url, timeout) as wire:
        wire.pipeline([["PING"]])
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD, safe="") not in str(caught.value)
    return str(caught.value)


# --- what it is for -----------------------------------------------------------------------------------------------


def test_replies_come_in_order_and_as_what_they_are(server: Server) -> None:
    for url in (server.url(), server.unix_url()):
        with Wire.connect(url) as wire:
            replies = wire.pipeline(
                [
                    ["DEL", "k", "h", "n"],
                    ["SET", b"k", "é\r\n"],
                    ["GET", "k"],
                    ["INCRBY", "n", 41],
                    ["HSET", "h", "a", "1"],
                    ["HGETALL", "h"],
                    ["GET", "missing"],
                ]
            )
            assert replies[1:] == ["OK", "é\r\n", 41, 1, ["a", "1"], None]
            assert wire.pipeline([]) == []
            assert wire.pipeline([["INCR", "n"]]) == [42]


def test_a_refused_command_does_not_spoil_the_others(server: Server) -> None:
    with Wire.connect(server.url()) as wire:
        before, refused, after = wire.pipeline([["SET", "text", "x"], ["INCR", "text"], ["GET", "text"]])
    assert (before, after) == ("OK", "x")
    assert isinstance(refused, ReplyError)
    assert str(refused).startswith("ERR value is not an integer")


def test_much_is_sent_and_received(server: Server) -> None:
    values = [str(number) * 1000 for number in range(2000)]
    with Wire.connect(server.unix_url()) as wire:
        wire.pipeline([["SET", f"much:{number}", value] for number, value in enumerate(values)])
        assert wire.pipeline([["GET", f"much:{number}"] for number in range(len(values))]) == values


def test_bytes_that_are_no_text_are_replaced(server: Server) -> None:
    with Wire.connect(server.unix_url()) as wire:
        assert wire.pipeline([["SET", "raw", b"a\xff"], ["GET", "raw"]]) == ["OK", "a\ufffd"]


def test_the_database_of_the_url_is_used(server: Server) -> None:
    with Wire.connect(server.url(db=3)) as three, Wire.connect(server.unix_url(db=3)) as same:
        three.pipeline([["SET", "where", "three"]])
        assert same.pipeline([["GET", "where"]]) == ["three"]
    with Wire.connect(server.url()) as zero:
        assert zero.pipeline([["GET", "where"]]) == [None]
    assert "DB index is out of range" in refusal(server.url(db=99))


def test_closing_may_be_repeated(server: Server) -> None:
    wire = Wire.connect(server.url())
    wire.close()
    wire.close()


# --- passwords ----------------------------------------------------------------------------------------------------


def test_passwords_and_users(locked: Server) -> None:
    who = f":{quote(PASSWORD, safe='')}@"
    for url in (locked.url(who), locked.unix_url(who, db=2)):
        with Wire.connect(url) as wire:
            assert wire.pipeline([["PING"]]) == ["PONG"]
    with Wire.connect(locked.url("me:mine@")) as wire:
        value, denied = wire.pipeline([["GET", "k"], ["SET", "k", "v"]])
        assert value is None
        assert str(denied).startswith("NOPERM")  # about one command: the others' replies are still worth having


def test_who_is_not_let_in_is_told(locked: Server) -> None:
    assert "NOAUTH" in refusal(locked.url())
    assert "WRONGPASS" in refusal(locked.url(f":{quote(PASSWORD, safe='')}x@"))
    assert "WRONGPASS" in refusal(locked.unix_url("nobody:mine@"))
    assert "***" in refusal(locked.unix_url("nobody:mine@"))


def test_a_password_that_nobody_asked_for_is_refused(server: Server) -> None:
    assert "without any password configured" in refusal(server.url(":none@"))


# --- nobody there, or nobody useful -------------------------------------------------------------------------------


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen on loopback as something that is no Redis, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                answer(connection)
                connection.recv(100)  # until the other side goes

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_nobody_listens(tmp_path: Path) -> None:
    assert refusal(f"unix://{tmp_path}/none.sock") == (
        f"the store at unix://{tmp_path}/none.sock cannot be reached: No such file or directory"
    )
    assert "Connection refused" in refusal(f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}")
    assert "path too long" in refusal(f"unix:///{'x' * 200}")
    assert "cannot be reached" in refusal(f"redis://{'x' * 70}.invalid")
    assert "that is no URL of a store" in refusal("redis://store:port")


def test_somebody_else_answers() -> None:
    with answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        assert "does not answer: Protocol error" in refusal(url)


def test_it_hangs_up() -> None:
    with answering(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as url:
        assert refusal(url).endswith("does not answer: it closed the connection")


def test_it_never_answers() -> None:
    with answering(lambda _: None) as url:
        assert refusal(url, SOON).endswith("does not answer: no answer in time")


def test_a_server_that_is_still_loading_is_not_there_yet(tmp_path: Path) -> None:
    keep = ("--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no")
    with running(tmp_path, *keep) as server, Wire.connect(server.unix_url()) as wire:
        wire.pipeline([["SET", f"key:{number}", "x" * 100] for number in range(20_000)])
    slowly = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    with running(tmp_path, *keep, *slowly) as server:
        assert "LOADING" in refusal(server.unix_url())


def test_a_connection_that_was_lost_is_closed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        wire = Wire.connect(server.unix_url())
        server.end()
        with pytest.raises(StoreUnreachableError):
            wire.pipeline([["PING"]])
        with pytest.raises(StoreUnreachableError):
            wire.pipeline([["PING"]])


# --- TLS ----------------------------------------------------------------------------------------------------------

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes certificates, is absent"
)


class Tunnel:
    """A TLS endpoint before a server: the bundled one has no TLS of its own."""

    def __init__(self, folder: Path, behind: int, *, ask_client: bool = False) -> None:
        self.folder = folder
        self.behind = behind
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        if ask_client:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(folder / "cert.pem")
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve_one)

    def url(self, host: str = "localhost", /, **options: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"rediss://{host}:{self.listening.getsockname()[1]}/0?{query}"

    def _serve_one(self) -> None:
        connection, _ = self.listening.accept()
        with ExitStack() as stack:
            stack.callback(connection.close)
            try:
                front = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
                back = stack.enter_context(socket.create_connection(("127.0.0.1", self.behind)))
                while data := front.recv(65536):
                    back.sendall(data)
                    front.sendall(back.recv(65536))
            except (ssl.SSLError, ConnectionError):
                return

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.listening.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    subprocess.run(
        [*make, "-keyout", "key.pem", "-out", "cert.pem", *subject], cwd=folder, check=True, capture_output=True
    )
    return folder


@needs_openssl
@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("localhost", {"ssl_ca_certs": "cert.pem"}),
        ("127.0.0.1", {"ssl_ca_certs": "cert.pem", "ssl_check_hostname": "false"}),
        ("127.0.0.1", {"ssl_cert_reqs": "none"}),
    ],
)
def test_tls(server: Server, certified: Path, host: str, options: dict[str, str]) -> None:
    options = {name: str(certified / value) if value.endswith(".pem") else value for name, value in options.items()}
    with Tunnel(certified, server.port) as tunnel, Wire.connect(tunnel.url(host, **options)) as wire:
        assert wire.pipeline([["PING"], ["ECHO", "x"]]) == ["PONG", "x"]


@needs_openssl
def test_tls_with_a_certificate_of_our_own(server: Server, certified: Path) -> None:
    ours = {"ssl_certfile": certified / "cert.pem", "ssl_keyfile": certified / "key.pem"}
    with (
        Tunnel(certified, server.port, ask_client=True) as tunnel,
        Wire.connect(tunnel.url(ssl_ca_certs=certified / "cert.pem", **ours)) as wire,
    ):
        assert wire.pipeline([["PING"]]) == ["PONG"]


@needs_openssl
def test_a_server_that_is_not_who_it_says_is_refused(server: Server, certified: Path) -> None:
    with Tunnel(certified, server.port) as tunnel:
        assert "certificate verify failed" in refusal(tunnel.url().lower())
    with Tunnel(certified, server.port) as tunnel:
        assert "certificate verify failed" in refusal(tunnel.url("127.0.0.1", ssl_ca_certs=certified / "cert.pem"))
    with Tunnel(certified, server.port) as tunnel:
        assert "No such file or directory" in refusal(tunnel.url(ssl_ca_certs=certified / "none.pem"))
