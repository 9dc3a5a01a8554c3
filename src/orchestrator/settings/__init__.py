"""The settings of the whole program: what they are, where each value came from, and nothing slow to import.

`orch status` is polled, so no parser of any kind is imported here before there is something to parse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from orchestrator.errors import SettingError, UsageError
from orchestrator.frozen import TYPE_CHECKING, frozen
from orchestrator.settings import parsers

if TYPE_CHECKING:
    from typing import Any

SYSTEM_FILE = Path("/etc/orch/orch.toml")
"""The last file that is looked at: the machine's own."""

HIDDEN = "***"
"""What is shown in place of a secret."""

Environ = Mapping[str, str]

_IN_AUTHORITY = r"""(?<=://)([^\s:@/"'<>]*):[^\s"'<>]*@"""
_IN_QUERY = r"""([?&](?:ssl_)?password=)[^&\s"'<>]*"""


def redact(text: str) -> str:
    """Hide the passwords of all URLs in a text; hides too much rather than too little."""
    if "://" not in text or ("@" not in text and "password=" not in text):
        return text  # no pattern need be compiled, which takes its time
    return re.sub(_IN_QUERY, rf"\1{HIDDEN}", re.sub(_IN_AUTHORITY, rf"\1:{HIDDEN}@", text))


@frozen
class Definition:
    """What there is to know about one setting.

    Attributes:
        name: as in orch.toml; in the environment it is `ORCH_` and the name in capitals.
        doc: one line.
        parse: from what a person wrote to a value; raises ValueError with a sentence.
        default: what a person would write, or a function of the environment that returns it; None is no value.
        secret: is shown redacted, and can be read from the file that `ORCH_<NAME>_FILE` names.
    """

    name: str
    doc: str
    parse: Callable[[object], object]
    default: object = None
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"ORCH_{self.name.upper()}"


def _home(environ: Environ) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _xdg(environ: Environ, variable: str, fallback: str) -> Path:
    given = Path(environ.get(variable, ""))
    return given if given.is_absolute() else _home(environ) / fallback  # the XDG specification: ignore a relative one


def _state_dir(environ: Environ) -> Path:
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "orch"


def _runtime_dir(environ: Environ) -> Path | None:
    given = Path(environ.get("XDG_RUNTIME_DIR", ""))
    return given if given.is_absolute() else None


def _cores(_environ: Environ) -> int:
    return len(os.sched_getaffinity(0))


_SECOND = timedelta(seconds=1)

DEFINITIONS = (
    Definition(
        "redis_url", "the store; `embedded` is a server of our own", parsers.redis_url, default="embedded", secret=True
    ),
    Definition("redis_server", "the server program to embed; else the bundled one, else the system's", parsers.path),
    Definition(
        "allow_insecure_redis", "hosts whose Redis may do without TLS or without a password", parsers.hosts, default=()
    ),
    Definition("state_dir", "where logs and the embedded store are kept", parsers.path, default=_state_dir),
    Definition(
        "runtime_dir", "where a socket goes whose path in state_dir is too long", parsers.path, default=_runtime_dir
    ),
    Definition("env", "the deployment's name; it separates keys", parsers.name, default="docker"),
    Definition("key_prefix", "the part of key names that follows env and mode", parsers.name, default="arbitrage"),
    Definition("max_jobs", "jobs that run at once", parsers.count(1), default=_cores),
    Definition("worker_python", "the interpreter that runs the worker; else our own", parsers.program),
    Definition(
        "pass_env", "variables of our own environment that jobs see too: NAME or PREFIX_*", parsers.words, default=()
    ),
    Definition(
        "retention", "how long a finished session is kept", parsers.duration(_SECOND), default=timedelta(days=30)
    ),
    Definition("log_max_bytes", "a job's log file is rotated at this size", parsers.size, default="50MiB"),
    Definition("log_backups", "rotated log files kept for each job", parsers.count(0), default=3),
    Definition("tail_lines", "a job's last lines of output that the store keeps", parsers.count(1), default=1000),
    Definition(
        "retry_backoff", "the pause before a job's second attempt", parsers.duration(timedelta(0)), default=_SECOND
    ),
    Definition(
        "retry_backoff_max", "the longest pause before an attempt", parsers.duration(timedelta(0)), default=60 * _SECOND
    ),
    Definition(
        "lease_ttl", "a daemon silent for so long is taken for dead", parsers.duration(_SECOND), default=10 * _SECOND
    ),
    Definition("output_roots", "where set, CSVs are written below these directories only", parsers.paths, default=()),
    Definition(
        "log_format",
        "our own events on stderr; auto: console on a terminal, else json",
        parsers.choice("auto", "json", "console"),
        default="auto",
    ),
    Definition(
        "log_level", "events below it are dropped", parsers.choice("debug", "info", "warning", "error"), default="info"
    ),
)
"""Every setting, in the order in which they are shown."""

LASTING = frozenset(
    {
        *("redis_url", "redis_server", "allow_insecure_redis", "state_dir", "runtime_dir"),
        *("env", "key_prefix", "retention", "lease_ttl"),
    }
)
"""Those that a daemon takes at its start for good: a reload cannot change them."""


@frozen
class Settings:
    """The settings in force, made by `load_settings`; `DEFINITIONS` says what each is. All paths are absolute."""

    redis_url: str | None
    redis_server: Path | None
    allow_insecure_redis: tuple[str, ...]
    state_dir: Path
    runtime_dir: Path | None
    env: str
    key_prefix: str
    max_jobs: int
    worker_python: Path | str | None
    pass_env: tuple[str, ...]
    retention: timedelta
    log_max_bytes: int
    log_backups: int
    tail_lines: int
    retry_backoff: timedelta
    retry_backoff_max: timedelta
    lease_ttl: timedelta
    output_roots: tuple[Path, ...]
    log_format: str
    log_level: str
    origins: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value, _ in self.shown())})"

    @property
    def heartbeat(self) -> timedelta:
        """How often a lease is renewed: three times in its life."""
        return self.lease_ttl / 3

    def origin(self, name: str) -> str:
        """Return where a value came from, e.g. `environment ORCH_REDIS_URL`, `/etc/orch/orch.toml`, `default`."""
        return self.origins[name]

    def shown(self) -> list[tuple[str, str, str]]:
        """Return (name, value as text with secrets hidden, origin) of each setting."""
        return [(each.name, _shown(each, getattr(self, each.name)), self.origins[each.name]) for each in DEFINITIONS]


def _shown(definition: Definition, value: object) -> str:
    if value is None:
        return definition.default if isinstance(definition.default, str) else "not set"
    if isinstance(value, timedelta):
        from orchestrator.domain.durations import format_duration  # noqa: PLC0415 - `doctor` shows, `status` does not

        return format_duration(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return redact(str(value)) if definition.secret else str(value)


# --- where values come from -----------------------------------------------------------------------------------------


@frozen
class _Given:
    value: object
    origin: str
    base: Path  # where a relative path starts


def load_settings(
    environ: Environ,
    cwd: Path,
    overrides: Mapping[str, object] = MappingProxyType({}),
    *,
    system_file: Path = SYSTEM_FILE,
) -> Settings:
    """Find each setting's value: command line, environment, ./orch.toml, the user's, the machine's, default.

    A relative path starts at `cwd`, or in a file at the file's own directory; `~` is the home directory. An empty
    environment variable counts as not set.

    Args:
        environ: the environment, usually `os.environ`.
        cwd: the directory, absolute, that holds ./orch.toml.
        overrides: what the command line says, by setting name; None counts as not given.
        system_file: the machine's own file.

    Raises:
        SettingError: a value cannot be used, or there is no setting of that name.
        UsageError: a file cannot be read or is not TOML.
    """
    home = _home(environ)
    sources = [
        _from_table({name: value for name, value in overrides.items() if value is not None}, "command line", cwd),
        _from_environment(environ, cwd),
        _from_file(cwd / "orch.toml"),
        _from_file(_xdg(environ, "XDG_CONFIG_HOME", ".config") / "orch" / "orch.toml"),
        _from_file(system_file),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for definition in DEFINITIONS:
        default = definition.default(environ) if callable(definition.default) else definition.default
        given = next((s[definition.name] for s in sources if definition.name in s), _Given(default, "default", cwd))
        values[definition.name] = _anchored(_parsed(definition, given), given.base, home)
        origins[definition.name] = given.origin
    return Settings(**values, origins=MappingProxyType(origins))


def _from_environment(environ: Environ, cwd: Path) -> dict[str, _Given]:
    given = {}
    for definition in DEFINITIONS:
        variable = definition.variable
        if value := environ.get(variable):
            given[definition.name] = _Given(value, f"environment {variable}", cwd)
        if definition.secret and (path := environ.get(f"{variable}_FILE")):
            if value:
                message = f"{variable} is set too; unset one of them"
                raise SettingError(definition.name, path, f"environment {variable}_FILE", message)
            given[definition.name] = _secret(definition, cwd / path)
    return given


def _secret(definition: Definition, path: Path) -> _Given:
    origin = f"environment {definition.variable}_FILE"
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(definition.name, str(path), origin, f"the file cannot be read: {_why(error)}") from error
    return _Given(value, f"{origin} ({path})", path.parent)


def _from_file(path: Path) -> dict[str, _Given]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {_why(error)}") from error
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        table = tomllib.loads(content.decode())
    except ValueError as error:  # both TOMLDecodeError and UnicodeDecodeError are
        raise UsageError(f"{path}: is not TOML: {error}") from error
    return _from_table(table, str(path), path.parent)


def _from_table(table: Mapping[str, object], origin: str, base: Path) -> dict[str, _Given]:
    names = [definition.name for definition in DEFINITIONS]
    for name, value in table.items():
        if name not in names:
            import difflib  # noqa: PLC0415 - only where something is wrong

            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            shown = redact(value) if isinstance(value, str) else value
            raise SettingError(name, shown, origin, f"there is no such setting; {hint}")
    return {name: _Given(value, origin, base) for name, value in table.items()}


def _parsed(definition: Definition, given: _Given) -> object:
    if given.value is None:
        return None
    try:
        return definition.parse(given.value)
    except ValueError as error:
        value = HIDDEN if definition.secret else given.value
        raise SettingError(definition.name, value, given.origin, str(error)) from error


def _anchored(value: object, base: Path, home: Path) -> object:
    if isinstance(value, tuple):
        return tuple(_anchored(part, base, home) for part in value)
    if not isinstance(value, Path):
        return value
    return home.joinpath(*value.parts[1:]) if value.parts[:1] == ("~",) else base / value


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
