"""The report, section by section: what is said beside each figure and table, and what is said to be missing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tuning_worker.reporting.earnings import (
    HOLDOUT,
    TUNE,
    VALIDATION,
    find_days,
    part_metrics,
    plot_earnings,
    plot_logits,
    summarize,
)
from tuning_worker.reporting.facts import group_failures, session_facts
from tuning_worker.reporting.history import MOST as DRAWN
from tuning_worker.reporting.history import plot_history
from tuning_worker.reporting.importances import FEWEST, find_importances
from tuning_worker.reporting.judgement import find_judgement, make_verdicts
from tuning_worker.reporting.markup import Html, el
from tuning_worker.reporting.page import place_plot
from tuning_worker.reporting.parameters import BESIDE, MOST, plot_front, plot_importances, plot_parallel, plot_slice
from tuning_worker.reporting.scales import make_scales
from tuning_worker.reporting.tables import facts_list, failures_table, parts_table, stat, top_table
from tuning_worker.reporting.values import MISSING, counted, length, number, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from tuning_worker.reporting.scales import Scale
    from tuning_worker.review.recorded import RecordedSession

_SLICES = 40
_LINES = 5000
_AXIS, _LETTER = 110, 6.8  # px


class Report:
    """What the page has: pieces of HTML, and the figures that are drawn in their places."""

    def __init__(self, recorded: RecordedSession, top: int) -> None:
        self.recorded = recorded
        self.figures: dict[str, go.Figure] = {}
        self.header = _header(recorded)
        self.sections = [
            self._run(),
            self._history(),
            *([self._front()] if len(recorded.objectives) > 1 else []),
            *self._parameters(),
            self._earnings(),
            self._trust(),
            self._failures(),
            self._top(top),
        ]

    def _plot(self, name: str, figure: go.Figure, about: str, caption: str = "", least: int = 0) -> Html:
        self.figures[name] = figure
        told = [el("figcaption", caption)] if caption else []
        return el("figure", place_plot(name, about, least), *told)

    def _run(self) -> Html:
        return _section("What was run", "", facts_list(session_facts(self.recorded)))

    def _history(self) -> Html:
        recorded = self.recorded
        if not recorded.trials:
            return _section("How the search went", "", _missing("No iteration is recorded."))
        fewer = f" {DRAWN:,} values are drawn; the line knows all." if len(recorded.ranked) > DRAWN else ""
        plot = self._plot(
            "history",
            plot_history(recorded),
            "every iteration's value in the order they were recorded, and the best so far",
            "Click a name to hide it, drag to zoom, double-click to go back. Where a few very bad values would squash "
            f"the others, they begin below the edge.{fewer}",
        )
        return _section("How the search went", "", plot)

    def _front(self) -> Html:
        recorded = self.recorded
        if not recorded.front:
            return _section("The front", "", _missing("No iteration has all of the metrics that are tuned."))
        more = "" if len(recorded.objectives) == 2 else " The first two objectives are shown."  # noqa: PLR2004 - a plane
        lead = f"{counted(len(recorded.front), 'iteration')} that no other beats in all objectives.{more}"
        return _section("The front", lead, self._plot("front", plot_front(recorded), "two objectives and their front"))

    def _parameters(self) -> list[Html]:
        recorded = self.recorded
        scales = make_scales(recorded)
        varied = [scale for scale in scales if not scale.is_constant]
        constant = ", ".join(scale.name for scale in scales if scale.is_constant)
        alike = f" One value only: {constant}." if constant else ""
        if len(recorded.ranked) < 2 or not varied:  # noqa: PLR2004 - one point shows nothing
            why = "Fewer than two iterations have a value." if varied else "No parameter has more than one value."
            return [_section("What the parameters did", "", _missing(why))]
        return [
            _section("Which parameters matter", "", self._importances(scales)),
            _section("All parameters at once", "", self._parallel(varied)),
            _section(
                "Each parameter by itself",
                f"Against {recorded.metric}; the best is the diamond.{alike}",
                self._slices(varied),
            ),
        ]

    def _importances(self, scales: Sequence[Scale]) -> Html:
        found = find_importances(self.recorded, scales)
        if not found:
            return _missing(
                f"Needs {FEWEST} iterations with a value, of which the best tenth are better than the median."
            )
        tenth = counted(max(1, round(len(self.recorded.ranked) / 10)), "iteration")
        return self._plot(
            "importances",
            plot_importances(found),
            "the share of the importance that each parameter has",
            f"PED-ANOVA (Watanabe, Bansal & Hutter 2023; Optuna's): how far the values of a parameter among the best "
            f"tenth ({tenth}) differ from those among all that were tried. It says where the search found the good "
            "ones, not what would happen elsewhere.",
        )

    def _parallel(self, varied: Sequence[Scale]) -> Html:
        known = len(self.recorded.ranked)
        fewer = f" {_LINES:,} of {known:,} are drawn, evenly by rank." if known > _LINES else ""
        return self._plot(
            "parallel",
            plot_parallel(self.recorded, varied, _LINES),
            "a line for each iteration through its parameters to its value",
            "The greener the better, by rank. Drag along an axis to choose among the lines, and along its name to move "
            f"it; click an axis to let them go.{fewer}",
            least=_width_of([*(scale.name for scale in varied), *self.recorded.objectives]),
        )

    def _slices(self, varied: Sequence[Scale]) -> Html:
        recorded, pieces = self.recorded, []
        for place, scale in enumerate(varied[:_SLICES]):
            inactive = sum(scale.name not in each.params for each in recorded.ranked)
            pieces.append(
                self._plot(
                    f"slice-{place}",
                    plot_slice(recorded, scale),
                    f"{scale.name} against {recorded.metric}",
                    f"Not active in {counted(inactive, 'iteration')}." if inactive else "",
                )
            )
        if len(recorded.ranked) > MOST:
            pieces.append(el("p", f"{MOST:,} iterations of each are drawn, evenly by rank.", class_="note"))
        if len(varied) > _SLICES:
            pieces.append(el("p", f"{len(varied) - _SLICES} more parameters are left out.", class_="note"))
        return el("div", *pieces, class_="grid wide")

    def _earnings(self) -> Html:
        recorded, title = self.recorded, "What the best earned"
        days = find_days(recorded)
        if not days:
            why = "Its objective tells no daily profits." if recorded.best else "No iteration has a value."
            return _section(title, "", _missing(why))
        capital = recorded.best.capital if recorded.best else None
        parts = {part: summarize(days, part) for part in (TUNE, VALIDATION, HOLDOUT)}
        pieces = [
            self._plot(
                "earnings",
                plot_earnings(days, recorded.currency, capital),
                "what the best earned until each day, and how far below its peak that is",
                "Only the tune days decided which iteration is the best. The line goes on from one part to the next. "
                "Its drawdown is between the ends of days; the table has the deepest fall at any moment.",
            ),
            parts_table(parts, {name: part_metrics(recorded, name) for name in parts}),
        ]
        return _section(title, "", *pieces, self._holdout(is_scored=parts[HOLDOUT] is not None))

    def _holdout(self, *, is_scored: bool) -> Html:
        session_id = self.recorded.session_id
        if is_scored and self.recorded.holdout:
            return el("p", _looked(self.recorded.holdout), class_="note")
        held_out = (self.recorded.tuning.get("objective", {}).get("split") or {}).get("holdout")
        if not held_out:
            return _missing("No days were held out (tuning.evaluation), so nothing here is free of the choice.")
        return _missing(
            f"The {counted(len(held_out), 'held-out day')} are missing: this iteration has not been scored on them "
            f"(orch holdout {session_id})."
        )

    def _trust(self) -> Html:
        title = "How far it can be trusted"
        judgement = find_judgement(self.recorded)
        if isinstance(judgement, str):
            return _section(title, "", _missing(judgement))
        cards = [
            stat(each.title, each.figure, f"{each.meaning} ({each.source})", "bad" if each.is_bad else "")
            for each in make_verdicts(judgement)
        ]
        pruned = f" (of {judgement.pruned:,} of them, which were pruned, no more is known)" if judgement.pruned else ""
        before = judgement.tried_before
        earlier = f", after {before:,} of the sessions that it resumes from," if before else ""
        tried = f"{counted(judgement.tried, 'different point')}{pruned}{earlier}"
        lead = f"The best of {tried} looks better than it is; this says how much."
        lead = lead if judgement.tried > 1 else ""
        if judgement.tune_days is not None:
            days = counted(judgement.tune_days, "day")
            lead += f" It was tuned on {days}, and earned or lost anything on {judgement.earning_days:,} of them."
        pieces = [el("div", *cards, class_="grid pairs")]
        if judgement.overfitting:
            figure = plot_logits(judgement.overfitting.logits)
            pieces.append(self._plot("logits", figure, "where the choice ranked on the days it was not chosen by"))
        return _section(title, lead, *pieces)

    def _failures(self) -> Html:
        recorded = self.recorded
        if not recorded.failed:
            return _section("What failed", "", el("p", "No recorded iteration failed."))
        count, total = len(recorded.failed), len(recorded.trials)
        lead = f"{counted(count, 'iteration')} of {total:,} ({share(count / total)}), by the kind of error."
        return _section("What failed", lead, failures_table(group_failures(recorded.failed), total))

    def _top(self, top: int) -> Html:
        recorded = self.recorded
        if not recorded.ranked:
            return _section("The best iterations", "", _missing("No iteration has a value."))
        shown = min(top, len(recorded.ranked))
        return _section(f"The best {shown}" if shown > 1 else "The best", "", top_table(recorded, top))


def _width_of(names: Sequence[str]) -> int:
    """Return the px that axes side by side take, so that no name runs into the next one."""
    widest = max((len(one) + len(other)) / 2 for one, other in pairwise(names))
    return round(max(_AXIS, _LETTER * (widest + 1)) * (len(names) - 1) + 2 * BESIDE)


def _header(recorded: RecordedSession) -> Html:
    record = recorded.fields
    goals = " and ".join(f"{direction} {metric}" for metric, direction in recorded.objectives.items())
    what = f"{record.get('optimizer')} search to {goals}" if goals else "a command of the user's own"
    failed, pruned = len(recorded.failed), len(recorded.pruned)
    cards = [
        _best_stat(recorded),
        stat("iterations recorded", f"{len(recorded.trials):,}", f"of {record.get('total_iterations') or '?'}"),
        stat("failed", f"{failed:,}", share(failed / len(recorded.trials)) if recorded.trials else "",
             "bad" if failed else ""),
        *([stat("pruned", f"{pruned:,}", "stopped half-way as hopeless")] if pruned else []),
        stat("time", length(record.get("started_at"), record.get("finished_at") or record.get("last_update")),
             counted(int(record.get("workers") or 0), "worker")),
    ]  # fmt: skip
    return el(
        "header",
        el("h1", recorded.session_id, el("span", record["status"], class_=f"status {record['status']}")),
        el("p", f"Tuning session: {what}.", class_="lead"),
        el("div", *cards, class_="grid"),
    )


def _looked(holdout: Mapping[str, Any]) -> str:
    looks, all_looks = holdout["looks"], holdout["all_looks"]
    all_points = counted(holdout["all_points"], "point")
    others = f", and with other sessions' {all_looks:,} times (with {all_points})" if all_looks > looks else ""
    return (
        f"The held-out days have been looked at {counted(looks, 'time')} for this session, with "
        f"{counted(holdout['points'], 'point')} scored{others}: every look, and every point that is chosen among, "
        "spends some of what they can prove."
    )


def _best_stat(recorded: RecordedSession) -> Html:
    best = recorded.best
    if recorded.front:
        return stat("on the front", f"{len(recorded.front):,}", "that no other beats in all objectives", "accent")
    place = f"{best.worker_id}, iteration {best.iteration} (g {best.g})" if best else "no iteration has a value"
    return stat(f"best {recorded.metric}", number(best.value) if best else MISSING, place, "accent" if best else "")


def _section(title: str, lead: str, *pieces: Html) -> Html:
    return el("section", el("h2", title), *([el("p", lead, class_="note")] if lead else []), *pieces)


def _missing(why: str) -> Html:
    return el("p", why, class_="missing")
