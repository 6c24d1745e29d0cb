"""Ingest: a document's file becomes passages, passages become pieces, pieces become vectors, a version.

Each stage leaves rows that say what is still to do, so a worker killed anywhere loses nothing and any
stage can run again. Only what changed is written: passages are matched by content hash. A passage that its
document has no longer is left out of new versions and stays for those and for the answers that hold it.
The model works with no transaction open.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from chatbot import answerability, converting, editions, parsing, publishing, variants
from chatbot.models import Document, KnowledgeBase, KnowledgeVersion, Passage, Piece, Source
from services.errors import DeadlineExceeded, InvalidInput, SuiteError, TooLarge
from services.inference.engine import Engine
from services.inference.values import Priority
from services.logs import get_logger
from services.search.pieces import cut_passage
from services.storage import Storage

log = get_logger(__name__)

Clock = Callable[[], datetime]
BATCH = 64
MAX_ATTEMPTS = 3
READ_AT_DOOR_BYTES = 2**20
SITE_WAIT = timedelta(minutes=5)


def receive(
    knowledge_base: KnowledgeBase,
    filename: str,
    data: bytes,
    *,
    storage: Storage,
    max_bytes: int,
    title: str = "",
    by: str = "",
    now: datetime | None = None,
    source: Source | None = None,
    url: str = "",
    page: dict[str, Any] | None = None,
) -> Document:
    """Keep an uploaded file and queue it; the same file name replaces the document of that name.

    Without a `title` the file's name gives one, until the file is read and has one of its own. The file it
    replaces is kept as an edition: `by` says who replaced it, `now` when.
    A web site's page comes with its `source`, its address and what the next crawl compares (`page`).

    Raises UnsupportedMediaType, TooLarge, InvalidInput (empty, binary, damaged) before anything is written.
    """
    filename = Path(filename).name[:200]
    media_type = parsing.media_type_of(filename, data[: max_bytes + 1])
    if len(data) > max_bytes:
        raise TooLarge(
            _("The file has %(size).1f MiB; at most %(limit)d MiB are taken. Split it.")
            % {"size": len(data) / 2**20, "limit": max_bytes // 2**20},
            field="file",
            limit_bytes=max_bytes,
        )
    title = title or re.sub(r"[-_]+", " ", Path(filename).stem).strip().capitalize() or filename
    if len(data) <= READ_AT_DOOR_BYTES:  # what cannot be read is refused at once, where that is quick
        with suppress(DeadlineExceeded):
            parsing.read_sections(data, media_type, title, wall_s=converting.AT_DOOR_S)
    digest = hashlib.sha256(data).hexdigest()
    path = f"documents/{knowledge_base.pk}/{digest}"
    storage.write(path, data)
    fields = {
        "title": title[:200],
        "media_type": media_type,
        "size_bytes": len(data),
        "content_hash": digest,
        "file_path": path,
        "state": Document.State.QUEUED,
        "failure": "",
        "attempts": 0,
        "claimed_at": None,
        "source": source,
        "url": url,
        "page": page or {},
    }
    with transaction.atomic():
        same = Document.objects.select_for_update().filter(knowledge_base=knowledge_base, filename=filename)
        if (before := same.first()) is not None:
            fields["editions"] = editions.after(before, digest, by, now or timezone.now())
        document, _made = Document.objects.update_or_create(
            knowledge_base=knowledge_base, filename=filename, defaults=fields
        )
    return document


def waiting(now: datetime, lease: timedelta) -> list[int]:
    """Documents to be read: queued, or running without a sign of life for longer than the lease."""
    dead = Q(state=Document.State.RUNNING) & (Q(claimed_at__lt=now - lease) | Q(claimed_at=None))
    return list(
        Document.objects.filter(Q(state=Document.State.QUEUED) | dead)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def claim(document_id: int, now: datetime, lease: timedelta) -> Document | None:
    """Take a waiting document for this worker; None when another has it."""
    free = Q(state=Document.State.QUEUED) | (
        Q(state=Document.State.RUNNING) & (Q(claimed_at__lt=now - lease) | Q(claimed_at=None))
    )
    taken = Document.objects.filter(free, pk=document_id).update(
        state=Document.State.RUNNING, claimed_at=now, attempts=F("attempts") + 1, failure=""
    )
    return Document.objects.select_related("knowledge_base").get(pk=document_id) if taken else None


def ingest(document: Document, engine: Engine, storage: Storage, clock: Clock) -> bool:
    """Read, cut and embed one claimed document; True when it is done, False when it failed.

    A failure that trying again may mend leaves the document to the sweep, three times at most.
    """
    try:
        if document.attempts > MAX_ATTEMPTS:
            raise InvalidInput(_("Reading this file was broken off several times. Upload it again."))
        sections = parsing.read_sections(
            storage.read(document.file_path),
            document.media_type,
            document.title,
            alive=lambda: _mine(document).update(claimed_at=clock()),
        )
        if not write_passages(document, sections, clock):
            return False
        embed_pieces(document, engine, clock)
    except SuiteError as error:
        _fail(document, error.detail)
        log.warning("ingest_failed", document=document.pk, code=error.code)
        return False
    except Exception:
        _fail(document, _("An unexpected error was logged. Retry, or upload the file again."))
        log.exception("ingest_bug", document=document.pk)
        return False
    _mine(document).update(state=Document.State.DONE, ingested_at=clock(), claimed_at=None)
    log.info("ingested", document=document.pk, pieces=document.pieces_total)
    return True


def write_passages(document: Document, sections: list[parsing.Section], clock: Clock = timezone.now) -> bool:
    """Make the document's passages those of the sections: kept where alike, written where new, else retired.

    False when the document was removed or uploaded anew meanwhile; nothing is written then.
    """
    wanted, faq = passages_of(document, sections)
    with transaction.atomic():
        if not _mine(document).select_for_update().first():
            return False
        existing = {p.content_hash: p for p in document.passages.all()}
        before = [p for p in existing.values() if not p.retired_at]
        hashes = {p.content_hash for p in wanted}
        gone = _retire(document.passages.exclude(content_hash__in=hashes), clock())
        back = [p for p in existing.values() if p.retired_at and p.content_hash in hashes]
        kept = []
        for passage in wanted:
            if (old := existing.get(passage.content_hash)) is not None:
                old.ordinal, old.start, old.end = passage.ordinal, passage.start, passage.end
                old.anchor, old.language, old.blocks = passage.anchor, passage.language, passage.blocks
                old.retired_at = None
                kept.append(old)
        Passage.objects.bulk_update(
            kept, ["ordinal", "start", "end", "anchor", "language", "blocks", "retired_at"]
        )
        new = [p for p in wanted if p.content_hash not in existing]
        _keep_dates(new, [p for p in before if p.content_hash not in hashes])
        new = Passage.objects.bulk_create(new)
        Piece.objects.bulk_create(
            [piece for passage in [*new, *back] for piece in pieces_of(passage, passage.content_hash in faq)]
        )
        by_hand = _write_variants(document, [*kept, *new])
        document.title = parsing.document_title(sections, document.media_type)[:200] or document.title
        document.language = sections[0].language
        document.save(update_fields=["title", "language"])
        if gone or new or back or by_hand:
            _touch(document.knowledge_base_id)
    return True


def embed_pieces(document: Document, engine: Engine, clock: Clock) -> None:
    """Embed the pieces that lack a vector of the live encoder, batch by batch, keeping count."""
    version = engine.encoder().version
    pieces = Piece.objects.filter(passage__document=document)
    todo = list(pieces.exclude(model_version=version, vec__isnull=False).values_list("pk", "embedded"))
    total = pieces.count()
    document.pieces_total = total
    _progress(document, total - len(todo), clock)
    for at in range(0, len(todo), BATCH):
        batch = todo[at : at + BATCH]
        vecs = engine.embed([text for _pk, text in batch], priority=Priority.BATCH)
        rows = [
            Piece(pk=pk, vec=vec.astype(np.float32).tobytes(), model_version=version)
            for (pk, _text), vec in zip(batch, vecs, strict=True)
        ]
        Piece.objects.bulk_update(rows, ["vec", "model_version"])
        _progress(document, total - len(todo) + at + len(batch), clock)
    if todo:
        _touch(document.knowledge_base_id)


def remove(document: Document, now: datetime | None = None) -> None:
    """Take a document out of use; the index follows. Answers that quote it still lead to its words."""
    with transaction.atomic():
        Document.objects.filter(pk=document.pk).update(
            state=Document.State.REMOVED, failure="", claimed_at=None
        )
        _retire(document.passages.all(), now or timezone.now())
        _touch(document.knowledge_base_id)


def retry(document: Document) -> None:
    """Put a failed document back in the queue."""
    Document.objects.filter(pk=document.pk).update(
        state=Document.State.QUEUED, attempts=0, failure="", claimed_at=None
    )


def stale_indexes() -> list[int]:
    """Knowledge bases whose newest version is behind their passages."""
    return publishing.behind()


def more_to_read(knowledge_base_id: int, now: datetime | None = None) -> bool:
    """Whether documents still wait or are being read: one index after the last of them is enough.

    So are the pages of a web site that is being read, but what came of them waits for SITE_WAIT at most.
    """
    states = [Document.State.QUEUED, Document.State.RUNNING]
    if Document.objects.filter(knowledge_base_id=knowledge_base_id, state__in=states).exists():
        return True
    since = (now or timezone.now()) - SITE_WAIT
    sites = Source.objects.filter(knowledge_base_id=knowledge_base_id, state=Source.State.RUNNING)
    versions = KnowledgeVersion.objects.filter(knowledge_base_id=knowledge_base_id)
    if not sites.exists():
        return False
    return sites.filter(began_at__gt=since).exists() or versions.filter(created_at__gt=since).exists()


def unfinished() -> int:
    """Documents to be read and indexes to be built, over all knowledge bases."""
    states = [Document.State.QUEUED, Document.State.RUNNING]
    return Document.objects.filter(state__in=states).count() + len(stale_indexes())


def build_index(knowledge_base: KnowledgeBase, engine: Engine, storage: Storage, now: datetime) -> bool:
    """Make a version of what is embedded, judge it, and publish it when it may be; see publishing.py.

    False when there is nothing new or another worker has it.
    """
    return publishing.see_through(knowledge_base, engine, storage, lambda: now)


def passages_of(document: Document, sections: list[parsing.Section]) -> tuple[list[Passage], set[str]]:
    """The passages of the sections, unsaved, and the content hashes of those that answer a question."""
    at = 0
    made: list[Passage] = []
    faq: set[str] = set()
    seen: set[str] = set()
    anchors: set[str] = set()
    for ordinal, section in enumerate(sections):
        heading = " › ".join(section.title_path)[:400]
        digest = _digest(heading, section.text, *section.variants)
        if digest not in seen:  # the same words twice in a file are one passage
            seen.add(digest)
            if section.is_faq or answerability.is_entry(heading):
                faq.add(digest)
            made.append(
                Passage(
                    document=document,
                    ordinal=ordinal,
                    heading=heading,
                    anchor=_anchor(section.title_path[-1], anchors),
                    text=section.text,
                    blocks=[block.as_json() for block in section.blocks],
                    variants=list(section.variants),
                    start=at,
                    end=at + len(section.text),
                    language=section.language,
                    content_hash=digest,
                )
            )
        at += len(section.text) + 2
    return made, faq


def pieces_of(passage: Passage, is_faq: bool) -> Iterator[Piece]:
    """The pieces search is made of, unsaved; an answer is embedded under its question."""
    title = passage.heading.rsplit(" › ", 1)[-1] if is_faq else passage.heading
    for cut in cut_passage(title, passage.text, passage.variants, is_faq=is_faq):
        yield Piece(passage=passage, kind=cut.kind, text=cut.text, embedded=cut.embedded)


def _write_variants(document: Document, passages: list[Passage]) -> int:
    """Make the variants among the pieces those of the file and those by hand; how many came or went.

    Where a section was cut in several passages, those by hand are its first one's.
    """
    by_hand = variants.by_heading(document)
    wanted: dict[tuple[int, str], Piece] = {}
    for passage in sorted(passages, key=lambda passage: passage.ordinal):
        for question in [*passage.variants, *by_hand.pop(passage.heading, [])]:
            if text := question.strip():
                piece = Piece(passage=passage, kind=Piece.Kind.VARIANT, text=text, embedded=text)
                wanted.setdefault((passage.pk, text), piece)
    there = Piece.objects.filter(passage__in=passages, kind=Piece.Kind.VARIANT)
    known = {(passage, text): pk for pk, passage, text in there.values_list("pk", "passage_id", "text")}
    gone = [pk for place, pk in known.items() if place not in wanted]
    Piece.objects.filter(pk__in=gone).delete()
    new = Piece.objects.bulk_create([piece for place, piece in wanted.items() if place not in known])
    return len(gone) + len(new)


def _keep_dates(new: list[Passage], gone: list[Passage]) -> None:
    """A passage whose words changed is still to be looked at by its date; its heading tells which it is."""
    dates = {passage.heading: passage.review_by for passage in gone if passage.review_by}
    for passage in new:
        passage.review_by = dates.get(passage.heading)


def _retire(passages: QuerySet[Passage], now: datetime) -> int:
    """Leave passages out of new versions; how many those were. Their pieces are made anew if they return."""
    ids = list(passages.filter(retired_at=None).values_list("pk", flat=True))
    Piece.objects.filter(passage__in=ids).delete()
    return Passage.objects.filter(pk__in=ids).update(retired_at=now)


def _progress(document: Document, done: int, clock: Clock) -> None:
    _mine(document).update(pieces_done=done, pieces_total=document.pieces_total, claimed_at=clock())


def _fail(document: Document, why: str) -> None:
    _mine(document).update(state=Document.State.FAILED, failure=why, claimed_at=None)


def _mine(document: Document) -> QuerySet[Document]:
    """The row as long as this worker's claim on this content stands: a newer upload is not touched."""
    return Document.objects.filter(
        pk=document.pk,
        state=Document.State.RUNNING,
        attempts=document.attempts,
        content_hash=document.content_hash,
    )


def _touch(knowledge_base_id: int) -> None:
    KnowledgeBase.objects.filter(pk=knowledge_base_id).update(revision=F("revision") + 1)


def _anchor(heading: str, taken: set[str]) -> str:
    base = re.sub(r"[^\w]+", "-", heading.lower(), flags=re.UNICODE).strip("-")[:100] or "section"
    anchor, n = base, 2
    while anchor in taken:
        anchor, n = f"{base}-{n}", n + 1
    taken.add(anchor)
    return anchor


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
