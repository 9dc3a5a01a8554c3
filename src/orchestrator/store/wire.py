"""A minimal synchronous Redis client, for read-only verbs and probes: it connects at once or says why not.

redis-py takes ten times as long to import as this takes to ask, and retries for seconds where an answer is wanted.
"""

from __future__ import annotations

import socket
from datetime import timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

from hiredis import HiredisError, Reader, ReplyError, pack_command

from orchestrator.errors import SettingError, StoreUnreachableError
from orchestrator.frozen import TYPE_CHECKING, frozen
from orchestrator.settings import redact

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from orchestrator.settings import Settings

_CHUNK = 65536
_NOT_NOW = ("LOADING", "BUSY ", "MASTERDOWN", "NOAUTH", "WRONGPASS", "DENIED", "ERR max number of clients")
"""Error replies that are about the server or our access to it, not about the one command."""


@frozen
class Address:
    """Where a store is, as its URL says; understood as redis-py does.

    Attributes:
        path: of a unix socket; else None and `host` and `port` say where.
        options: the URL's query, of which `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs` and
            `ssl_check_hostname` mean something here.
    """

    path: str | None
    host: str
    port: int
    username: str | None
    password: str | None
    db: int
    tls: bool
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Address({self.path or f'{self.host}:{self.port}'}, db={self.db})"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart.

        Raises:
            ValueError: it is no URL of a store; the settings' parser refuses those, with their origin.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query))
            local = parts.scheme == "unix"
            port = parts.port or 6379
            db = int(options.get("db") or ("" if local else parts.path.strip("/")) or 0)
        except ValueError:  # its message holds a piece of the URL, perhaps of the password
            raise ValueError("that is no URL of a store") from None
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("the URL of a store starts with redis://, rediss:// or unix://")
        return cls(
            path=unquote(parts.path) if local else None,
            host=unquote(parts.hostname or "localhost"),
            port=port,
            username=unquote(parts.username) if parts.username else options.get("username"),
            password=unquote(parts.password) if parts.password else options.get("password"),
            db=db,
            tls=parts.scheme == "rediss",
            options=options,
        )

    def is_local(self) -> bool:
        """Return whether what is sent there cannot leave this machine."""
        from ipaddress import ip_address  # noqa: PLC0415 - the embedded server's address never gets here

        try:
            return self.path is not None or self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def greeting(self) -> list[tuple[str, ...]]:
        """Return the commands that a new connection starts with."""
        commands: list[tuple[str, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", *((self.username,) if self.username else ()), self.password))
        if self.db:
            commands.append(("SELECT", str(self.db)))
        return commands


def check_url(settings: Settings) -> None:
    """Refuse a Redis reached over the network without a password or without TLS, unless its host is allowed by name.

    Who can write to the store, or read a password on its way there, can run code as the daemon's user.

    Raises:
        SettingError: it is one of those.
    """
    if settings.redis_url is None:
        return
    address = Address.parse(settings.redis_url)
    if address.is_local() or address.host in settings.allow_insecure_redis:
        return
    missing = [] if address.password or "ssl_certfile" in address.options else ["a password"]
    missing += [] if address.tls else ["TLS (rediss://)"]
    if missing:
        raise SettingError(
            "redis_url",
            redact(settings.redis_url),
            settings.origin("redis_url"),
            f"over the network it needs {' and '.join(missing)}; "
            f"if that network is yours alone, set ORCH_ALLOW_INSECURE_REDIS={address.host}",
        )


class Wire:
    """One connection. A context manager; after a StoreUnreachableError it is closed and of no more use."""

    __slots__ = ("_reader", "_socket", "_timeout", "_where")

    def __init__(self, connected: socket.socket, where: str, timeout: timedelta) -> None:
        self._socket = connected
        self._where = where
        self._timeout = timeout
        self._reader = Reader(encoding="utf-8", errors="replace")

    @classmethod
    def connect(cls, url: str, timeout: timedelta = timedelta(seconds=5)) -> Self:
        """Connect, authenticate and select the database.

        Args:
            url: of a store, `redis://`, `rediss://` or `unix://`.
            timeout: for connecting, and later for each wait for the server.

        Raises:
            StoreUnreachableError: nobody listens or answers there, or it does not let us in.
        """
        where = redact(url)
        try:
            address = Address.parse(url)
            connected = _open(address, timeout.total_seconds())
        except (OSError, ValueError) as error:  # a host name that cannot be one is a ValueError
            raise StoreUnreachableError(f"the store at {where} cannot be reached: {_why(error)}") from error
        wire = cls(connected, where, timeout)
        for reply in wire.pipeline(address.greeting()):
            if isinstance(reply, ReplyError):
                raise wire._unreachable(str(reply))
        return wire

    def pipeline(self, commands: Sequence[Sequence[str | bytes | int]], timeout: timedelta | None = None) -> list[Any]:
        """Send some commands at once and return their replies, in order.

        Args:
            commands: each as its words.
            timeout: for each wait for the server, if another than the connection's.

        Returns:
            A reply for each: str (bytes that are no UTF-8 are replaced), int, None, list, or a `hiredis.ReplyError`
            where the server refused that one command.

        Raises:
            StoreUnreachableError: the connection is lost, or the server answers nobody now (it is loading) or not us.
        """
        try:
            self._socket.settimeout((timeout or self._timeout).total_seconds())
            packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]  # its stub means tuples of one
            self._socket.sendall(b"".join(packed))
            replies = [self._read() for _ in commands]
        except (OSError, HiredisError) as error:
            raise self._unreachable(_why(error)) from error
        for reply in replies:
            if isinstance(reply, ReplyError) and str(reply).startswith(_NOT_NOW):
                raise self._unreachable(str(reply))
        return replies

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._reader.feed(data)
        return reply

    def _unreachable(self, why: str) -> StoreUnreachableError:
        self.close()
        return StoreUnreachableError(f"the store at {self._where} does not answer: {why}")

    def close(self) -> None:
        """Disconnect; may be repeated."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _open(address: Address, timeout: float) -> socket.socket:
    if address.path is not None:
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(timeout)
        try:
            connected.connect(address.path)
        except OSError:
            connected.close()
            raise
        return connected
    connected = socket.create_connection((address.host, address.port), timeout)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not address.tls:
        return connected
    try:
        return _tls_context(address.options).wrap_socket(connected, server_hostname=address.host)
    except OSError:
        connected.close()
        raise


def _tls_context(options: Mapping[str, str]) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - few need it, and all would wait for it

    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    verify = options.get("ssl_cert_reqs", "required")
    if verify == "none" or options.get("ssl_check_hostname", "true").lower() in {"false", "0", "no", "off"}:
        context.check_hostname = False
    if verify == "none":
        context.verify_mode = ssl.CERT_NONE
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    return context


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
