"""Question variants that people give a passage, beside those of its file.

A row names its passage by document and heading, as an evaluation case does, so it outlives a new upload. They
are embedded with the document's pieces: whoever changes them puts the document back in the queue.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from chatbot.answerability import is_entry
from chatbot.models import Document, KnowledgeBase, Passage, QuestionVariant
from services.errors import Conflict, InvalidInput

LONGEST = 500
MOST = 50
"""Variants by hand of one passage."""


def by_heading(document: Document) -> dict[str, list[str]]:
    """The variants by hand under each heading of a document, oldest first."""
    found: dict[str, list[str]] = {}
    for heading, question in document.question_variants.values_list("heading", "question"):
        found.setdefault(heading, []).append(question)
    return found


def add(
    passage: Passage, question: str, *, by: str, origin: str = QuestionVariant.Origin.HAND
) -> QuestionVariant:
    """Give a passage a variant and queue its document.

    Raises InvalidInput on `question` (empty, too long, too many, this or another entry's question: `passage`
    in `extra` says which), Conflict when nothing stands under its heading any longer.
    """
    question = " ".join(question.split())
    if not question or len(question) > LONGEST:
        raise InvalidInput(
            _("Write a question of at most %(n)d characters.") % {"n": LONGEST}, field="question"
        )
    document = passage.document
    refuse_taken(document.knowledge_base, question, passage)
    if document.question_variants.filter(heading=passage.heading).count() >= MOST:
        raise InvalidInput(_("A passage takes at most %(n)d wordings.") % {"n": MOST}, field="question")
    try:
        with transaction.atomic():
            still = document.passages.filter(heading=passage.heading, retired_at=None).exists()
            if not (still and _queue(document)):
                raise Conflict(_("This passage was replaced meanwhile. Look at its document again."))
            return QuestionVariant.objects.create(
                document=document, heading=passage.heading, question=question, origin=origin, by=by[:150]
            )
    except IntegrityError as error:  # the same one, added by somebody else at this moment
        raise InvalidInput(_("This passage has the wording already."), field="question") from error


def remove(variant: QuestionVariant) -> None:
    """Take a variant away and queue its document."""
    with transaction.atomic():
        QuestionVariant.objects.filter(pk=variant.pk).delete()
        _queue(variant.document)


def refuse_taken(knowledge_base: KnowledgeBase, question: str, passage: Passage) -> None:
    """Raises InvalidInput when a passage in use has this question; `extra` has its `passage`."""
    for owner in owners(knowledge_base, question):
        if (owner.document_id, owner.heading) == (passage.document_id, passage.heading):
            raise InvalidInput(_("This passage has the wording already."), field="question", passage=owner.pk)
        told = {"heading": owner.heading, "title": owner.document.title}
        raise InvalidInput(
            _("This is a question of “%(heading)s” in “%(title)s” already.") % told,
            field="question",
            passage=owner.pk,
        )


def owners(knowledge_base: KnowledgeBase, question: str) -> list[Passage]:
    """The passages in use that have this question: as their heading, in their file, or by hand."""
    ids = taken(knowledge_base).get(plain(question), [])
    return list(Passage.objects.select_related("document").filter(pk__in=ids).order_by("pk"))


def taken(knowledge_base: KnowledgeBase) -> dict[str, list[int]]:
    """Every question of the passages in use, plain, with the passages that have it."""
    by_hand: dict[tuple[int, str], list[str]] = {}
    rows = QuestionVariant.objects.filter(document__knowledge_base=knowledge_base)
    for document, heading, question in rows.values_list("document_id", "heading", "question"):
        by_hand.setdefault((document, heading), []).append(question)
    found: dict[str, list[int]] = {}
    passages = Passage.objects.filter(document__knowledge_base=knowledge_base, retired_at=None)
    fields = ("pk", "document_id", "heading", "variants")
    for pk, document, heading, variants in passages.values_list(*fields).iterator(chunk_size=2000):
        beside = by_hand.get((document, heading), [])
        for question in set(map(plain, _questions(heading, variants, beside))):
            found.setdefault(question, []).append(pk)
    return found


def plain(question: str) -> str:
    """A question without what does not tell it from another: case, spacing, the mark at its end."""
    return " ".join(question.casefold().split()).rstrip(" ?？.。!！")


def _questions(heading: str, variants: list[str], beside: list[str]) -> Iterator[str]:
    if is_entry(heading, variants):
        yield heading.rsplit(" › ", 1)[-1]
    yield from map(str, variants)
    yield from beside


def _queue(document: Document) -> int:
    """Have the document read once more; none when it was removed."""
    there = Document.objects.filter(pk=document.pk).exclude(state=Document.State.REMOVED)
    return there.update(state=Document.State.QUEUED, attempts=0, failure="", claimed_at=None)
