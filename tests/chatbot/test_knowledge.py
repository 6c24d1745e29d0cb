"""Ingest leaves rows that say what is still to do, writes only what changed, and never half."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from chatbot import knowledge, tasks
from chatbot.models import Document, KnowledgeBase, Passage, Piece
from services.console.storage import storage
from services.errors import InvalidInput, ModelFailed, TooLarge, UnsupportedMediaType
from services.inference.engine import get_engine, set_engine
from services.inference.fake import FakeEngine
from services.search.pieces import PIECE_CHARS, cut_body
from tests.builders import RETURNS_MD, add_document, make_knowledge_base

pytestmark = pytest.mark.django_db
LEASE = timedelta(seconds=60)


def test_a_file_becomes_passages_with_embedded_pieces_and_an_index() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document = base.documents.get()
    assert document.state == Document.State.DONE
    assert document.title == "Returns"
    assert document.pieces_done == document.pieces_total == Piece.objects.exclude(vec=None).count() > 0
    assert base.revision == base.indexed_revision
    assert (storage().local_folder(base.index_path)).is_dir()


def test_reading_a_file_again_embeds_only_what_changed(engine: FakeEngine) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    kept = Passage.objects.get(heading__endswith="Size exchange").pk
    before = engine.calls
    add_document(base, "returns.md", RETURNS_MD.replace(b"within 5 business", b"within 6 business"))
    assert Passage.objects.get(heading__endswith="Size exchange").pk == kept
    refunds = Passage.objects.get(heading__endswith="Refunds", retired_at=None)
    assert "6 business days" in refunds.text
    changed = refunds.pieces.count()
    assert engine.calls - before == changed


def test_reading_the_same_file_again_changes_nothing(engine: FakeEngine) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    before = engine.calls, base.revision
    add_document(base, "returns.md", RETURNS_MD)
    base.refresh_from_db()
    assert (engine.calls, base.revision) == before


def test_a_removed_document_leaves_the_index_too() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, other_md=b"# Other\n\nOther words.")
    knowledge.remove(Document.objects.get(filename="returns.md"))
    assert knowledge.stale_indexes() == [base.pk]
    tasks.index_knowledge_base(base.pk)
    base.refresh_from_db()
    assert base.revision == base.indexed_revision
    assert Piece.objects.filter(passage__document__filename="returns.md").count() == 0


@pytest.mark.parametrize(
    ("filename", "data", "error"),
    [
        ("empty.md", b"", InvalidInput),
        ("picture.md", b"\x89PNG\x00\x01", InvalidInput),
        ("program.exe", b"MZ", UnsupportedMediaType),
        ("huge.md", b"x" * (2**20 + 1), TooLarge),
        ("noending", b"words", UnsupportedMediaType),
    ],
)
def test_a_refused_upload_writes_nothing(filename: str, data: bytes, error: type[Exception]) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    with pytest.raises(error):
        knowledge.receive(base, filename, data, storage=storage(), max_bytes=2**20)
    assert not Document.objects.exists()
    assert storage().folders("documents") == []


def test_a_path_in_a_file_name_is_dropped() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    made = knowledge.receive(base, "../../etc/words.md", b"# A\n\nb", storage=storage(), max_bytes=100)
    assert made.filename == "words.md"


def test_two_workers_never_read_the_same_document() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    document = knowledge.receive(base, "a.md", b"# A\n\nb", storage=storage(), max_bytes=100)
    now = timezone.now()
    assert knowledge.claim(document.pk, now, LEASE) is not None
    assert knowledge.claim(document.pk, now, LEASE) is None


def test_a_document_whose_worker_died_is_found_and_finished() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    document = knowledge.receive(base, "returns.md", RETURNS_MD, storage=storage(), max_bytes=10_000)
    dead_since = timezone.now() - timedelta(minutes=5)
    claimed = knowledge.claim(document.pk, dead_since, LEASE)
    assert claimed is not None
    from chatbot.parsing import read_sections

    knowledge.write_passages(claimed, read_sections(RETURNS_MD, "text/markdown", "returns"))  # then it died
    tasks.resume_ingest()
    document.refresh_from_db()
    assert document.state == Document.State.DONE
    assert Passage.objects.count() == 2


def test_a_failing_model_fails_the_document_with_a_reason_and_retry_mends_it() -> None:
    set_engine(FakeEngine(fail_with=ModelFailed("The model returned numbers that are not finite.")))
    base = KnowledgeBase.objects.create(name="Help")
    document = knowledge.receive(base, "returns.md", RETURNS_MD, storage=storage(), max_bytes=10_000)
    tasks.ingest_document(document.pk)
    document.refresh_from_db()
    assert document.state == Document.State.FAILED
    assert "not finite" in document.failure
    set_engine(FakeEngine())
    knowledge.retry(document)
    tasks.resume_ingest()
    document.refresh_from_db()
    assert document.state == Document.State.DONE


def test_a_file_that_breaks_its_worker_again_and_again_is_given_up() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    document = knowledge.receive(base, "returns.md", RETURNS_MD, storage=storage(), max_bytes=10_000)
    Document.objects.filter(pk=document.pk).update(
        state=Document.State.RUNNING,
        attempts=knowledge.MAX_ATTEMPTS,
        claimed_at=timezone.now() - timedelta(hours=1),
    )
    tasks.resume_ingest()
    document.refresh_from_db()
    assert document.state == Document.State.FAILED


def test_an_upload_during_an_ingest_is_read_after_it() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    old = knowledge.receive(base, "a.md", b"# A\n\nold words", storage=storage(), max_bytes=100)
    claimed = knowledge.claim(old.pk, timezone.now(), LEASE)
    knowledge.receive(base, "a.md", b"# A\n\nnew words", storage=storage(), max_bytes=100)
    assert claimed is not None
    knowledge.ingest(claimed, get_engine(), storage(), timezone.now)
    old.refresh_from_db()
    assert old.state == Document.State.QUEUED
    tasks.resume_ingest()
    assert Passage.objects.get().text == "new words"


def test_pieces_are_short_and_lose_no_words() -> None:
    text = " ".join(f"Sentence number {i} says a little more." for i in range(40)) + " " + "x" * 700
    pieces = list(cut_body(text))
    assert max(map(len, pieces)) <= PIECE_CHARS
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
