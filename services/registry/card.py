"""A model card: what a version is for, what it was made from, how good it is, and what it is not for.

Markdown for people, made from the version's lineage and the report of its evaluation, in the form of
Mitchell et al., "Model Cards for Model Reporting" (2019). What was not recorded is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.errors import StorageFailed
from services.registry.lineage import Lineage

CARD = "README.md"

_USES = {
    "sentiment": "Says whether a text on companies, or what it says of one company, is good or bad news.",
    "company-tagger": "Finds the names of companies in texts.",
}
_LIMITS = (
    "The figures hold for texts like those it was measured on; other sources, times and languages can be "
    "answered worse. Measure on your own texts before you rely on it.",
    "Probabilities are calibrated on held-out rows of the same data; they drift as the texts do.",
    "It is not made to decide on people, credit or trades without a person who looks at the text.",
)


def write(folder: Path, lineage: Lineage, report: Mapping[str, Any] | None = None) -> None:
    """Put the card beside a version's weights, before the folder is added. Raises StorageFailed."""
    try:
        (folder / CARD).write_text(card(lineage, report), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"The model card could not be written ({error.strerror}).") from error


def card(
    lineage: Lineage, report: Mapping[str, Any] | None = None, *, use: str = "", limits: Sequence[str] = ()
) -> str:
    """The card as Markdown. `report` is that of the evaluation; `per_class` and `slices` are read from it.

    `use` and `limits` say more of what the version is, and is not, for.
    """
    report = report or {}
    parts = [
        f"# {lineage.task}: {lineage.version}",
        _use(lineage, use),
        _made_from(lineage),
        _figures(lineage),
        _per_class(report.get("per_class") or ()),
        _slices(report.get("slices") or ()),
        _gate(lineage),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in (*limits, *_LIMITS)),
        _again(lineage),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _use(lineage: Lineage, use: str) -> str:
    lines = [use or _USES.get(lineage.task, f"Answers the task `{_cell(lineage.task)}`.")]
    if lineage.labels:
        lines.append(f"Labels: {', '.join(f'`{_cell(label)}`' for label in lineage.labels)}.")
    lines.append(f"Languages: {', '.join(lineage.languages) or 'not recorded'}.")
    return "## Intended use\n\n" + "\n".join(lines)


def _made_from(lineage: Lineage) -> str:
    base = f"{lineage.base_name or 'not recorded'} {lineage.base_version}".strip()
    rows = [[one.name, one.licence, f"{one.rows:,}", f"`{one.fingerprint}`"] for one in lineage.data]
    told = _table(["data set", "licence", "rows", "fingerprint"], rows) if rows else "Data: not recorded."
    return f"## What it was made from\n\nBase model: {_cell(base)}.\n\n{told}"


def _figures(lineage: Lineage) -> str:
    if not lineage.metrics:
        return "## Figures\n\nNone were recorded."
    rows = []
    for name, value in lineage.metrics.items():
        low_high = lineage.intervals.get(name)
        rows.append([name, f"{value:g}", f"{low_high[0]:g} to {low_high[1]:g}" if low_high else "–"])
    return "## Figures\n\nOn rows held out of training.\n\n" + _table(
        ["metric", "value", "95 % interval"], rows
    )


def _per_class(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    columns = ("precision", "recall", "f1")
    told = [
        [
            str(row.get("label", "")),
            *(_number(row.get(name)) for name in columns),
            str(row.get("support", "")),
        ]
        for row in rows
    ]
    return "## Each class\n\n" + _table(["label", *columns, "rows"], told)


def _slices(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    told = [
        [
            f"{row.get('by', '')}: {row.get('value', '')}",
            str(row.get("n", "")),
            _number(row.get("accuracy")),
            _number(row.get("macro_f1")),
            f"{_number(row.get('low'))} to {_number(row.get('high'))}",
        ]
        for row in rows
    ]
    return "## Parts of the data\n\n" + _table(
        ["part", "rows", "accuracy", "macro F1", "95 % interval"], told
    )


def _gate(lineage: Lineage) -> str:
    if lineage.gate is None:
        return ""
    gate = lineage.gate
    word = "may be promoted" if gate.passed else "is not to be promoted"
    against = f"Compared with `{_cell(lineage.parent)}`. " if lineage.parent else ""
    gain = ""
    if gate.gain is not None:
        gain = f" Gain {gate.gain:+.4f}"
        if gate.low is not None and gate.high is not None:
            gain += f", 95 % interval {gate.low:+.4f} to {gate.high:+.4f}"
        gain += "."
    reasons = "".join(f"\n- {_cell(reason)}" for reason in gate.reasons)
    return f"## The gate\n\n{against}By the gate it {word}.{gain}\n{reasons}".rstrip()


def _again(lineage: Lineage) -> str:
    machine = lineage.hardware
    gpus = f", {', '.join(machine.gpus)}" if machine.gpus else ""
    rows = [
        ["recipe", f"`{lineage.recipe or 'not recorded'}`"],
        ["seed", str(lineage.seed)],
        ["code", f"`{lineage.commit or 'not recorded'}`"],
        ["trained", lineage.trained_at or "not recorded"],
        ["machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB{gpus}"]
        if machine.cpu
        else ["machine", "not recorded"],
        ["software", ", ".join(f"{name} {version}" for name, version in lineage.software.items()) or "–"],
        ["split", f"`{json.dumps(dict(lineage.split), default=str)}`" if lineage.split else "–"],
    ]
    parameters = json.dumps(dict(lineage.parameters), indent=1, ensure_ascii=False, default=str)
    return (
        "## How to make it again\n\nThe recipe with these parameters and this seed, on data with the "
        f"fingerprints above.\n\n{_table(['what', 'value'], rows)}\n\n```json\n{parameters}\n```"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(columns), "|".join("---" for _ in columns)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def _cell(text: str) -> str:
    return str(text).replace("\n", " ").replace("|", "\\|")


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
