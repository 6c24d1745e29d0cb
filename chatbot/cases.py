"""Evaluation cases as people keep them: written by hand, in a file, out to a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from chatbot.models import Document, EvaluationCase, KnowledgeBase, Passage
from services.errors import InvalidInput

COLUMNS = ("question", "answerable", "document", "heading")
MOST_LINES = 5_000
LONGEST = 1_000
NO = {"no", "false", "0", "否", "n"}


@dataclass(frozen=True, slots=True)
class Imported:
    """How many cases came, how many were there and changed, and what is wrong with which line of the file."""

    added: int
    changed: int
    problems: tuple[tuple[int, str], ...]


def keep(
    knowledge_base: KnowledgeBase,
    question: str,
    passage: Passage | None,
    *,
    origin: str = EvaluationCase.Origin.HAND,
    row: EvaluationCase | None = None,
) -> EvaluationCase:
    """Write a case, or change one: `passage` answers the question, or nothing does (None).

    Raises InvalidInput on `question` (empty, too long, another case's) and on `passage` (of another
    knowledge base).
    """
    question = " ".join(question.split())
    if not question or len(question) > LONGEST:
        raise InvalidInput(
            _("Write a question of at most %(n)d characters.") % {"n": LONGEST}, field="question"
        )
    twin = knowledge_base.cases.filter(question=question).exclude(pk=row.pk if row else 0)
    if twin.exists():
        raise InvalidInput(_("There is a case with this question already."), field="question")
    if passage is not None and passage.document.knowledge_base_id != knowledge_base.pk:
        raise InvalidInput(_("Choose a passage of this knowledge base."), field="passage")
    case = row or EvaluationCase(origin=origin)
    case.knowledge_base, case.question, case.answerable = knowledge_base, question, passage is not None
    case.document = passage.document if passage else None
    case.heading = passage.heading if passage else ""
    case.save()
    return case


def read_csv(knowledge_base: KnowledgeBase, data: bytes) -> Imported:
    """Cases from a CSV file with the COLUMNS; a line that cannot be used is named, the others come in.

    A document is named by its file name or title, a heading as the passages have it, whole or its last part.
    Raises InvalidInput when the file is not UTF-8, lacks the columns, or has too many lines.
    """
    lines = _lines(data)
    documents = _documents(knowledge_base)
    known = {case.question: case for case in knowledge_base.cases.select_related("document")}
    added = changed = 0
    problems: list[tuple[int, str]] = []
    for number, line in lines:
        question = " ".join((line.get("question") or "").split())
        row = known.get(question)
        try:
            before = (row.document_id, row.heading, row.answerable) if row else None
            case = keep(knowledge_base, question, _named(line, documents), row=row)
        except InvalidInput as error:
            problems.append((number, error.detail))
            continue
        known[question] = case
        added += before is None
        changed += before is not None and before != (case.document_id, case.heading, case.answerable)
    return Imported(added, changed, tuple(problems))


def as_csv(rows: QuerySet[EvaluationCase]) -> Iterator[str]:
    """The cases as the lines of a file that `read_csv` takes."""
    yield _line(COLUMNS)
    for case in rows.select_related("document").iterator(chunk_size=500):
        document = case.document.filename if case.document else ""
        yield _line((case.question, "yes" if case.answerable else "no", document, case.heading))


def look_up(knowledge_base: KnowledgeBase, words: str, most: int = 8) -> list[Passage]:
    """Passages in use whose heading, text or other wordings hold all these words, headings first."""
    found = Passage.objects.filter(document__knowledge_base=knowledge_base, retired_at=None)
    for word in words.split()[:8]:
        found = found.filter(
            Q(heading__icontains=word) | Q(text__icontains=word) | Q(variants__icontains=word)
        )
    first = found.filter(heading__icontains=words.strip())
    rows = list(first.select_related("document")[:most])
    rest = found.exclude(pk__in=[row.pk for row in rows]).select_related("document")
    return rows + list(rest[: most - len(rows)])


def _lines(data: bytes) -> list[tuple[int, dict[str, str | None]]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        if "question" not in (reader.fieldnames or []):
            raise InvalidInput(
                _("The first line must name the columns: question, answerable, document, heading.")
            )
        lines = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(_("The file is not a CSV file in UTF-8.")) from error
    if len(lines) > MOST_LINES:
        raise InvalidInput(_("The file has more than %(n)d lines. Split it.") % {"n": MOST_LINES})
    return lines


def _documents(knowledge_base: KnowledgeBase) -> dict[str, Document]:
    rows = list(knowledge_base.documents.exclude(state=Document.State.REMOVED))
    return {row.title: row for row in rows} | {row.filename: row for row in rows}


def _named(line: dict[str, str | None], documents: dict[str, Document]) -> Passage | None:
    """The passage a line names, or None for a question without an answer."""
    if (line.get("answerable") or "").strip().casefold() in NO:
        return None
    name, heading = (line.get("document") or "").strip(), (line.get("heading") or "").strip()
    document = documents.get(name)
    if document is None:
        raise InvalidInput(_("There is no document “%(name)s”.") % {"name": name[:80]})
    passages = document.passages.filter(retired_at=None).select_related("document")
    whole = passages.filter(heading=heading).first() if heading else None
    found = whole or (passages.filter(heading__endswith=f" › {heading}").first() if heading else None)
    if found is None:
        told = {"name": name[:80], "heading": heading[:80]}
        raise InvalidInput(_("“%(name)s” has no passage under “%(heading)s”.") % told)
    return found


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
