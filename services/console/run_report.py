"""A run's report as the page and the files show it: classes, confusion, reliability, slices, comparison.

Reads what the training left in the row; parts that a recipe does not have are left out, not invented.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.models import TrainingRun

HEAT_STEPS = 10
WORDINGS = ("clean", "typos", "paraphrase")
"""How the test texts were put to it, as `services.training.robustness` names them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the confusion matrix: rows, their share of the true label, and its shade 0 to 10."""

    n: int
    share: float
    heat: int
    right: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of the new version, the live one and the baseline; None where it was not measured."""

    name: str
    new: float | None
    live: float | None
    baseline: float | None

    @property
    def change(self) -> float | None:
        """New less live."""
        return None if self.new is None or self.live is None else round(self.new - self.live, 4)


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to see of a finished run."""

    labels: tuple[str, ...]
    per_class: tuple[Mapping[str, Any], ...]
    confusion: tuple[tuple[str, tuple[Cell, ...]], ...]
    reliability: tuple[Mapping[str, Any], ...]
    slices: tuple[Mapping[str, Any], ...]
    compared: tuple[Compared, ...]
    robustness: tuple[tuple[str, Mapping[str, Any]], ...]
    live_version: str
    rows: int | None

    @property
    def lacks_live(self) -> bool:
        """Whether nothing was live to compare with."""
        return all(row.live is None for row in self.compared)


def of(run: TrainingRun) -> Report | None:
    """The report; None before there is one."""
    found = run.outcome.get("report") or {}
    metrics = run.outcome.get("metrics") or {}
    if not found and not metrics:
        return None
    labels = tuple(map(str, found.get("labels") or [row["label"] for row in _rows(found, "per_class")]))
    live, baseline, robust = (_part(found, name) for name in ("live", "baseline", "robustness"))
    return Report(
        labels=labels,
        per_class=_rows(found, "per_class"),
        confusion=_confusion(labels, found.get("confusion") or []),
        reliability=tuple(row for row in _rows(found, "reliability") if row.get("n")),
        slices=_rows(found, "slices"),
        compared=_compared(metrics, _numbers(live), _numbers(baseline)),
        robustness=tuple((name, _part(robust, name)) for name in WORDINGS if _part(robust, name)),
        live_version=str(found.get("live_version") or ""),
        rows=int(rows) if isinstance(rows := metrics.get("rows"), int | float) else None,
    )


def as_csv(run: TrainingRun) -> Iterator[str]:
    """Every figure of the report, one a line: section, of what, figure, value."""
    yield _line(["section", "of", "figure", "value"])
    report = of(run)
    if report is None:
        return
    for metric in report.compared:
        for of_what in ("new", "live", "baseline"):
            if (value := getattr(metric, of_what)) is not None:
                yield _line(["metrics", of_what, metric.name, value])
    for row in report.per_class:
        yield from (_line(["per_class", row["label"], k, v]) for k, v in row.items() if k != "label")
    for label, cells in report.confusion:
        yield from (
            _line(["confusion", label, other, cell.n])
            for other, cell in zip(report.labels, cells, strict=False)
        )
    for row in report.reliability:
        name = f"{row.get('from')}-{row.get('to')}"
        yield from (_line(["reliability", name, k, v]) for k, v in row.items() if k not in {"from", "to"})
    for row in report.slices:
        name = f"{row.get('by')}={row.get('value')}"
        yield from (_line(["slices", name, k, v]) for k, v in row.items() if k not in {"by", "value"})
    for name, figures in report.robustness:
        yield from (_line(["robustness", name, k, v]) for k, v in figures.items())
    yield _line(["gate", "", "passed", run.passed])
    yield from (_line(["gate", "", "reason", reason]) for reason in run.reasons)


def _confusion(
    labels: Sequence[str], matrix: Sequence[Sequence[int]]
) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    found = []
    for i, (label, counts) in enumerate(zip(labels, matrix, strict=False)):
        whole = sum(counts) or 1
        cells = tuple(
            Cell(n, n / whole, round(HEAT_STEPS * n / whole), right=i == j) for j, n in enumerate(counts)
        )
        found.append((label, cells))
    return tuple(found)


def _compared(
    new: Mapping[str, float], live: Mapping[str, float], baseline: Mapping[str, float]
) -> tuple[Compared, ...]:
    """What has a column of its own or counts rows is no metric to compare."""
    names = [
        name
        for name, value in new.items()
        if isinstance(value, int | float) and name != "rows" and not name.startswith("baseline_")
    ]
    return tuple(Compared(name, new[name], live.get(name), baseline.get(name)) for name in names)


def _numbers(part: Mapping[str, Any]) -> dict[str, float]:
    inner = part.get("metrics")
    flat = inner if isinstance(inner, Mapping) else part
    return {k: v for k, v in flat.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    return part if isinstance(part, Mapping) else {}


def _rows(found: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    rows = found.get(name)
    return tuple(row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list | tuple) else ()


def _line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
