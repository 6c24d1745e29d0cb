"""What may go: old versions with their indexes, and passages that nothing leads to any longer.

Kept are the live version, the one before it, the latest few, and any that is being built; of the passages
out of use those that a kept version holds or a recent answer quotes.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from chatbot import editions, indexing, publishing
from chatbot.models import ConversationEvent, Document, KnowledgeBase, KnowledgeVersion, Passage
from services.logs import get_logger
from services.storage import Storage

log = get_logger(__name__)


def clear_versions(knowledge_base: KnowledgeBase, storage: Storage, *, keep: int) -> int:
    """Delete all but the kept versions, and index folders of none; how many versions went.

    Raises StorageFailed; what was to go is then found the next time.
    """
    gone = sum(_delete(version) for version in _too_old(knowledge_base, keep))
    known = dict(knowledge_base.versions.values_list("number", "index_path"))
    live = KnowledgeBase.objects.values_list("index_path", flat=True).get(pk=knowledge_base.pk)
    for path in storage.folders(indexing.folder_of(knowledge_base.pk)):
        number = path.rsplit("/", 1)[1].partition("-")[0]
        being_built = number.isdecimal() and known.get(int(number)) == ""
        if path != live and path not in known.values() and not being_built:
            storage.delete(path)
    return gone


def clear_passages(knowledge_base: KnowledgeBase, storage: Storage, since: datetime) -> int:
    """Delete passages out of use that no version holds and no answer since then quotes; how many.

    A removed document goes with its last passage, and with it its file and those it had before, except where
    another document has or had one.
    """
    out = Passage.objects.filter(document__knowledge_base=knowledge_base, retired_at__lt=since)
    candidates = set(out.values_list("pk", flat=True))
    if candidates:
        for ids in knowledge_base.versions.values_list("passage_ids", flat=True):
            candidates.difference_update(ids)
    if candidates:
        candidates -= _quoted(knowledge_base, since)
    gone = 0
    ids = sorted(candidates)
    for at in range(0, len(ids), 500):
        batch = Passage.objects.filter(pk__in=ids[at : at + 500]).exclude(retired_at=None)
        gone += batch.delete()[1].get("chatbot.Passage", 0)
    _clear_documents(knowledge_base, storage)
    if gone:
        log.info("passages_cleared", knowledge_base=knowledge_base.pk, passages=gone)
    return gone


def _too_old(knowledge_base: KnowledgeBase, keep: int) -> list[KnowledgeVersion]:
    built = knowledge_base.versions.exclude(judged_at=None).defer("passage_ids", "failing", "evaluation")
    before = publishing.earlier(knowledge_base)
    return [version for version in built.order_by("-number")[keep:] if before is None or version != before]


def _delete(version: KnowledgeVersion) -> bool:
    """Delete a version that is not live; publishing takes the same row first, so it cannot go in between."""
    with transaction.atomic():
        base = KnowledgeBase.objects.select_for_update().get(pk=version.knowledge_base_id)
        if base.live_version_id == version.pk:
            return False
        return bool(KnowledgeVersion.objects.filter(pk=version.pk).delete()[0])


def _quoted(knowledge_base: KnowledgeBase, since: datetime) -> set[int]:
    """The passages that answers since then lead to."""
    answers = ConversationEvent.objects.filter(
        conversation__inbox__knowledge_base=knowledge_base,
        kind=ConversationEvent.Kind.BOT_MESSAGE,
        created_at__gte=since,
    )
    found: set[int] = set()
    for citations in answers.values_list("payload__citations", flat=True).iterator(chunk_size=1000):
        found.update(int(citation.get("passage", 0)) for citation in citations or [])
    return found


def _clear_documents(knowledge_base: KnowledgeBase, storage: Storage) -> None:
    gone = knowledge_base.documents.filter(state=Document.State.REMOVED, passages=None)
    for document in gone:
        taken = Document.objects.filter(pk=document.pk, state=Document.State.REMOVED).delete()[0]
        if taken:
            for path in set(editions.of(document)) - editions.paths(knowledge_base):
                storage.delete(path)
