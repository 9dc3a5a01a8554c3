"""The report's tables and lists, made of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuning_worker.reporting.earnings import VALIDATION
from tuning_worker.reporting.markup import Html, el
from tuning_worker.reporting.values import MISSING, number, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tuning_worker.review.recorded import RecordedSession, Trial


_OF_PARTS = ("sharpe", "max_drawdown", "trades")
_EXAMPLES = 3
_KINDS = 20


def facts_list(facts: Iterable[tuple[str, str]]) -> Html:
    """Write names and values below each other."""
    return el("dl", *(piece for name, text in facts for piece in (el("dt", name), el("dd", text))))


def stat(name: str, figure: str, about: str = "", tone: str = "") -> Html:
    """Write one figure large, with its name above and what it means below; `tone` is `accent`, `bad` or nothing."""
    told = [el("p", about, class_="about")] if about else []
    return el("div", el("div", name, class_="name"), el("div", figure, class_=f"figure {tone}".strip()), *told,
              class_="card")  # fmt: skip


def top_table(recorded: RecordedSession, top: int) -> Html:
    """Write the best iterations: what was tuned, their parameters but for fixed ones, and all their metrics.

    With several objectives the front comes first.
    """
    on_front = {each.g for each in recorded.front}
    ranked = [*recorded.front, *(each for each in recorded.ranked if each.g not in on_front)][:top]
    tuned = [name for metric in recorded.objectives for name in (metric, f"{VALIDATION}_{metric}")]
    space = recorded.tuning.get("search_space", {})
    columns = [
        ("tuned", "metrics", [name for name in tuned if name in recorded.metrics]),
        ("parameters", "params", [name for name in recorded.parameters if not _is_fixed(space.get(name))]),
        ("other metrics", "metrics", [name for name in recorded.metrics if name not in tuned]),
    ]
    columns = [
        (title, group, [name for name in names if any(getattr(each, group).get(name) is not None for each in ranked)])
        for title, group, names in columns
    ]
    spans = [el("th", "", colspan=4)]
    spans += [el("th", title, colspan=len(names), class_="group") for title, _, names in columns if names]
    heads = [el("th", "#"), el("th", "worker", class_="text"), el("th", "iteration"), el("th", "g")]
    heads += [el("th", name) for _, _, names in columns for name in names]
    shown = [(group, name) for _, group, names in columns for name in names]
    rows = [_row(place, each, shown, on_front) for place, each in enumerate(ranked, start=1)]
    return _scrolled(el("thead", el("tr", *spans), el("tr", *heads)), el("tbody", *rows))


def _is_fixed(dimension: Any) -> bool:
    return isinstance(dimension, dict) and dimension.get("type") == "fixed"


def _row(place: int, each: Trial, shown: Sequence[tuple[str, str]], on_front: set[int]) -> Html:
    cells = [el("td", f"{place}"), el("td", each.worker_id, class_="text")]
    cells += [el("td", f"{each.iteration}"), el("td", f"{each.g}")]
    cells += [el("td", number(getattr(each, group).get(name))) for group, name in shown]
    is_best = each.g in on_front if on_front else place == 1
    return el("tr", *cells, **({"class_": "best"} if is_best else {}))


def failures_table(groups: Sequence[tuple[str, Sequence[Trial]]], total: int) -> Html:
    """Write how often iterations failed in which way, with the first few of each."""
    rows = []
    for kind, failed in groups[:_KINDS]:
        told = list(dict.fromkeys(each.reason or MISSING for each in failed))[:_EXAMPLES]
        places = ", ".join(f"{each.worker_id}:{each.iteration}" for each in failed[:_EXAMPLES])
        rows.append(
            el(
                "tr",
                el("td", el("code", kind), class_="text"),
                el("td", f"{len(failed):,}"),
                el("td", share(len(failed) / total)),
                el("td", "\n".join(told), class_="text long"),
                el("td", places + (" …" if len(failed) > _EXAMPLES else ""), class_="text"),
            )
        )
    heads = [
        el("th", "kind", class_="text"),
        el("th", "iterations"),
        el("th", "of all"),
        el("th", "reasons, as they were recorded", class_="text"),
        el("th", "worker:iteration", class_="text"),
    ]
    return _scrolled(el("thead", el("tr", *heads)), el("tbody", *rows))


def parts_table(parts: Mapping[str, Mapping[str, Any] | None], metrics: Mapping[str, Mapping[str, Any]]) -> Html:
    """Write what the best earned on each part of the days, and those of its metrics there that any part has."""
    further = [name for name in _OF_PARTS if any(name in metrics[part] for part in parts)]
    heads = ("days", "earned", "a day", "days with a gain", "worst day", *(name.replace("_", " ") for name in further))
    rows = []
    for name, found in parts.items():
        if found is None:
            cells = [el("td", MISSING)] * len(heads)
        else:
            texts = (number(found["days"]), number(found["earned"]), number(found["a_day"]), share(found["gained"]),
                     number(found["worst"]), *(number(metrics[name].get(each)) for each in further))  # fmt: skip
            cells = [el("td", text) for text in texts]
        rows.append(el("tr", el("td", name, class_="text"), *cells))
    head = el("tr", el("th", "part", class_="text"), *(el("th", each) for each in heads))
    return _scrolled(el("thead", head), el("tbody", *rows))


def _scrolled(*parts: Html) -> Html:
    return el("div", el("table", *parts), class_="scroll")
