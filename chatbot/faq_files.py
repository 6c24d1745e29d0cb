"""FAQ files entry by entry: read for editing, one entry changed, added or taken away, all else as it was.

JSONL keeps its other lines to the letter, CSV its columns, their order and what parts them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from chatbot import parsing
from chatbot.formats.parts import clean
from services.errors import InvalidInput

JSONL, CSV = "application/jsonl", "text/csv"
LONGEST_QUESTION, LONGEST_ANSWER, LONGEST_WORDING, MOST_WORDINGS = 300, 20_000, 500, 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A question with its answer, its further wordings, and the topic it stands under.

    `row`: how its file has it.
    """

    question: str
    answer: str
    variants: tuple[str, ...] = ()
    section: str = ""
    language: str = ""
    row: Any = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """A short name for what it says."""
        said = "\x1f".join((self.question, self.answer, *self.variants, self.section))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def heading(self) -> str:
        """The heading of its passage."""
        question, section = clean(self.question), clean(self.section)
        return (f"{section} › {question}" if section else question)[:400]

    def checked(self) -> Entry:
        """It with single spaces where they do not matter. Raises InvalidInput naming the field."""
        question = " ".join(self.question.split())
        answer = self.answer.replace("\r\n", "\n").strip()
        section = " ".join(self.section.split())
        wordings = tuple(dict.fromkeys(words for v in self.variants if (words := " ".join(v.split()))))
        for name, words, most in (
            ("question", question, LONGEST_QUESTION),
            ("answer", answer, LONGEST_ANSWER),
        ):
            if not words:
                told = _("Write the question.") if name == "question" else _("Write the answer.")
                raise InvalidInput(told, field=name)
            if len(words) > most:
                raise InvalidInput(
                    _("It has %(has)d characters; at most %(most)d are taken.")
                    % {"has": len(words), "most": most},
                    field=name,
                )
        if len(section) > 90:
            raise InvalidInput(_("Name the topic in at most %(n)d characters.") % {"n": 90}, field="section")
        if len(wordings) > MOST_WORDINGS or any(len(words) > LONGEST_WORDING for words in wordings):
            raise InvalidInput(
                _("At most %(most)d wordings of at most %(long)d characters each are taken.")
                % {"most": MOST_WORDINGS, "long": LONGEST_WORDING},
                field="variants",
            )
        return Entry(question, answer, wordings, section, self.language, self.row)


def is_faq(data: bytes, media_type: str) -> bool:
    """Whether a file is read as questions with answers."""
    if media_type == JSONL:
        return True
    if media_type != CSV:
        return False
    try:
        rows = list(parsing.csv_rows(parsing.decoded(data)))[:1]
    except InvalidInput:
        return False
    return bool(rows) and {"question", "answer"} <= set(_columns(rows[0][1]))


def read(data: bytes, media_type: str) -> list[Entry]:
    """The entries in order. Raises InvalidInput naming the line that cannot be read."""
    text = parsing.decoded(data)
    if media_type == JSONL:
        return [_of_json(row) for _line, row in parsing.json_rows(text)] if text.strip() else []
    rows = [row for _line, row in parsing.csv_rows(text)]
    columns = _columns(rows[0]) if rows else []
    return [_of_row(columns, row) for row in rows[1:]]


def written(data: bytes, media_type: str, at: int | None, entry: Entry | None) -> bytes:
    """The file with the entry at a place changed, or taken away (None); `at` None puts it at the end.

    Raises InvalidInput on `variants` where a wording cannot stand in a table.
    """
    if media_type == JSONL:
        return _json_written(data, at, entry)
    return _csv_written(data, at, entry)


def as_text(entries: Sequence[Entry]) -> str:
    """The entries as people read them, for comparing."""
    told = []
    for entry in entries:
        above = f"[{entry.section}] " if entry.section else ""
        told.append(f"{above}{entry.question}\n{entry.answer}")
        if entry.variants:
            told[-1] += "\n" + "\n".join(f"~ {wording}" for wording in entry.variants)
    return "\n\n".join(told)


def _of_json(row: dict[str, Any]) -> Entry:
    said = row.get("variants") or []
    wordings = said.split("|") if isinstance(said, str) else [str(one) for one in said]
    told = {name: str(row.get(name) or "") for name in ("question", "answer", "section", "language")}
    return Entry(variants=_wordings(wordings), row=row, **told)


def _of_row(columns: Sequence[str], row: list[str]) -> Entry:
    told = dict(zip(columns, row, strict=False))
    fields = {name: told.get(name, "") for name in ("question", "answer", "section", "language")}
    return Entry(variants=_wordings(told.get("variants", "").split("|")), row=row, **fields)


def _wordings(said: Sequence[str]) -> tuple[str, ...]:
    return tuple(words for one in said if (words := one.strip()))


def _columns(head: Sequence[str]) -> list[str]:
    return [parsing.FAQ_COLUMNS.get(name.strip().lower(), "") for name in head]


def _json_written(data: bytes, at: int | None, entry: Entry | None) -> bytes:
    lines = [line for line in parsing.decoded(data).splitlines() if line.strip()] if data else []
    before = json.loads(lines[at]) if at is not None else {}
    made = [] if entry is None else [_line({**before, **_as_json(entry)})]
    place = len(lines) if at is None else at
    lines[place : place if at is None else place + 1] = made
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _line(row: dict[str, Any]) -> str:
    """One line, whatever line breaks Unicode has."""
    line = json.dumps(row, ensure_ascii=False)
    return line.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _as_json(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"question": entry.question, "answer": entry.answer}
    told |= {"variants": list(entry.variants), "section": entry.section}
    return told | ({"language": entry.language} if entry.language else {})


def _csv_written(data: bytes, at: int | None, entry: Entry | None) -> bytes:
    text = parsing.decoded(data)
    rows = [row for _line, row in parsing.csv_rows(text)]
    if entry is not None and any("|" in wording for wording in entry.variants):
        raise InvalidInput(_("This file parts wordings by |, so none can hold that sign."), field="variants")
    for name in ("variants", "section"):
        if entry is not None and getattr(entry, name) and name not in _columns(rows[0]):
            rows[0].append(name)
    columns, width = _columns(rows[0]), len(rows[0])
    place = len(rows) if at is None else at + 1
    made = []
    if entry is not None:
        row = list(rows[place]) if at is not None else []
        row += [""] * (width - len(row))
        said = {"question": entry.question, "answer": entry.answer, "section": entry.section}
        said |= {"variants": " | ".join(entry.variants)}
        made = [[said.get(name, words) for name, words in zip(columns, row, strict=False)]]
    rows[place : place if at is None else place + 1] = made
    out = io.StringIO()
    csv.writer(out, delimiter=parsing.delimiter_of(text), lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
