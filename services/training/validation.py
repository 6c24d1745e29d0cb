"""Is one row of a file an example to learn from, and if not, what is wrong with it?

A problem is kept as a code with its values, so that it can be shown in any language; the English is here.
Knows no files: a row is what a reader of CSV or JSON makes of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from services.training.dataset import MAX_TEXT_CHARS, Example, Shape, Span

SENTENCES = {
    "text_empty": "“{column}” is empty",
    "too_long": "“{column}” has {n} characters; at most {most} can be used",
    "not_a_text": "“{column}” is not a text",
    "not_a_number": "“{column}” is NaN, which a table program writes where nothing is known",
    "label_empty": "the label is empty",
    "unknown_label": "the label is “{label}”, not one of {labels}",
    "labels_format": "“labels” is neither a list nor texts with | between them",
    "spans_format": "“spans” is not a list of start, end and label",
    "span_outside": "the span {start} to {end} is outside the text, which has {n} characters",
    "span_overlap": "the spans {start} to {end} and {other_start} to {other_end} overlap",
    "messages_format": "“messages” is not a list of role and content",
    "unknown_role": "the role is “{role}”, not system, user or assistant",
    "last_not_assistant": "the last message is not the assistant's",
    "time_format": "the time “{time}” is not of the form 2026-03-31T09:30:00",
    "duplicate_id": "the id “{id}” was already on line {first}",
    "other_encoding": "this line is in another encoding than the file, which is {encoding}",
    "too_many_values": "more values than columns; put quotes around texts that hold “{delimiter}”",
    "broken_csv": "the line cannot be split into columns; is a quote left open?",
    "broken_json": "the line is not one JSON object",
    "not_text_file": "this is a file of {kind}, not a text file: save it as CSV or JSONL",
    "json_array": "this is one JSON list: write one object a line (JSONL)",
    "missing_column": "the column “{column}” is missing; the file has {columns}",
    "missing_column_near": "the column “{column}” is missing; did you mean it by “{near}”?",
    "nothing": "the file holds no examples",
    "one_class": "all examples have the label “{label}”: there is nothing to tell apart",
    "too_few": "{n} examples are too few to learn from: at least {least} are needed",
    "too_many": "the file has more than {most} rows: split it, or raise the limit",
    "rare_class": "the label “{label}” has only {n} examples; {least} or more show whether it is learned",
    "fallback_encoding": "the file is not UTF-8; it was read as {encoding}: look whether the texts are right",
    "numeric_labels": "the labels are numbers; they are taken as names",
    "ignored_columns": "these columns are not used: {columns}",
    "not_named": "in {n} rows the text does not hold the entity as it is written; the first is row {first}",
    "contradiction": "{n} texts are there with different labels; the first is row {first}",
}
"""What each code says, in English, for `str.format`."""

ROLES = ("system", "user", "assistant")
_TOLD = ("id", "group", "source", "language")
_LISTED = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line, the first line being 1; `line` 0 is about the file as a whole."""

    line: int
    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The English sentence, without a stop."""
        return SENTENCES[self.code].format(**self.values)


class Unusable(Exception):
    """A row that cannot be used, as a code and its values."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


def example(row: Mapping[str, Any], shape: Shape, labels: Collection[str] | None) -> Example:
    """The row as an Example of this shape; `labels` are those allowed, None allows any.

    Texts are stripped, but for spans, which count their characters. A whole or fractional number as a label
    is its name without a fraction of zero ("1", not "1.0"). Raises Unusable.
    """
    told: dict[str, Any] = {name: _short(row, name) for name in _TOLD if name in row}
    if "time" in row:
        told["time"] = _time(row)
    if shape == "dialogues":
        messages = _messages(row.get("messages"))
        return Example(messages[-1][1], messages=messages, **told)
    text = _text(row, "text", strip=shape != "spans")
    if shape == "labelled":
        entity = _short(row, "entity") or None
        return Example(text, entity, _known(_label(row.get("label")), labels), **told)
    if shape == "multi":
        found = tuple(dict.fromkeys(_known(label, labels) for label in _many(row.get("labels"))))
        return Example(text, labels=found, **told)
    if shape == "spans":
        return Example(text, spans=_spans(row.get("spans"), len(text), labels), **told)
    if shape == "texts":
        return Example(text, **told)
    second = _text(row, "second")
    negative = "" if _blank(row.get("negative")) else _text(row, "negative")
    return Example(text, second=second, negative=negative if shape == "pairs" else "", **told)


def is_number(label: str) -> bool:
    """Whether a label is written as a number."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _text(row: Mapping[str, Any], column: str, *, strip: bool = True) -> str:
    value = row.get(column)
    if isinstance(value, float) and math.isnan(value):
        raise Unusable("not_a_number", column=column)
    if value is not None and not isinstance(value, str):
        raise Unusable("not_a_text", column=column)
    text = value or ""
    if not text.strip():
        raise Unusable("text_empty", column=column)
    if text.strip() in ("NaN", "nan"):
        raise Unusable("not_a_number", column=column)
    if len(text) > MAX_TEXT_CHARS:
        raise Unusable("too_long", column=column, n=len(text), most=MAX_TEXT_CHARS)
    return text.strip() if strip else text


def _short(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "" if _blank(value) else str(value).strip()


def _blank(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _time(row: Mapping[str, Any]) -> str:
    time = _short(row, "time")
    if time:
        try:
            datetime.fromisoformat(time)
        except ValueError as error:
            raise Unusable("time_format", time=time[:_LISTED]) from error
    return time


def _label(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise Unusable("not_a_number", column="label")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise Unusable("label_empty" if value is None else "not_a_text", column="label")
    return str(value).strip()


def _known(label: str, labels: Collection[str] | None) -> str:
    if not label:
        raise Unusable("label_empty")
    if labels is not None and label not in labels:
        if label in ("NaN", "nan"):
            raise Unusable("not_a_number", column="label")
        listed = ", ".join(list(labels)[:_LISTED])
        raise Unusable("unknown_label", label=label[:_LISTED], labels=listed)
    return label


def _many(value: Any) -> list[str]:
    """Labels as a list, as a JSON list in a text, or as a text with | between them; perhaps none."""
    if isinstance(value, str) and value.strip().startswith("["):
        value = _json(value, "labels_format")
    if _blank(value):
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split("|")]
    if not isinstance(value, list):
        raise Unusable("labels_format")
    return [_label(part) for part in value]


def _spans(value: Any, length: int, labels: Collection[str] | None) -> tuple[Span, ...]:
    """Spans in the order of the text, as {start, end, label} or [start, end, label]."""
    value = _json(value, "spans_format") if isinstance(value, str) and value.strip() else value or []
    if not isinstance(value, list):
        raise Unusable("spans_format")
    found = []
    for item in value:
        parts = [item.get(k) for k in ("start", "end", "label")] if isinstance(item, dict) else item
        if not isinstance(parts, list) or len(parts) != 3 or not all(type(p) is int for p in parts[:2]):
            raise Unusable("spans_format")
        start, end, label = parts
        if not 0 <= start < end <= length:
            raise Unusable("span_outside", start=start, end=end, n=length)
        found.append(Span(start, end, _known(_label(label), labels)))
    found.sort(key=lambda span: span.start)
    for one, other in pairwise(found):
        if other.start < one.end:
            ends = {"other_start": other.start, "other_end": other.end}
            raise Unusable("span_overlap", start=one.start, end=one.end, **ends)
    return tuple(found)


def _messages(value: Any) -> tuple[tuple[str, str], ...]:
    value = _json(value, "messages_format") if isinstance(value, str) else value
    if not isinstance(value, list) or not value:
        raise Unusable("messages_format")
    found = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(role := item.get("role"), str):
            raise Unusable("messages_format")
        if role not in ROLES:
            raise Unusable("unknown_role", role=role[:_LISTED])
        found.append((role, _text(item, "content")))
    if found[-1][0] != "assistant":
        raise Unusable("last_not_assistant")
    return tuple(found)


def _json(value: str, code: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Unusable(code) from error
