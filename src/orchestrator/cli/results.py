"""`orch results`: what a session's iterations gave."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import Env, Output, Session, Worker  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import columns as aligned
from orchestrator.cli.tables import number, width
from orchestrator.domain.conditions import Condition, find_field, parse_condition, read_fields
from orchestrator.domain.fronts import pareto_front, read_objectives
from orchestrator.domain.iteration import IterationStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.domain.conditions import Field

    Result = Mapping[str, Any]


Top = Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the N best.")]
By = Annotated[
    str | None,
    typer.Option(
        "--by", "--metric", metavar="NAME", help="Rank by this metric or parameter, in the objective's direction."
    ),
]
Ascending = Annotated[
    bool | None, typer.Option("--ascending/--descending", help="The direction of --by, where it is another.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="CONDITION", help="Only where it holds, e.g. 'net_pnl > 0'; may be repeated."),
]
Status = Annotated[
    IterationStatus | None,
    typer.Option(case_sensitive=False, metavar="STATUS", help="Only these: SUCCESS, FAILED or PRUNED."),
]
Columns = Annotated[
    str | None, typer.Option(metavar="NAMES", help="The columns of the table, with commas between: g,value,net_pnl.")
]


def results(  # noqa: PLR0913, PLR0917 - each is an option
    session: Session,
    top: Top = None,
    by: By = None,
    ascending: Ascending = None,
    where: Where = None,
    status: Status = None,
    worker: Worker = None,
    columns: Columns = None,
    env: Env = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what the iterations of a session gave.

    They are in the order in which they were recorded; with --top or --by, best first. G counts the iterations of the
    session, from 0, ITERATION those of its worker, from 1. A name is a metric's or else a parameter's; params_NAME and
    metrics_NAME are exact. With several objectives, those that no other beats in all of them are marked.
    """
    question = _Question(top, by, ascending, tuple(map(parse_condition, where or ())), status, worker, _names(columns))
    with open_client(settings_here(env)) as client:
        record = client.get_record(session)
        objectives = read_objectives(record)
        chosen = _chosen(client.iter_results(session), question, objectives)
        shown = Shown(
            document=lambda: {
                "schema": 1,
                "session_id": session,
                "env": client.keys.env,
                "metric": by or record["metric"] or None,
                "direction": record["direction"] or None,
                "objectives": objectives,
                "results": list(chosen),
            },
            table=lambda: _table(list(chosen), question, objectives, width()),
            quiet=lambda: _quiet(list(chosen), question),
            items=lambda: chosen,
        )
        write(shown, output)
        best = json.loads(record.get("best") or "null")
        if output is Format.TABLE and client.tells_days(session, record["mode"], best):
            sys.stderr.write(f"orch: how far the best can be trusted: orch judge {session}\n")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


@dataclass(frozen=True, slots=True)
class _Question:
    """What the command line asks for."""

    top: int | None
    by: str | None
    ascending: bool | None
    where: tuple[Condition, ...]
    status: str | None
    worker: str | None
    columns: tuple[str, ...]

    def is_everything(self) -> bool:
        """Tell whether nothing is chosen or ranked."""
        return not any((self.top, self.by, self.ascending is not None, self.where, self.status, self.worker))

    def answer(self, results: list[Result], objectives: Mapping[str, str]) -> list[Result]:
        """Return the results that are asked for, in the order that is asked for.

        Raises:
            UsageError: something is named that none of them has.
        """
        fields = read_fields(results)
        conditions = [(each, find_field(fields, each.name, f"--where {each.text}")) for each in self.where]
        for condition, field in conditions:
            condition.check(map(field, results))
        by = find_field(fields, self.by or "value", f"--by {self.by}")
        found = [
            result
            for result in results
            if self.status in (None, result["status"])
            and self.worker in (None, result["worker_id"])
            and all(condition.holds(field(result)) for condition, field in conditions)
        ]
        if self.top is None and self.by is None and self.ascending is None:
            return found
        return _ranked(found, by, falls=self._falls(objectives))[: self.top]

    def _falls(self, objectives: Mapping[str, str]) -> bool:
        if self.ascending is not None:
            return not self.ascending
        first = next(iter(objectives.values()), "maximize")
        return objectives.get((self.by or "").removeprefix("metrics_"), first) == "maximize"


def _ranked(results: list[Result], by: Field, *, falls: bool) -> list[Result]:
    """Sort by a field; of equals the one dealt first, and those that have none come last."""
    results = sorted(results, key=lambda result: int(result["g"]))
    having = [result for result in results if by(result) is not None]
    having.sort(key=lambda result: (isinstance(by(result), str), by(result)), reverse=falls)
    return having + [result for result in results if by(result) is None]


def _chosen(recorded: Iterable[Result], question: _Question, objectives: Mapping[str, str]) -> Iterable[Result]:
    if question.is_everything() and len(objectives) <= 1:
        return recorded  # read as it is written: it may be long
    everything = list(recorded)
    if len(objectives) > 1:
        front = {result["g"] for result in pareto_front(everything, objectives)}
        everything = [{**result, "front": result["g"] in front} for result in everything]
    return question.answer(everything, objectives) if everything else ()


def _quiet(chosen: Sequence[Result], question: _Question) -> str:
    by = read_fields(chosen)[question.by or "value"] if chosen else None
    return "\n".join(number(by(result)) for result in chosen) if by else ""


_HEADERS = {"g": "G", "worker_id": "WORKER", "iteration": "ITERATION", "status": "STATUS", "reason": "REASON"}


def _table(chosen: Sequence[Result], question: _Question, objectives: Mapping[str, str], limit: int | None) -> str:
    if not chosen:
        return "nothing is recorded yet" if question.is_everything() else "no recorded iteration is like that"
    fields = read_fields(chosen)
    titles = {name: name for name in question.columns} or _usual_titles(chosen, question, objectives)
    cells = [find_field(fields, name, f"--columns {name}") for name in titles]
    rows = [[number(cell(result)) for cell in cells] for result in chosen]
    header = [one_line(title) for title in titles.values()]
    if len(objectives) > 1:
        header.insert(0, "FRONT")
        rows = [["*" if result["front"] else "", *row] for result, row in zip(chosen, rows, strict=True)]
    return aligned(header, rows, limit)


def _usual_titles(chosen: Sequence[Result], question: _Question, objectives: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that a table has where none are named, with their titles."""
    several = [name for name in objectives if name != question.by] if len(objectives) > 1 else []
    params = dict.fromkeys(name for result in chosen for name in result["params"])
    by = question.by or "value"
    return {
        **{name: _HEADERS[name] for name in ("g", "worker_id", "iteration", "status")},
        **({} if several and not question.by else {by: question.by or next(iter(objectives), by)}),
        **{f"metrics_{name}": name for name in several},
        **{f"params_{name}": name for name in params if by not in (name, f"params_{name}")},
        **({"reason": "REASON"} if any(result["reason"] for result in chosen) else {}),
    }
