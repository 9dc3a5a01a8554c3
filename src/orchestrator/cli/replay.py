"""`orch replay`: evaluates a recorded iteration again and compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.asking_worker import ask_in_place
from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import settings_here
from orchestrator.cli.tables import columns, named, plural, width

if TYPE_CHECKING:
    from collections.abc import Mapping

Iteration = Annotated[int, typer.Argument(metavar="ITERATION", min=1, help="Its number within its worker.")]
Worker = Annotated[
    str | None, typer.Option(metavar="WORKER", help="Whose, e.g. worker-1; needed where there are several.")
]
Tolerance = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        min=0,
        max=0.5,
        help="Numbers that differ by a smaller share, e.g. 1e-9, count as the same; 0: not a bit.",
    ),
]


def replay(
    session: Session,
    iteration: Iteration,
    worker: Worker = None,
    tolerance: Tolerance = 0.0,
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Evaluate a recorded iteration again, and compare.

    It is done with what the session kept, and every figure is compared. Exits with 0 where all are the same, 1 where
    one differs. Nothing is recorded.
    """
    settings = settings_here(env)
    arguments = ["--iteration", str(iteration), "--tolerance", repr(tolerance)]
    arguments += ["--worker", worker] if worker else []
    found = ask_in_place(session, settings, "replay", arguments)
    shown = Shown(
        document=lambda: {**found, "env": settings.env},
        table=lambda: _table(found, width()),
        quiet=lambda: "same" if found["same"] else "different",
    )
    write(shown, output)
    if not found["same"]:
        raise typer.Exit(1)


def _table(found: Mapping[str, Any], limit: int | None) -> str:
    figures = found["figures"]
    others = [figure for figure in figures if not figure["same"]]
    within = f" within {found['tolerance']:g}" if found["tolerance"] else ""
    values = [
        ("iteration", f"{found['iteration']} of {found['worker_id']} (g {found['g']})"),
        ("result", f"all {plural(len(figures), 'figure')} are the same{within}" if found["same"] else "different"),
        ("reason", one_line(found["reason"] or "")),
        *(
            ("not as then", f"{each['name']}: {each['recorded'] or '-'}, here {each['here'] or '-'}")
            for each in found["differences"]
        ),
    ]
    rows = [(one_line(each["name"]), _exact(each["recorded"]), _exact(each["replayed"])) for each in others]
    table = f"\n\n{columns(('FIGURE', 'RECORDED', 'REPLAYED'), rows, limit)}" if rows else ""
    return f"{named(values, limit)}{table}"


def _exact(figure: float | str | None) -> str:
    return "-" if figure is None else one_line(str(figure))
