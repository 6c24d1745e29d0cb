"""Data sets as rows: examples in and out, what is in them, and their text as a file.

A row keeps an Example's text, company and label in columns of their own, where people search and filter,
and the rest as JSON. Knows nothing of files being read (`imports`) or of people labelling (`labelling`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from services.console.models import Dataset, DatasetRow
from services.training.dataset import Example, Span
from services.training.order import NamedSet

LENGTH_BANDS = (50, 100, 200, 400, 800, 1600)
"""Upper ends of the bands in which texts are counted, in characters; one more band is above."""
_MEASURED_ROWS = 20_000
_WITHOUT_COLUMN = (
    "labels",
    "spans",
    "second",
    "negative",
    "messages",
    "id",
    "group",
    "time",
    "source",
    "language",
)
_SAME_TEXT = ("second", "negative", "messages")
_LABELS_COUNTED = 200


@dataclass(frozen=True, slots=True)
class Balance:
    """What is in a data set. `labels` and `lengths` are (name, rows), labels of labelled rows only."""

    rows: int
    labelled: int
    open: int
    skipped: int
    labels: tuple[tuple[str, int], ...]
    lengths: tuple[tuple[str, int], ...]


def row_of(dataset: Dataset, position: int, example: Example, state: str) -> DatasetRow:
    """An unsaved row for an example."""
    return DatasetRow(
        dataset=dataset,
        position=position,
        text=example.text,
        entity=example.entity or "",
        label=example.label or "|".join(example.labels),
        data=_more(example),
        key=key_of(example),
        state=state,
    )


def example_of(row: DatasetRow) -> Example:
    """The example in a row, as the trainer takes it."""
    more = dict(row.data)
    multi = row.dataset.shape == Dataset.Shape.MULTI
    return Example(
        text=row.text,
        entity=row.entity or None,
        label="" if multi else row.label,
        labels=labels_of(row) if multi else (),
        spans=tuple(Span(**span) for span in more.pop("spans", ())),
        messages=tuple((role, content) for role, content in more.pop("messages", ())),
        **{name: str(value) for name, value in more.items() if name in _WITHOUT_COLUMN and name != "labels"},
    )


def labels_of(row: DatasetRow) -> tuple[str, ...]:
    """The labels of a row that may have several."""
    return tuple(row.data.get("labels") or filter(None, row.label.split("|")))


def key_of(example: Example) -> str:
    """Thirty-two hexadecimal digits that are equal for examples which differ at most in their labels."""
    parts = [example.text.strip(), example.entity or "", *(str(getattr(example, n)) for n in _SAME_TEXT)]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def as_set(dataset: Dataset) -> NamedSet:
    """The labelled rows, in their order, with the data set's name and licence."""
    rows = dataset.rows.filter(state=DatasetRow.State.LABELLED).order_by("position").select_related("dataset")
    return NamedSet(dataset.name, dataset.licence, tuple(map(example_of, rows.iterator(chunk_size=2000))))


def balance(dataset: Dataset) -> Balance:
    """How many rows of each state and label, and how long the texts are (of the first 20,000)."""
    states = dict(dataset.rows.order_by().values_list("state").annotate(Count("pk")))
    labelled = dataset.rows.filter(state=DatasetRow.State.LABELLED)
    return Balance(
        rows=sum(states.values()),
        labelled=states.get(DatasetRow.State.LABELLED, 0),
        open=states.get(DatasetRow.State.OPEN, 0),
        skipped=states.get(DatasetRow.State.SKIPPED, 0),
        labels=_labels(dataset, labelled),
        lengths=_lengths(dataset.rows.order_by("position").values_list("text", flat=True)[:_MEASURED_ROWS]),
    )


def as_csv(rows: QuerySet[DatasetRow]) -> Iterator[str]:
    """The rows as CSV, piece by piece: what an import takes, and who labelled what when."""
    columns = ["text", "entity", "label", *_WITHOUT_COLUMN, "state", "labelled_by", "labelled_at"]
    yield _csv_line(columns)
    for row in rows.select_related("dataset").iterator(chunk_size=2000):
        multi = row.dataset.shape == Dataset.Shape.MULTI
        more = [_cell(row.data.get(name, "")) for name in _WITHOUT_COLUMN[1:]]
        several = _cell(list(labels_of(row))) if multi else ""
        at = row.labelled_at.isoformat() if row.labelled_at else ""
        label = "" if multi else row.label
        yield _csv_line([row.text, row.entity, label, several, *more, row.state, row.labelled_by, at])


def as_jsonl(rows: QuerySet[DatasetRow]) -> Iterator[str]:
    """The rows as JSON, one a line, empty fields left out."""
    for row in rows.select_related("dataset").iterator(chunk_size=2000):
        multi = row.dataset.shape == Dataset.Shape.MULTI
        told = {"text": row.text, "entity": row.entity, "label": row.label, **row.data, "state": row.state}
        told = {name: value for name, value in told.items() if value}
        if multi:
            told = {**told, "labels": list(labels_of(row))}
            told.pop("label", None)
        yield json.dumps(told, ensure_ascii=False) + "\n"


def _more(example: Example) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: getattr(example, name) for name in _WITHOUT_COLUMN[5:] if getattr(example, name)
    }
    if any("|" in label for label in example.labels):  # the column could not be split again
        found["labels"] = list(example.labels)
    if example.spans:
        found["spans"] = [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans]
    for name in ("second", "negative"):
        if getattr(example, name):
            found[name] = getattr(example, name)
    if example.messages:
        found["messages"] = [list(message) for message in example.messages]
    return found


def _labels(dataset: Dataset, labelled: QuerySet[DatasetRow]) -> tuple[tuple[str, int], ...]:
    counted: dict[str, int] = dict.fromkeys(dataset.labels, 0)
    for told, n in labelled.order_by().values_list("label").annotate(n=Count("pk")).order_by("-n"):
        for label in told.split("|") if dataset.shape == Dataset.Shape.MULTI else [told]:
            if label:
                counted[label] = counted.get(label, 0) + n
    return tuple(counted.items())[:_LABELS_COUNTED]


def _lengths(texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    counts = [0] * (len(LENGTH_BANDS) + 1)
    for text in texts:
        counts[sum(len(text) > end for end in LENGTH_BANDS)] += 1
    starts = (1, *(end + 1 for end in LENGTH_BANDS))
    names = [f"{start}-{end}" for start, end in zip(starts, LENGTH_BANDS, strict=False)]
    return tuple(zip([*names, f"{starts[-1]}+"], counts, strict=True))


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
