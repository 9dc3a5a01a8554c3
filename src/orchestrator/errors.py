"""One small tree of errors. They carry fields; `str()` of one is a sentence a user can act on.

Every error that may reach a user is an `OrchError`; its `exit_code` is what the command line returns for it
(the codes are listed in `docs/reference/cli.md`).
"""

from __future__ import annotations

from orchestrator.frozen import TYPE_CHECKING, frozen

if TYPE_CHECKING:
    from typing import ClassVar


class OrchError(Exception):
    """The root: anything that `orch` tells its user instead of showing a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(OrchError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


@frozen
class Problem:
    """One thing that is wrong with a file.

    Attributes:
        message: what is wrong and what to do, without its place.
        source: the file (or `--set`), as the user named it.
        line: 1-based, or None where the problem has no single place.
        column: 1-based, or None.
        path: the keys that lead to the value, e.g. `("search_space", "lr", "bounds")`.
    """

    message: str
    source: str
    line: int | None = None
    column: int | None = None
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)
        key = ".".join(str(part) for part in self.path)
        return f"{place}: {key}: {self.message}" if key else f"{place}: {self.message}"


class SpecError(UsageError):
    """A session file, a tuning config or an override is wrong. All problems of it are carried at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class SettingError(UsageError):
    """A setting has a value that cannot be used."""

    def __init__(self, name: str, value: object, origin: str, message: str) -> None:
        super().__init__(name, value, origin, message)
        self.name, self.value, self.origin, self.message = name, value, origin, message

    def __str__(self) -> str:
        return f"{self.origin}: {self.name}: {self.message} (got {self.value!r})"


class NotFoundError(OrchError):
    """The named session, job or iteration is not in the store."""

    exit_code = 3


class StoreUnreachableError(OrchError):
    """The store cannot be reached; what was asked for may be tried again."""

    exit_code = 4


class StateError(OrchError):
    """What was asked for is not possible in the present state; the message says what is."""

    exit_code = 5


class FencedError(StateError):
    """Somebody else owns this now (a newer fencing token): write nothing more."""
