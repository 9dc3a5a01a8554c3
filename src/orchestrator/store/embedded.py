"""The embedded store: a server of our own, started by whoever needs it first, stopped by the last who leaves.

Who is there is the kernel's knowledge, by two locks in the data directory, so that no death leaves anything to repair:
`server.lock` is held by the server itself, which inherits the descriptor; when it is free, there is no server.
`users.lock` is shared by all who use the server; who gets it alone is the last.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from hiredis import ReplyError

from orchestrator.errors import StateError, StoreUnreachableError
from orchestrator.frozen import TYPE_CHECKING
from orchestrator.store.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from orchestrator.settings import Settings

_LONGEST_SOCKET = 107  # bytes; the kernel's limit, less the final zero
_PAUSE = timedelta(milliseconds=5)
_PROBE = timedelta(seconds=1)
_TAIL_BYTES, _TAIL_LINES = 4096, 5
_ALL_USERS = 0o077


def data_exists(settings: Settings) -> bool:
    """Return whether the embedded store has ever held anything: a read-only verb starts no server for less.

    Raises:
        StoreUnreachableError: the state directory may not be looked into.
    """
    folder = settings.state_dir / "redis"
    with _explained(folder):
        try:
            (folder / "ENGINE").stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


class EmbeddedServer:
    """One user's hold on the embedded server. A context manager that gives the store's URL.

    It blocks, for some 40 ms where it has to start the server; an event loop calls it in a thread.

    Args:
        settings: of which `state_dir`, `runtime_dir` and `redis_server` count.
        patience: how long a server may take to start, to load its data, or to stop.
    """

    def __init__(self, settings: Settings, patience: timedelta = timedelta(seconds=30)) -> None:
        self._settings = settings
        self._patience = patience
        self._folder = settings.state_dir / "redis"
        self._socket = self._folder / "redis.sock"
        self._users: int | None = None
        self._trouble = ""
        self.pid: int | None = None
        """The server's process, as it said itself when it last was asked."""

    def acquire(self) -> str:
        """Make sure that a server runs, keep it from being stopped by others, and return its URL.

        Raises:
            StoreUnreachableError: it does not start or answer; the message has the last lines of its log.
            StateError: the data belongs to another user, or to a server that is not installed.
            SettingError: `redis_server` is no server that we can use.
        """
        if self._users is None:
            with _explained(self._folder):
                self._settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make_private(self._folder)
                self._users = self._join()
        try:
            self.ensure_running()
        except BaseException:
            os.close(self._users)
            self._users = None
            raise
        return self.url

    def ensure_running(self) -> None:
        """Start the server again if it died; to be called when the connection to it is lost.

        Raises:
            StoreUnreachableError, StateError, SettingError: as `acquire`.
        """
        started = False
        deadline = time.monotonic() + self._patience.total_seconds()
        with _explained(self._folder):
            while not self._answers():
                lock = self._lock_if_free()
                if lock is not None:
                    try:
                        if started:
                            raise self._failed("the embedded Redis server ended while it started")
                        self._start(lock)
                        started = True
                    finally:
                        os.close(lock)
                elif time.monotonic() > deadline:
                    raise self._failed(f"the embedded Redis server runs but does not answer: {self._trouble}")
                time.sleep(_PAUSE.total_seconds())

    def release(self) -> None:
        """Let go of the server; the last who does so stops it, which saves everything, and waits until it is gone.

        A server that cannot save or does not stop is left as it is: the next user adopts it.
        """
        if self._users is None:
            return
        try:
            if _try_lock(self._users, fcntl.LOCK_EX):
                self._stop()
        finally:
            os.close(self._users)
            self._users = None

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"unix://{quote(str(self._socket))}?db=0"

    def __enter__(self) -> str:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    # --- the two locks ------------------------------------------------------------------------------------------

    def _join(self) -> int:
        users = _open_lock(self._folder / "users.lock")
        deadline = time.monotonic() + self._patience.total_seconds()
        while not _try_lock(users, fcntl.LOCK_SH):  # the last user is stopping the server
            if time.monotonic() > deadline:
                os.close(users)
                raise StoreUnreachableError(f"the embedded Redis server in {self._folder} is being stopped; try again")
            time.sleep(_PAUSE.total_seconds())
        return users

    def _lock_if_free(self) -> int | None:
        lock = _open_lock(self._folder / "server.lock")
        if _try_lock(lock, fcntl.LOCK_EX):
            return lock
        os.close(lock)
        return None

    # --- the server ---------------------------------------------------------------------------------------------

    def _answers(self) -> bool:
        self._socket = self._find_socket()
        try:
            with Wire.connect(self.url, _PROBE) as wire:
                # PING is refused while it loads its data; the other two are not.
                info, where, _ = wire.pipeline([["INFO", "server"], ["CONFIG", "GET", "dir"], ["PING"]])
        except StoreUnreachableError as error:
            self._trouble = str(error)
            return False
        if isinstance(info, ReplyError) or isinstance(where, ReplyError):
            self._trouble = f"{info}; {where}"
            return False
        # Inside the data directory nobody else's socket can be; elsewhere a copied state directory may lead us astray.
        if self._socket.parent != self._folder and where[1] != str(self._folder.resolve()):
            self._trouble = f"{self._socket} is the socket of the data in {where[1]}"
            return False
        self.pid = int(dict(line.split(":", 1) for line in info.splitlines() if ":" in line)["process_id"])
        return True

    def _start(self, lock: int) -> None:
        """Start the server, which from here on holds the lock itself."""
        import subprocess  # noqa: PLC0415 - most users find a server that runs

        from orchestrator.store.engine import find_engine, read_engine, write_engine  # noqa: PLC0415 - the same

        record = self._folder / "ENGINE"
        written = read_engine(record)
        program, engine = find_engine(self._settings, written)
        self._socket = self._place_socket()
        if engine != written:
            write_engine(record, engine)
        # It puts itself in the background, in a session of its own, so that it is nobody's child: not its starter's to
        # reap, nor to take along, nor to be reached by a terminal's Ctrl-C.
        options = {
            "port": "0",
            "unixsocket": self._socket.name if self._socket.parent == self._folder else str(self._socket),
            "unixsocketperm": "700",
            "dir": ".",
            "appendonly": "yes",
            "appendfsync": "always",  # everysec would answer before a write has left the process: decisions/0009
            "save": "",
            "logfile": "redis.log",
            "pidfile": "redis.pid",
            "daemonize": "yes",
        }
        done = subprocess.run(
            [program, *(part for name, value in options.items() for part in (f"--{name}", value))],
            cwd=self._folder,
            env={},  # neither our secrets nor a NOTIFY_SOCKET are its business
            umask=_ALL_USERS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            check=False,
        )
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip()
            raise StoreUnreachableError(f"{program} refused to start as the embedded store: {said}")

    def _stop(self) -> None:
        with suppress(StoreUnreachableError):  # that is its answer: it is gone, or it was
            with Wire.connect(self.url, self._patience) as wire:
                wire.pipeline([["SHUTDOWN"]])
            return  # it refuses to stop: it cannot save
        deadline = time.monotonic() + self._patience.total_seconds()
        while (lock := self._lock_if_free()) is None and time.monotonic() < deadline:
            time.sleep(_PAUSE.total_seconds())
        if lock is not None:
            os.close(lock)
            if self._socket.parent != self._folder:
                with suppress(OSError):
                    self._socket.parent.rmdir()

    def _failed(self, what: str) -> StoreUnreachableError:
        log = self._folder / "redis.log"
        try:
            lines = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()[-_TAIL_LINES:]
        except FileNotFoundError:
            lines = []
        return StoreUnreachableError("\n  ".join([f"{what}; the end of its log, {log}:", *lines]))

    # --- its socket ---------------------------------------------------------------------------------------------

    def _find_socket(self) -> Path:
        """Where it would be: in the data directory, or if that path is too long, where a link there leads."""
        link = self._folder / "redis.sock"
        if _fits(link):
            return link
        with suppress(OSError):
            return link.readlink()
        return link

    def _place_socket(self) -> Path:
        link = self._folder / "redis.sock"
        if _fits(link):
            return link
        from hashlib import sha256  # noqa: PLC0415 - few paths are so long

        name = f"orch-{os.geteuid()}-{sha256(os.fsencode(self._folder)).hexdigest()[:16]}"
        socket = Path("/tmp", name, "redis.sock")  # noqa: S108 - made private, and refused where it is another's
        runtime = self._settings.runtime_dir
        if runtime is not None and runtime.is_dir() and _fits(runtime / name / "redis.sock"):
            socket = runtime / name / "redis.sock"
        _make_private(socket.parent)
        link.unlink(missing_ok=True)
        link.symlink_to(socket)
        return socket


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= _LONGEST_SOCKET


def _make_private(folder: Path) -> None:
    """Make a directory that nobody else can look into, or make sure that one is that; follow no link to it.

    Raises:
        StateError: it is another user's.
        OSError: it cannot be made, or is no directory.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(opened)
        if status.st_uid != os.geteuid():
            raise StateError(
                f"{folder} belongs to another user (uid {status.st_uid}): be that user, or set ORCH_STATE_DIR"
            )
        if status.st_mode & _ALL_USERS:
            os.fchmod(opened, 0o700)
    finally:
        os.close(opened)


def _open_lock(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise StoreUnreachableError(
            f"the embedded store cannot use {where}: {error.strerror}; set ORCH_STATE_DIR to a directory of your own"
        ) from error
