"""Labelled examples: a text, perhaps a company in it, and the label people gave.

Reads CSV with one error a line, so that whoever made the file can mend it in one go, and fingerprints
what was read, so that a model can say exactly what it was trained on.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.errors import InvalidInput

COLUMNS = ("text", "entity", "label")
Shape = Literal["labelled", "multi", "spans", "pairs", "rewrites", "dialogues", "texts"]
MAX_TEXT_CHARS = 20_000
_LISTED_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A named thing in a text: `text[start:end]`, characters as Python counts them."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row to learn from; which fields are filled depends on the data set's shape.

    labelled: `text` and `label`, as a whole (`entity` None) or towards a company as the text names it.
    multi: `text` and `labels`, perhaps none. spans: `text` and `spans`, which do not overlap.
    pairs: a question `text` and the `second` text that answers it (perhaps `negative`, one that does not).
    rewrites: `text` becomes `second`. dialogues: `messages` of (role, content), the last an assistant's.
    texts: `text` alone.
    `time` is ISO 8601, `group` is kept on one side of a group split.
    """

    text: str
    entity: str | None = None
    label: str = ""
    labels: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    second: str = ""
    negative: str = ""
    messages: tuple[tuple[str, str], ...] = ()
    id: str = ""
    group: str = ""
    time: str = ""
    source: str = ""
    language: str = ""


def read_csv(path: Path, labels: Sequence[str]) -> tuple[Example, ...]:
    """The examples of a UTF-8 file with the columns text, label and perhaps entity.

    Raises InvalidInput: the file cannot be read, a column is missing, or lines are wrong; then `extra`
    has `lines`, at most twenty of {line, problem}, and `problems`, their number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if missing := {"text", "label"} - columns:
                raise InvalidInput(f"{path.name} lacks the column {min(missing)}.", field="file")
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read ({error.strerror}).", field="file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} is not UTF-8: save it as UTF-8.", field="file") from error
    except csv.Error as error:
        raise InvalidInput(f"{path.name} is not a CSV file ({error}).", field="file") from error
    checked = [(line, row, _problem(row, labels)) for line, row in rows]
    wrong = [{"line": line, "problem": problem} for line, _, problem in checked if problem]
    if wrong:
        raise InvalidInput(
            f"{path.name}: {len(wrong)} lines cannot be used; the first is line {wrong[0]['line']}: "
            f"{wrong[0]['problem']}.",
            field="file",
            lines=wrong[:_LISTED_PROBLEMS],
            problems=len(wrong),
        )
    if not checked:
        raise InvalidInput(f"{path.name} holds no examples.", field="file")
    return tuple(
        Example(row["text"].strip(), (row.get("entity") or "").strip() or None, row["label"].strip())
        for _, row, _ in checked
    )


def fingerprint(examples: Iterable[Example]) -> str:
    """Sixteen hexadecimal digits over the examples, whatever their order."""
    lines = sorted("\x1f".join((e.text, e.entity or "", e.label)) for e in examples)
    return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()[:16]


def _problem(row: dict[str | Any, str | Any], labels: Sequence[str]) -> str | None:
    """What is wrong with a row of the file; None when it can be used."""
    text, label = row["text"], row["label"]
    if None in row:
        return "more values than columns; put quotes around texts that hold commas"
    if not text or not text.strip():
        return "the text is empty"
    if len(text) > MAX_TEXT_CHARS:
        return f"the text is longer than {MAX_TEXT_CHARS} characters"
    if not label or not label.strip():
        return "the label is empty"
    if label.strip() not in labels:
        return f"the label is {label.strip()[:40]!r}, not one of {', '.join(labels)}"
    return None
