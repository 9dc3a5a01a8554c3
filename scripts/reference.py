"""Write the parts of the documents that say what the code says: `<!-- generated: NAME -->` blocks.

With `--check` nothing is written; the exit code is 1 where a block is out of date. It is 1 too where something is
generated that no document shows.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args, get_origin

import typer

from marks import ROOT, Block, documents, fence, fill_blocks, find_blocks
from orchestrator.cli import VERBS
from orchestrator.cli.app import app
from orchestrator.domain.annotations import members
from orchestrator.domain.durations import format_duration
from orchestrator.domain.job import TRANSITIONS, TuningJob
from orchestrator.domain.record import Submission
from orchestrator.domain.session import SessionSpec
from orchestrator.settings import DEFINITIONS, LASTING
from orchestrator.store.keys import Keys
from tuning_worker import __main__ as worker
from tuning_worker.days import EvaluationSpec
from tuning_worker.market import metrics
from tuning_worker.market.dataset import FeedsSpec
from tuning_worker.market.feeds.quality import Day
from tuning_worker.market.parameters import PARAMETERS, Parameter
from tuning_worker.objectives.arbitrage import VALIDATED, ArbitrageSpec, TransfersSpec, VenueSpec
from tuning_worker.objectives.command import CommandSpec
from tuning_worker.objectives.python import PythonSpec
from tuning_worker.pruner import Pruner

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_ATTRIBUTE = re.compile(r"^ {8}(\w+): (.+?)(?=^ {8}\w|^ {4}\S|\Z)", re.MULTILINE | re.DOTALL)
"""One entry below `Attributes:` of a class's docstring: a name and what is said of it."""


def main(arguments: Sequence[str]) -> int:
    """Write or check every generated block; return the exit code."""
    stale, shown = [], set()
    for path in documents():
        text = path.read_text(encoding="utf-8")
        shown |= {block.name for block in find_blocks(text) if block.kind == "generated"}
        made = fill_blocks(text, "generated", _make)
        if made != text:
            stale.append(path.relative_to(ROOT))
            if "--check" not in arguments:
                path.write_text(made, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"out of date: {', '.join(map(str, stale))}: run `make docs`")
        return 1
    if unshown := GENERATED.keys() - shown:
        print(f"no document has a block for {', '.join(sorted(unshown))}: show it, or generate it no more")
        return 1
    return 0


def _make(block: Block) -> str:
    return GENERATED[block.name]()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Return a text as a cell shows it; what stands between backticks is shown as it is anyway."""
    text = text.replace("|", "&#124;")
    return text if "`" in text else text.replace("<", "&lt;")


def _sentence(text: str) -> str:
    return " ".join(text.split())


# --- session files --------------------------------------------------------------------------------------------------


_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    timedelta: "duration",
    tuple: "list of texts",
    Mapping: "names and texts",
}


def session_fields() -> str:
    """The fields of a session file."""
    rows = [
        (f"`{name}`", _type_of(field), _default_of(field), field.description or "")
        for name, field in SessionSpec.model_fields.items()
    ]
    return _table(("field", "type", "default", "meaning"), rows)


def _type_of(field: FieldInfo) -> str:
    (kind,) = (each for each in members(field.annotation) if each is not type(None))
    return "text" if _is_choice(kind) else _TYPES[get_origin(kind) or kind]


def _is_choice(kind: Any) -> bool:
    return bool(get_args(kind)) and all(isinstance(each, str) for each in get_args(kind))


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, timedelta):
        default = format_duration(default)
    return "" if default is None or default == {} else f"`{default}`"


# --- tuning configs -------------------------------------------------------------------------------------------------


def _objective_fields(model: type[BaseModel]) -> str:
    """The fields of a part of the `objective:` section; what each means stands below it in the code."""
    about = _attribute_docs(model)
    rows = [
        (f"`{name}`", _default_of(field), about.get(name, ""))
        for name, field in model.model_fields.items()
        if name not in ("kind", "metric", "direction", "metrics", "split", "parts")
        and not name.endswith(("_sha256", "_origin", "module_file"))
    ]
    return _table(("field", "default", "meaning"), rows)


def _attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    (body,) = (
        each.body
        for each in ast.parse(textwrap.dedent(inspect.getsource(model))).body
        if isinstance(each, ast.ClassDef)
    )
    return {
        field.target.id: _sentence(doc.value.value)
        for field, doc in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


def validation_metrics() -> str:
    """What is measured on the validation days too."""
    names = " ".join(f"`validation_{name}`" for name in VALIDATED)
    return f"{names}, and `validation_NAME` of the metric that is tuned (the first of several)"


def strategy_parameters() -> str:
    """What the arbitrage strategy can be given."""
    rows = [
        (f"`{each.name}{'_CURRENCY' if each.amount else ''}`", _parameter_default(each), each.meaning)
        for each in PARAMETERS
    ]
    return _table(("parameter", "default", "meaning"), rows)


def _parameter_default(parameter: Parameter) -> str:
    if math.isinf(parameter.default):
        return "no limit"
    share = parameter.amount and parameter.default
    return f"{parameter.default:.0%} of the capital" if share else f"{parameter.default:g}"


def arbitrage_metrics() -> str:
    """What the arbitrage objective measures, as its module defines it."""
    _, _, table = (metrics.__doc__ or "").partition("=\n")
    return fence("text", table[: table.rindex("\n=====")])


# --- the command line -----------------------------------------------------------------------------------------------


def verbs() -> str:
    """Every verb with its arguments and options."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    commands = [group.get_command(context, name) for name in VERBS]
    links = [f"[{each.name}](#{re.sub('[^a-z -]', '', _call(each).lower()).replace(' ', '-')})" for each in commands]
    return "\n\n".join([" · ".join(links), *map(_verb, commands)])


def _call(command: Any) -> str:
    return " ".join(["orch", command.name, *(_argument(each) for each in command.params if _is_argument(each))])


def _verb(command: Any) -> str:
    about = _sentence(command.help)
    options = [
        (" ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts)), _sentence(each.help or ""))
        for each in command.params
        if not _is_argument(each)
    ]
    head = f"### `{_call(command)}`\n\n{about}"
    return f"{head}\n\n{_table(('option', 'meaning'), options)}" if options else head


def _argument(parameter: Any) -> str:
    name = parameter.metavar.strip("[]")
    return name if parameter.required else f"[{name}]"


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def worker_verbs() -> str:
    """What `tuning-worker` does besides a worker's share."""
    rows = [
        (f"`tuning-worker {name}`", import_module(module).ABOUT.removesuffix("."))
        for name, module in worker.VERBS.items()
    ]
    return _table(("verb", "does"), rows)


# --- settings and the store -----------------------------------------------------------------------------------------


def settings() -> str:
    """The settings of the program."""
    rows = [
        (f"`{each.name}`{' (*)' if each.name in LASTING else ''}", f"`{each.variable}`", _shown(each.default), each.doc)
        for each in DEFINITIONS
    ]
    return _table(("orch.toml", "environment", "default", "meaning"), rows)


def _shown(default: object) -> str:
    if callable(default):
        return "see below"
    if isinstance(default, timedelta):
        return f"`{format_duration(default)}`"
    return "" if default in (None, ()) else f"`{default}`"


def keys() -> str:
    """The names of the store's keys."""
    names = Keys("{env}", "{prefix}")
    rows = []
    for name, member in vars(Keys).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(function) or function.__annotations__["return"] != "str":
            continue
        arguments = [f"{{{each}}}" for each in inspect.signature(function).parameters if each != "self"]
        about = _sentence(function.__doc__ or "").removeprefix("Return ").removesuffix(".")
        rows.append((f"`{function(names, *arguments)}`", about))
    return _table(("key", "holds"), rows)


def job_fields() -> str:
    """The fields of a job's hash."""
    about = dict(_ATTRIBUTE.findall(TuningJob.__doc__ or ""))
    rows = [(f"`{field.name}`", _sentence(about.get(field.name, "")).removesuffix(".")) for field in fields(TuningJob)]
    return _table(("field", "meaning"), rows)


def quote_days() -> str:
    """What `tuning-worker inspect` tells of each day of a feed."""
    about = _ATTRIBUTE.findall(Day.__doc__ or "")
    return _table(("field", "meaning"), [(f"`{name}`", _sentence(text).removesuffix(".")) for name, text in about])


def session_record() -> str:
    """The fields of a session's hash."""
    spec = SessionSpec(session_id="any", total_iterations=1, workers=1)
    submission = Submission(spec=spec, seed=0, tuning="", metric="", direction="", cwd="")
    return " ".join(f"`{name}`" for name in submission.record((), datetime(2000, 1, 1, tzinfo=UTC)))


# --- diagrams -------------------------------------------------------------------------------------------------------


def states() -> str:
    """How a job's status may change."""
    lines = ["stateDiagram-v2", "  [*] --> PENDING"]
    for status, following in TRANSITIONS.items():
        lines += [f"  {status} --> {after}" for after in sorted(following)]
        lines += [f"  {status} --> [*]"] if not following else []
    return fence("mermaid", "\n".join(lines))


def imports() -> str:
    """Which module may import which: a layer imports from those below it only."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    boxes = [f'  layer{place}["{layer.replace(" | ", " · ")}"]' for place, layer in enumerate(layers)]
    arrows = [f"  layer{place} --> layer{place + 1}" for place in range(len(layers) - 1)]
    return fence("mermaid", "\n".join(["flowchart TD", *boxes, *arrows]))


def decisions() -> str:
    """The decisions, by number."""
    pages = sorted((ROOT / "docs/explanation/decisions").glob("[0-9]*.md"))
    titles = [(page.name, page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for page in pages]
    return "\n".join(f"- [{title}]({name})" for name, title in titles)


GENERATED: Mapping[str, Callable[[], str]] = {
    "session fields": session_fields,
    "python objective": partial(_objective_fields, PythonSpec),
    "command objective": partial(_objective_fields, CommandSpec),
    "arbitrage objective": partial(_objective_fields, ArbitrageSpec),
    "arbitrage venue": partial(_objective_fields, VenueSpec),
    "arbitrage transfers": partial(_objective_fields, TransfersSpec),
    "arbitrage feeds": partial(_objective_fields, FeedsSpec),
    "evaluation": partial(_objective_fields, EvaluationSpec),
    "validation metrics": validation_metrics,
    "pruner": partial(_objective_fields, Pruner),
    "days of quotes": quote_days,
    "strategy parameters": strategy_parameters,
    "arbitrage metrics": arbitrage_metrics,
    "verbs": verbs,
    "worker verbs": worker_verbs,
    "settings": settings,
    "keys": keys,
    "job fields": job_fields,
    "session record": session_record,
    "states": states,
    "imports": imports,
    "decisions": decisions,
}
"""What can stand in a block, by name."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
