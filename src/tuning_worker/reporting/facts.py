"""What was run, as names and values: from the session's record, and from nothing else."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from orchestrator.domain.days import day_spans
from orchestrator.domain.shown import fact_label
from tuning_worker.reporting.values import counted, length, moment, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tuning_worker.review.recorded import RecordedSession, Trial


_NO_TERMS = ("kind", "metric", "direction", "data", "split")
"""What is told elsewhere."""


def session_facts(recorded: RecordedSession) -> list[tuple[str, str]]:
    """Return what was run: mode, search, times, data and how it was split, versions, hashes."""
    record = recorded.fields
    goals = ", ".join(f"{direction} {metric}" for metric, direction in recorded.objectives.items())
    facts = [
        ("mode", _mode(record.get("mode", ""), recorded.tuning.get("objective", {}).get("kind", ""))),
        ("env", record.get("env", "")),
        ("objective", f"{recorded.tuning.get('objective', {}).get('kind', '')}: {goals}" if goals else ""),
        ("optimizer", f"{record.get('optimizer', '')}, seed {record.get('seed', '')}"),
        ("iterations", _iterations(recorded)),
        ("workers", _workers(recorded)),
        ("submitted", f"{moment(record.get('submitted_at'))} by {record.get('submitted_by') or 'someone unknown'}"),
        ("ran", _ran(record)),
        *_data(recorded.tuning.get("objective", {})),
        ("days", _days(recorded.tuning.get("objective", {}).get("split") or {})),
        ("terms", _terms(recorded.tuning.get("objective", {}))),
        ("constraints", "\n".join(map(str, recorded.tuning.get("constraints") or ()))),
        ("labels", _named(json.loads(record.get("labels") or "{}"))),
        *_reproduction(record),
    ]
    return [(name, text) for name, text in facts if text]


def _mode(mode: str, kind: str) -> str:
    """Say what a mode means; nobody knows what a function or a command of the user's trades on, if on anything."""
    return "paper: a recorded market, simulated orders" if (mode, kind) == ("paper", "arbitrage") else mode


def _iterations(recorded: RecordedSession) -> str:
    total = recorded.fields.get("total_iterations") or "unknown"
    counts = {"failed": len(recorded.failed), "pruned": len(recorded.pruned)}
    ends = "".join(f", {count:,} of them {name}" for name, count in counts.items() if count)
    return f"{len(recorded.trials):,} of {total} recorded{ends}"


def _workers(recorded: RecordedSession) -> str:
    hosts = sorted({each["host"] for each in recorded.jobs if each.get("host")})
    ends = Counter(each["status"] for each in recorded.jobs)
    ended = ", ".join(f"{count} {status}" for status, count in sorted(ends.items()))
    where = f" on {', '.join(hosts)}" if hosts else ""
    return f"{counted(len(recorded.jobs), 'job')}{where} ({ended})" if recorded.jobs else ""


def _ran(record: Mapping[str, str]) -> str:
    start, end = record.get("started_at"), record.get("finished_at")
    if not start:
        return "not yet"
    return f"{moment(start)} to {moment(end)} ({length(start, end)})" if end else f"since {moment(start)}"


def _data(objective: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every file that the objective depends on with its hash, and say of data that is made up that it is."""
    for name, path, digest, origin in _files(objective):
        made_up = "synthetic: made up by a program" if "synth" in f"{origin} {path.rpartition('/')[2]}".lower() else ""
        yield name, "\n".join(line for line in (path, origin or made_up, f"sha256 {digest}") if line)


def _days(split: Mapping[str, Any]) -> str:
    """Return which days were for what."""
    folds = {f"fold {number}": fold for number, fold in enumerate(split.get("folds") or (), start=1)}
    parts = {"tune": split.get("tune"), **folds, "holdout": split.get("holdout"), "left out": split.get("left_out")}
    every = [day for part in parts.values() for day in part or ()]
    return "\n".join(
        f"{name}: {counted(len(part), 'day')}, {day_spans(part, every)}" for name, part in parts.items() if part
    )


def _terms(objective: Mapping[str, Any]) -> str:
    """Return the terms that an arbitrage was on: capital, fees, latencies. Others' settings may hold secrets."""
    if objective.get("kind") != "arbitrage":
        return ""
    lines = []
    for name, given in objective.items():
        if name.startswith(_NO_TERMS) or given in (None, {}):
            continue
        each = {key: value for key, value in given.items() if value} if isinstance(given, dict) else {"": given}
        told = ", ".join(f"{key} {number(value)}".strip() for key, value in each.items())
        lines.append(f"{name}: {told}" if told else "")
    return "\n".join(line for line in lines if line)


def _files(node: Any) -> list[tuple[str, str, str, str]]:
    """Return what stands beside each `NAME_sha256` in the objective's section: name, path, hash, origin."""
    found = []
    if isinstance(node, dict):
        for key, digest in node.items():
            name = key.removesuffix("_sha256")
            if name != key and isinstance(digest, str):
                path = node.get(f"{name}_file") or node.get(name) or ""
                path = path if isinstance(path, str) else "all of its files"
                found.append((name, path, digest, str(node.get(f"{name}_origin") or "")))
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [*found, *(each for child in children for each in _files(child))]


def _reproduction(record: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what the results can be had again by: versions, the host, hashes."""
    kept = json.loads(record.get("reproduction") or "{}")
    yield "versions", _named(kept.pop("versions", None) or {}) or "not recorded"
    yield "spec hash", record.get("spec_hash", "")
    for name, value in kept.items():
        if value and name != "data_sha256":  # it stands beside the data
            yield fact_label(name), str(value)


def _named(pairs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs.items())


def group_failures(failed: Sequence[Trial]) -> list[tuple[str, list[Trial]]]:
    """Return the failed iterations by their kind, the most frequent first."""
    groups: dict[str, list[Trial]] = {}
    for each in failed:
        kind = each.kind or (each.reason or "").partition(":")[0] or "unknown"
        groups.setdefault(kind, []).append(each)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
