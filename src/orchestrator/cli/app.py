"""The typer application: its verbs are imported when they are called, or when help or a misspelling needs them all."""

from __future__ import annotations

from importlib import import_module
from traceback import walk_tb
from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.exceptions import NoSuchOption, UsageError  # typer gives them no public name
from typer.core import TyperCommand, TyperGroup

from orchestrator.cli import COMPLETION, PROGRAM, VERBS
from orchestrator.cli.output import Format, unwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

    # typer carries its own click, whose types it gives no other name.
    from typer._click import Command, Context

_HELP = {"help_option_names": ["-h", "--help"]}


class _Verbs(TyperGroup):
    """A group that knows its verbs' names and imports a verb when it is asked for it."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - typer's signature
        return list(VERBS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - typer's signature
        if cmd_name in VERBS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args[0] not in VERBS:  # what it might have meant is looked for among those that are loaded
            for name in VERBS:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


class _Verb(TyperCommand):
    """A verb whose usage errors are sentences of ours, and lead from `--json` to `-o json`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except NoSuchOption as error:
            form = error.option_name.removeprefix("--")
            if form in list(Format) and any(option.metavar == "FORMAT" for option in self.params):
                error.possibilities = [f"--output {form}"]
            raise
        except UsageError as error:
            # pydantic's words: `Value error, 'x' is …`, `Input should be a valid integer, unable to parse string as …`.
            said = error.message.removeprefix("Value error, ").replace("Input should be", "must be")
            error.message = said.partition(", unable to parse")[0]
            raise


def _load(name: str) -> Command:
    verb = getattr(import_module(f"orchestrator.cli.{name}"), name)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=_Verb, context_settings=_HELP)(verb)
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Verbs, context_settings=_HELP, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        from orchestrator.cli.version import version  # noqa: PLC0415 - only where it is asked for

        version()
        raise typer.Exit


@app.callback()
def _orch(
    version: Annotated[  # noqa: FBT002 - a flag is a parameter
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run tuning sessions: many parameter sets on many processes, with not one result lost.

    Begin with `orch run FILE`. Each verb has its own --help, and what answers takes `-o json` for programs.
    """


def run_app(argv: Sequence[str]) -> int:
    """Run the verb that the command line names; return its exit code.

    Raises:
        OrchError: stdout takes nothing of what typer writes by itself: help, and completions.
    """
    try:
        typer.main.get_command(app).main(args=list(argv), prog_name=PROGRAM, complete_var=COMPLETION)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except OSError as error:
        if any(frame.f_code is typer.echo.__code__ for frame, _ in walk_tb(error.__traceback__)):
            raise unwritable(error) from error
        raise
    return 0
