"""What a user sees when something goes wrong: a sentence and an exit code, and never a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestrator.cli.output import escaped, silence_stdout
from orchestrator.errors import OrchError, SpecError
from orchestrator.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
_STDERR = 2
_UNEXPECTED = 1
_READER_GONE = 1  # as typer has it too


def guarded(command: Callable[[], int]) -> int:
    """Carry out a command and return its exit code, whatever happens in it."""
    _open_what_is_closed()
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return _READER_GONE
    except Exception as error:  # noqa: BLE001 - the last stop of everything
        return _told(error)
    return code


def _open_what_is_closed() -> None:
    """Have all three standard streams, whoever started us without: no file of ours takes the place of one."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(opened)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as we live
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - the same


def _told(error: Exception) -> int:
    expected = _leaves(error)
    if all(isinstance(each, OrchError) for each in expected):
        first = next(each for each in expected if isinstance(each, OrchError))
        _say(_sentence(first))
        return first.exit_code
    _say(_unexpected(error))
    return _UNEXPECTED


def _leaves(error: Exception) -> list[BaseException]:
    """Take a task group's error apart: what its tasks raised is what happened."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in (_leaves(each) if isinstance(each, Exception) else [each])]


def _sentence(error: OrchError) -> str:
    if isinstance(error, SpecError) and len(error.problems) > 1:
        return f"{len(error.problems)} problems:\n{error}"
    return str(error)


def _unexpected(error: Exception) -> str:
    from orchestrator.settings import redact  # noqa: PLC0415 - rarely needed

    what = redact(f"{type(error).__name__}: {error}")
    try:
        report = _write_report(error)
    except OSError:
        return f"this should not have happened, please report it: {what}"
    return f"this should not have happened: {what}\nPlease report it with {report}"


def _write_report(error: Exception) -> Path:
    import traceback  # noqa: PLC0415 - rarely needed

    from orchestrator.clock import iso, utc_now  # noqa: PLC0415 - the same
    from orchestrator.settings import load_settings, redact  # noqa: PLC0415 - the same

    folder = load_settings(os.environ, Path.cwd()).state_dir / "crashes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    report = folder / f"{iso(utc_now()).replace(':', '')}-{os.getpid()}.txt"
    text = f"{sys.version}\n{redact(' '.join(sys.argv))}\n\n{redact(''.join(traceback.format_exception(error)))}"
    report.write_text(text, encoding="utf-8", errors="backslashreplace")
    return report


def _say(text: str) -> None:
    sys.stderr.write(f"orch: {escaped(text)}\n")
