"""`orch best`: the best parameters so far, as a piece of a tuning config, with the record that proves it."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from orchestrator.cli.figures import figure_lines, ranked_by, without_figures
from orchestrator.cli.options import Env, Output, Session  # noqa: TC001 - typer reads them at run time
from orchestrator.cli.output import Format, Shown, one_line, write
from orchestrator.cli.reading import open_client, settings_here
from orchestrator.cli.tables import assignments, number, plural
from orchestrator.domain.fronts import by_outcome, pareto_front, read_objectives
from orchestrator.domain.shown import fact_label
from orchestrator.errors import NotFoundError, OrchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.domain.snapshot import SessionSnapshot
    from orchestrator.settings import Settings

    Result = Mapping[str, Any]

_WIDTH = 120
_NAMED = 10


def best(session: Session, env: Env = None, output: Output = Format.TABLE) -> None:
    """Show the best parameters so far, and the record that proves them.

    They are shown as the search_space that holds just them, to be pasted into a tuning config. With several
    objectives it is the front: every outcome that no other beats in all of them, a YAML document each, and how many
    iterations share it. Where it is recorded what was earned on each day, the figures of `orch judge` are there too.
    """
    settings = settings_here(env)
    with open_client(settings) as client:
        snapshot = client.get_session(session, jobs=False)
        record = client.get_record(session)
        objectives = read_objectives(record)
        front = _front(client.iter_results(session), objectives) if len(objectives) > 1 else []
        judged = client.tells_days(session, snapshot.mode, snapshot.best)
    found = front[0] if front else snapshot.best
    if not found:
        raise NotFoundError(f"session {session} has no best yet: {_why(snapshot)}")
    proof = _proof(record)
    judgement = _judgement(session, settings) if judged and output is not Format.QUIET else None
    shown = Shown(
        document=lambda: {
            "schema": 1,
            "session_id": session,
            "env": snapshot.env,
            "metric": snapshot.metric,
            "direction": snapshot.direction,
            "objectives": objectives,
            "record": proof,
            **found,
            "judgement": judgement,
            **({"front": front} if front else {}),
        },
        table=lambda: _fragments(snapshot, objectives, front or [found], proof, _figures(judgement, objectives)),
        quiet=lambda: "\n".join(assignments(each["params"]) for each in front or [found]),
    )
    write(shown, output)


def _front(results: Iterable[Result], objectives: Mapping[str, str]) -> list[Result]:
    """Return of each outcome on the front the iteration that was dealt first, with the others' g."""
    outcomes = by_outcome(pareto_front(results, objectives), objectives)
    return [{**first, "same_outcome": [other["g"] for other in others]} for first, *others in outcomes]


def _proof(record: Mapping[str, str]) -> dict[str, str]:
    """Return by what the results can be had again, as far as it is recorded."""
    proof = {name: record[name] for name in ("mode", "optimizer", "seed", "spec_hash") if record.get(name)}
    for name, value in json.loads(record.get("reproduction") or "{}").items():
        text = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
        proof |= {name: str(text)} if text else {}
    return proof


def _judgement(session_id: str, settings: Settings) -> dict[str, Any]:
    """Return the figures; whatever is the matter with them, the best is shown."""
    from orchestrator.cli.asking_worker import ask_of_records  # noqa: PLC0415 - only where there is something to judge

    try:
        return ask_of_records(session_id, settings, "judge")
    except OrchError as error:
        return without_figures(str(error))


def _figures(judgement: Mapping[str, Any] | None, objectives: Mapping[str, str]) -> list[str]:
    if judgement is None:
        return []
    ranked = ranked_by(objectives)
    lines = [f"{title}: {text}".replace("\n", "; ") for title, text in figure_lines(judgement)]
    return [line for text in ([f"judged is the best as {ranked}"] if ranked else []) + lines for line in _comment(text)]


def _why(snapshot: SessionSnapshot) -> str:
    if snapshot.total_iterations is None:
        return "a worker_command records no iterations"
    if snapshot.failed_iterations:
        return f"all {snapshot.failed_iterations} recorded iterations failed (`orch results {snapshot.session_id}`)"
    return "no iteration is recorded"


def _sharing(others: Sequence[int]) -> str:
    if not others:
        return ""
    named = ", ".join(map(str, others[:_NAMED])) + (", …" if len(others) > _NAMED else "")
    return f"{plural(len(others), 'other iteration')} with the same outcome: g {named}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def _fragments(
    snapshot: SessionSnapshot,
    objectives: Mapping[str, str],
    found: Sequence[Result],
    proof: Mapping[str, str],
    figures: Sequence[str],
) -> str:
    if len(objectives) <= 1:
        return _fragment(snapshot, objectives, found[0], proof, figures)
    iterations = plural(sum(1 + len(each.get("same_outcome", ())) for each in found), "iteration")
    shown = f"{plural(len(found), 'outcome')} of {iterations}, which no other beats in all objectives"
    head = f"# The front of session {snapshot.session_id}: {shown}"
    fragments = [_fragment(snapshot, objectives, each, proof) for each in found]
    return "\n".join([head, *figures, "\n---\n".join(fragments)])


def _fragment(
    snapshot: SessionSnapshot,
    objectives: Mapping[str, str],
    found: Result,
    proof: Mapping[str, str],
    figures: Sequence[str] = (),
) -> str:
    """Write each parameter as a dimension of one value, which also loads where there is nothing else to search."""
    what = ", ".join(
        f"{one_line(name)} = {number(found['metrics'].get(name))} ({direction})"
        for name, direction in objectives.items()
    )
    place = f"{found['worker_id']}, iteration {found['iteration']} (g {found['g']}), {found['timestamp']}"
    lines = [
        f"# The best of session {snapshot.session_id}: {what}" if len(objectives) == 1 else f"# {what}",
        f"# {place}; {snapshot.completed_iterations} of {snapshot.total_iterations} iterations recorded",
        *_comment(_sharing(found.get("same_outcome", ()))),
        *_comment(f"metrics: {assignments(found['metrics'])}"),
        *figures,
        *(f"# {fact_label(name)}: {one_line(value)}" for name, value in proof.items() if name != "host"),
        "tuning:",
        "  search_space:",
    ]
    for name, value in found["params"].items():
        # JSON is YAML, and says a string in quotes.
        lines.append(f"    {name}: {{type: categorical, choices: [{json.dumps(value)}]}}")
    return "\n".join(lines)
