"""Keeping the knowledge right: when to look at an entry again, what rests on overdue ones, who is quoted.

A document has a date it is to be looked at by, and so may each of its passages; a passage's own date wins.
When an answer is settled, each passage it quotes is written down with its date of that day, so that answers
that rested on an overdue entry can be found, and so that it shows which documents visitors need.
Knows nothing of how answers are made.
"""

from __future__ import annotations

import calendar
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from chatbot.conf import ChatbotSettings
from chatbot.models import ConversationEvent, Document, KnowledgeBase, Passage, Quotation, Turn
from services.conf import load
from services.errors import InvalidInput, NotFound
from services.text.masking import mask

MONTHS = (3, 6, 12)
"""After how many months to look again: the choices that are offered."""
SOON = timedelta(days=30)
"""What is due within this time is listed too."""
PERIODS = (7, 30, 90)
"""Days over which quotations are counted."""
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Due:
    """A document, or a passage with a date of its own, to be looked at by `by`; `days` below 0: overdue."""

    document: Document
    passage: Passage | None
    by: date
    days: int

    @property
    def title(self) -> str:
        """The passage's heading, or the document's title."""
        return self.passage.heading.rsplit(" › ", 1)[-1] if self.passage else self.document.title


@dataclass(frozen=True, slots=True)
class Expired:
    """An answer that quoted a passage after the date it was to be looked at by. Both texts are masked."""

    quotation: Quotation
    question: str
    answer: str
    days: int


@dataclass(frozen=True, slots=True)
class Hits:
    """How many answers quoted a document in the last 7, 30 and 90 days; its most quoted passages first.

    `passages`: (passage, answers in 90 days).
    """

    document: Document
    counts: tuple[int, ...]
    last: datetime | None
    passages: tuple[tuple[Passage, int], ...] = ()


# Dates.


def in_months(today: date, months: int) -> date:
    """The same day so many months on, or the last of that month."""
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))


def look_again(documents: Iterable[int], months: int, today: date) -> int:
    """Have documents looked at again in so many months; how many. Raises InvalidInput on `months`."""
    return Document.objects.filter(pk__in=list(documents)).update(
        review_by=in_months(today, _checked(months))
    )


def still_right(*, document: int | None = None, passage: int | None = None, months: int, today: date) -> date:
    """That an entry was looked at and is right: the date it is next to be looked at by.

    Raises InvalidInput on `months`, NotFound when the entry is gone.
    """
    by = in_months(today, _checked(months))
    entry = _shown_passages().filter(pk=passage) if passage else shown_documents().filter(pk=document or 0)
    if not entry.update(review_by=by):
        raise NotFound(_("This entry is gone: its document was removed or its words changed meanwhile."))
    return by


def due(base: KnowledgeBase | None, today: date, soon: timedelta = SOON) -> list[Due]:
    """Documents, and passages with a date of their own, that are overdue or soon due, the oldest first."""
    until = today + soon
    documents = _of(shown_documents(), base, "knowledge_base").filter(review_by__lte=until)
    passages = _of(_shown_passages(), base, "document__knowledge_base").filter(review_by__lte=until)
    found = [
        Due(row, None, row.review_by, (row.review_by - today).days) for row in documents if row.review_by
    ]
    found += [
        Due(row.document, row, row.review_by, (row.review_by - today).days)
        for row in passages.select_related("document")
        if row.review_by
    ]
    return sorted(found, key=lambda one: (one.by, one.title, one.document.pk))


def without_date(base: KnowledgeBase | None) -> int:
    """Documents in use that nobody has to look at again."""
    return _of(shown_documents(), base, "knowledge_base").filter(review_by=None).count()


def shown_documents() -> QuerySet[Document]:
    """Documents that are not removed."""
    return Document.objects.exclude(state=Document.State.REMOVED)


def _shown_passages() -> QuerySet[Passage]:
    return Passage.objects.filter(retired_at=None).exclude(document__state=Document.State.REMOVED)


def _of(rows: QuerySet[Any], base: KnowledgeBase | None, name: str) -> QuerySet[Any]:
    return rows if base is None else rows.filter(**{name: base})


def _checked(months: int) -> int:
    if months not in MONTHS:
        choices = ", ".join(map(str, MONTHS))
        raise InvalidInput(_("Choose one of %(choices)s months.") % {"choices": choices}, field="months")
    return months


# What answers rest on.


def quote(turn: Turn, payload: Mapping[str, Any], now: datetime) -> int:
    """Write down which passages an answer quotes, each with its date of now; how many there are."""
    ids = {citation.get("passage") for citation in payload.get("citations") or []} - {None}
    if not ids:
        return 0
    rows = Passage.objects.filter(pk__in=ids).annotate(by=Coalesce("review_by", "document__review_by"))
    made = [
        Quotation(turn=turn, passage_id=pk, review_by=by, created_at=now)
        for pk, by in rows.values_list("pk", "by").order_by("pk")
    ]
    Quotation.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def overdue_quotations(base: KnowledgeBase | None = None) -> QuerySet[Quotation]:
    """Quotations made after the date their passage was to be looked at by, the latest first."""
    zone = timezone.get_current_timezone()
    rows = Quotation.objects.annotate(on=TruncDate("created_at", tzinfo=zone)).filter(review_by__lt=F("on"))
    return _of(rows, base, "passage__document__knowledge_base").order_by("-created_at", "-pk")


def expired_answers(base: KnowledgeBase | None, most: int = MOST_LISTED) -> list[Expired]:
    """Answers that used an overdue entry, the latest first, at most so many."""
    rows = list(overdue_quotations(base).select_related("turn__conversation", "passage__document")[:most])
    said = _said([row.turn for row in rows])
    found = []
    for row in rows:
        question, answer = said.get(row.turn_id, ("", ""))
        days = (timezone.localdate(row.created_at) - (row.review_by or date.max)).days
        found.append(Expired(row, question, answer, days))
    return found


def _said(turns: Sequence[Turn]) -> dict[int, tuple[str, str]]:
    """Each turn's question and answer, without personal data."""
    region = load(ChatbotSettings).chatbot_phone_region.upper()
    by_place = {(turn.conversation_id, turn.question_seq): turn.pk for turn in turns}
    kinds = [ConversationEvent.Kind.VISITOR_MESSAGE, ConversationEvent.Kind.BOT_MESSAGE]
    events = ConversationEvent.objects.filter(
        conversation__in={turn.conversation_id for turn in turns}, kind__in=kinds
    )
    told: dict[int, list[str]] = {turn.pk: ["", ""] for turn in turns}
    for conversation, seq, payload in events.values_list("conversation_id", "seq", "payload").iterator(500):
        reply_to = payload.get("reply_to")
        turn_id = by_place.get((conversation, seq if reply_to is None else reply_to))
        if turn_id is not None:
            told[turn_id][reply_to is not None] = mask(str(payload.get("text", "")), region=region).text
    return {pk: (question, answer) for pk, (question, answer) in told.items()}


# How often documents are quoted.


def hits(base: KnowledgeBase | None, now: datetime, most_passages: int = 5) -> list[Hits]:
    """Every document in use, the most quoted in 90 days first; an answer counts once a document."""
    windows = {
        f"n{days}": Count(
            "passages__quotations__turn",
            filter=Q(passages__quotations__created_at__gte=now - timedelta(days=days)),
            distinct=True,
        )
        for days in PERIODS
    }
    rows = _of(shown_documents(), base, "knowledge_base").annotate(
        **windows, last_quoted=Max("passages__quotations__created_at")
    )
    passages = _passage_hits(base, now)
    found = [
        Hits(
            row,
            tuple(getattr(row, name) for name in windows),
            row.last_quoted,
            tuple(passages.get(row.pk, [])[:most_passages]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (*(-n for n in reversed(one.counts)), one.document.title))


def _passage_hits(base: KnowledgeBase | None, now: datetime) -> dict[int, list[tuple[Passage, int]]]:
    """Document -> its passages with how often each was quoted in the longest period, most first."""
    since = now - timedelta(days=max(PERIODS))
    rows = _of(Passage.objects.all(), base, "document__knowledge_base")
    counted = rows.filter(quotations__created_at__gte=since).annotate(n=Count("quotations"))
    found: dict[int, list[tuple[Passage, int]]] = {}
    for row in counted.defer("text", "blocks", "variants").order_by("-n", "pk"):
        found.setdefault(row.document_id, []).append((row, row.n))
    return found


def hits_csv(rows: Iterable[Hits]) -> Iterator[str]:
    """Lines of a CSV file: a document each, with its counts."""
    yield _line(
        [
            "document",
            "file",
            "knowledge_base",
            *(f"quoted_{n}_days" for n in PERIODS),
            "last_quoted",
            "review_by",
        ]
    )
    for one in rows:
        last = timezone.localtime(one.last).isoformat(timespec="minutes") if one.last else ""
        document = one.document
        yield _line(
            [
                document.title,
                document.filename,
                document.knowledge_base.name,
                *one.counts,
                last,
                document.review_by or "",
            ]
        )


def _line(cells: Sequence[Any]) -> str:
    """One line; a cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    told = io.StringIO()
    csv.writer(told).writerow(
        [f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell for cell in cells]
    )
    return told.getvalue()
