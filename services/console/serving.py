"""What the page Models → Serving shows: each process's engine, or all together, over the last ten minutes.

Reads the rows that `engine_reports` keeps. Processes are put together slot by slot: what was done adds
up, of percentiles the worst is shown, since percentiles cannot be added. A slot no process lived in is a
gap; one in which a living process did nothing is zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from services.console.models import EngineProcess
from services.inference.meters import SLOT_S, SLOTS

STOPPED_AFTER = timedelta(seconds=60)
HIDDEN_AFTER = timedelta(minutes=10)
TOLD_AFTER_S = 10.0
"""A slot is over after five seconds, and told within five more: later ones are not shown yet."""
NOW_SLOTS = 6
"""What is called "now" are the last thirty seconds."""
State = Literal["running", "stopped", "dead", "trouble"]
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Line:
    """One number a slot, None in gaps. `at` is each slot's beginning, milliseconds since 1970."""

    at: list[int]
    texts_per_s: list[float | None]
    calls_per_s: list[float | None]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]
    queue_peak: list[float | None]
    errors: list[float | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of one engine or of several. `*_per_s` over the last 30 s, percentiles, peak, calls and errors
    over the last ten minutes, `cache_hit_rate` and `errors_by_code` since the engines started."""

    texts_per_s: float | None
    calls_per_s: float | None
    queue: int | None
    queue_peak: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    calls: int
    errors: int
    errors_by_code: list[dict[str, Any]]
    """[{"code", "n"}], the most first."""
    cache_hit_rate: float | None


@dataclass(frozen=True, slots=True)
class Process:
    """One process and how its engine is, in a word (`state`) and in words for people."""

    id: int
    name: str
    state: State
    state_words: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Page:
    """All of it. `chosen` is a process's id, None for all; `engines` is how many were put together."""

    at: datetime
    processes: list[Process]
    chosen: int | None
    engines: int
    figures: Figures
    models: list[dict[str, Any]]
    """A ModelInfo's fields, `kind_words`, and in how many of how many processes it is loaded."""
    line: Line


def look(now: datetime, chosen: int | None = None) -> Page:
    """The page as of now, for one process, or for all when none is chosen or the chosen one is gone."""
    rows = list(EngineProcess.objects.filter(seen_at__gte=now - HIDDEN_AFTER))
    if chosen not in {row.pk for row in rows}:
        chosen = None
    shown = _engines([row for row in rows if chosen in (None, row.pk)])
    return Page(
        at=now,
        processes=[
            Process(row.pk, row.name, state(row, now), state_words(row, now), figures([row], now))
            for row in rows
        ],
        chosen=chosen,
        engines=len(shown),
        figures=figures(shown, now),
        models=_models(shown),
        line=line(shown, now),
    )


def state(row: EngineProcess, now: datetime) -> State:
    """What became of a process and its engine."""
    if now - row.seen_at > STOPPED_AFTER:
        return "stopped"
    if row.trouble:
        return "trouble"
    return "running" if row.report.get("alive") else "dead"


def state_words(row: EngineProcess, now: datetime) -> str:
    """The same for people, with what to do."""
    return {
        "running": _("running"),
        "stopped": _("stopped or hung: last seen %(ago)s ago") % {"ago": timesince(row.seen_at, now)},
        "dead": _("not alive: its engine has ended, restart the process"),
        "trouble": _("does not answer: %(code)s") % {"code": row.trouble},
    }[state(row, now)]


def line(rows: Sequence[EngineProcess], now: datetime) -> Line:
    """The last ten minutes of these engines together, oldest slot first."""
    last = math.floor((now.timestamp() - TOLD_AFTER_S) / SLOT_S) * SLOT_S
    starts = [last - SLOT_S * step for step in range(SLOTS - 1, -1, -1)]
    known = [(row, _moments(row)) for row in rows]
    slots = [[told.get(at, {}) for row, told in known if _lived(row, at, now)] for at in starts]
    worst: dict[str, list[float | None]] = {
        name: [_worst(name, slot) for slot in slots] for name in _PERCENTILES
    }
    return Line(
        at=[round(at * 1000) for at in starts],
        texts_per_s=[_sum("texts", slot, SLOT_S) for slot in slots],
        calls_per_s=[_sum("calls", slot, SLOT_S) for slot in slots],
        queue_peak=[_sum("queue_peak", slot) for slot in slots],
        errors=[_sum("errors", slot) for slot in slots],
        **worst,
    )


def figures(rows: Sequence[EngineProcess], now: datetime) -> Figures:
    """The numbers of these engines together; a stopped one's only when it is the only one."""
    running = [row for row in rows if state(row, now) != "stopped"]
    drawn = line(rows, now)
    reports = [row.report for row in running or rows]
    hits, misses = (sum(report.get(f"cache_{name}", 0) for report in reports) for name in ("hits", "misses"))
    codes: Counter[str] = sum((Counter(report.get("errors", {})) for report in reports), Counter())
    worst = {name: _worst(name, reports) for name in _PERCENTILES}
    return Figures(
        texts_per_s=_mean(drawn.texts_per_s[-NOW_SLOTS:]) if running else None,
        calls_per_s=_mean(drawn.calls_per_s[-NOW_SLOTS:]) if running else None,
        queue=sum(row.report.get("queue", 0) for row in running) if running else None,
        queue_peak=int(max((peak for peak in drawn.queue_peak if peak), default=0)),
        calls=round(SLOT_S * sum(calls for calls in drawn.calls_per_s if calls)),
        errors=int(sum(errors for errors in drawn.errors if errors)),
        errors_by_code=[{"code": code, "n": n} for code, n in codes.most_common()],
        cache_hit_rate=round(hits / (hits + misses), 4) if hits + misses else None,
        **worst,
    )


def _engines(rows: Iterable[EngineProcess]) -> list[EngineProcess]:
    """One row an engine: processes that ask one inference server report the same engine, counted once."""
    newest: dict[Any, EngineProcess] = {}
    for row in sorted(rows, key=lambda row: row.seen_at):
        newest[row.report.get("started_at", row.pk)] = row
    return sorted(newest.values(), key=lambda row: row.pk)


def _moments(row: EngineProcess) -> dict[float, dict[str, Any]]:
    return {moment["starts_at"]: moment for moment in row.report.get("moments", [])}


def _lived(row: EngineProcess, at: float, now: datetime) -> bool:
    """Whether an engine was there in a slot. What a living one has not told of was nothing."""
    if row.started_at.timestamp() >= at + SLOT_S:
        return False
    how = state(row, now)
    if how == "trouble":  # it has told nothing since
        return at <= max(_moments(row), default=-math.inf)
    return how != "stopped" or at + SLOT_S <= row.seen_at.timestamp()


def _sum(name: str, moments: Sequence[dict[str, Any]], per: float = 1.0) -> float | None:
    return sum(moment.get(name, 0) for moment in moments) / per if moments else None


def _worst(name: str, told: Iterable[dict[str, Any]]) -> float | None:
    return max((one[name] for one in told if one.get(name) is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None


def _models(rows: Sequence[EngineProcess]) -> list[dict[str, Any]]:
    """The models of these engines, each once, by task in the order the engines name them."""
    names = ("task", "kind", "name", "version", "runtime", "device")
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        for model in row.models:
            key = tuple(str(model.get(name, "")) for name in names)
            fields = dict(zip(names, key, strict=True))
            seen = {"kind_words": _kind(fields["kind"]), "loaded": 0, "of": 0}
            entry = found.setdefault(key, {**fields, **seen})
            entry["loaded"] += bool(model.get("loaded"))
            entry["of"] += 1
    tasks = [entry["task"] for entry in found.values()]
    return sorted(found.values(), key=lambda entry: tasks.index(entry["task"]))


def _kind(kind: str) -> str:
    known: dict[str, Callable[[], str]] = {
        "encoder": lambda: _("encoder"),
        "reranker": lambda: _("reranker"),
        "classifier": lambda: _("classifier"),
        "tagger": lambda: _("tagger"),
        "generator": lambda: _("generator"),
    }
    return known[kind]() if kind in known else kind
