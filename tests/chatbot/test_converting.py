"""Files are read in a process of their own: whatever is wrong with one, the uploader hears a remedy."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot import converting, knowledge, parsing
from chatbot.converting import DOCX, PDF, XLSX
from chatbot.formats import archive, child
from chatbot.formats.refusal import Refusal
from chatbot.models import Document, KnowledgeBase, Piece
from services.console.storage import storage
from services.errors import (
    DeadlineExceeded,
    InvalidInput,
    SuiteError,
    TooLarge,
    UnsupportedMediaType,
)
from tests.builders import add_document
from tests.chatbot import made_files as made

MIXED = {"EU": [["Country", "Days"], ["Norway", 5]], "FAQ": [["question", "answer"], ["How?", "So."]]}
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a file is read to its end at the door."""
    monkeypatch.setattr(converting, "AT_DOOR_S", 120.0)


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in files.items():
            new.writestr(name, content)
    return out.getvalue()


def lying_about_its_size() -> bytes:
    """A DOCX that says its text unpacks to a hundred bytes."""
    data = made.rezipped(made.returns_docx(), lambda _name, content: content, **{"word/x.xml": b"<x>" * 9**6})
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        size = opened.getinfo("word/x.xml").file_size
    return data.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("filename", "make", "error", "told"),
    [
        ("a.pdf", lambda: made.lines([(60, 99, "x")], encrypt="word"), InvalidInput, "password"),
        ("a.pdf", made.scanned, InvalidInput, "pictures of pages, no text. Run it through text recognition"),
        ("a.pdf", lambda: made.handbook(1)[:-600], InvalidInput, "damaged or incomplete"),
        ("a.pdf", lambda: made.lines([(60, 99, "")]), InvalidInput, "No text was found"),
        ("a.pdf", lambda: b"", InvalidInput, "holds no text"),
        ("a.pdf", lambda: b"<html>no</html>", UnsupportedMediaType, "no PDF file"),
        ("a.docx", lambda: b"just words", UnsupportedMediaType, "no DOCX file"),
        ("a.docx", lambda: made.returns_docx()[:-900], InvalidInput, "damaged or incomplete"),
        ("a.docx", lambda: made.with_entity(made.returns_docx()), InvalidInput, "XML entities"),
        ("a.docx", lying_about_its_size, InvalidInput, "damaged"),
        ("a.docx", lambda: packed(a=b"b"), UnsupportedMediaType, "an archive"),
        ("a.docx", lambda: packed(**{"ppt/presentation.xml": b"<a/>"}), UnsupportedMediaType, "presentation"),
        ("a.docx", lambda: made.word(lambda _document: None), InvalidInput, "No text was found"),
        ("a.xlsx", lambda: made.workbook(Empty=[]), InvalidInput, "No text was found"),
        ("a.xlsx", lambda: OLE + "EncryptedPackage".encode("utf-16-le"), InvalidInput, "password"),
        ("a.xlsx", lambda: OLE, UnsupportedMediaType, "before 2007"),
        ("a.docx", lambda: b"{\\rtf1 words}", UnsupportedMediaType, "RTF"),
    ],
)
@pytest.mark.django_db
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(
    filename: str, make: Callable[[], bytes], error: type[SuiteError], told: str
) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    with pytest.raises(error) as caught:
        knowledge.receive(base, filename, make(), storage=storage(), max_bytes=2**22)
    assert caught.value.field == "file"
    assert told in caught.value.detail
    assert not Document.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("part", ["word/document.xml", "word/styles.xml"])
def test_an_entity_is_found_in_any_part_and_encoding(encoding: str, part: str) -> None:
    with pytest.raises(Refusal, match="entities"):
        archive.check(io.BytesIO(made.with_entity(made.returns_docx(), encoding, part)))


@pytest.mark.parametrize("data", [made.returns_docx(), made.workbook(A=[["a", "b"], ["c", "d"]])])
def test_an_archive_that_swells_is_refused_unopened(data: bytes) -> None:
    swollen = made.rezipped(data, lambda _name, content: content, zeros=bytes(201 * 2**20))
    assert len(swollen) < 2**20
    with pytest.raises(Refusal, match="bomb"):
        archive.check(io.BytesIO(swollen))
    crowded = made.rezipped(data, lambda _name, content: content, **{f"f{n}": b"" for n in range(10_001)})
    with pytest.raises(Refusal, match="bomb"):
        archive.check(io.BytesIO(crowded))


def test_a_pdf_that_swells_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "MEMORY_BYTES", 300 * 2**20)
    with pytest.raises(TooLarge, match="too much memory") as caught:
        converting.convert(made.swollen_pdf(300 * 2**20), PDF)
    assert caught.value.field == "file"


def test_a_reader_that_takes_too_long_is_ended() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        converting.convert(made.handbook(9), PDF, wall_s=0.2)
    assert caught.value.field == "file"


def test_a_sign_of_life_is_given_while_a_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "_LOOK_S", 0.02)
    signs: list[int] = []
    converting.convert(made.handbook(1), PDF, alive=lambda: signs.append(1))
    assert signs


@pytest.mark.parametrize(
    ("ended", "told"), [(-9, "memory"), (-24, "too long"), (-11, "damaged"), (1, "damaged"), (0, "damaged")]
)
def test_however_its_process_ends_the_reason_is_told(
    ended: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "_run", lambda *_args: ended)
    with pytest.raises(SuiteError, match=told):
        converting.convert(made.returns_docx(), DOCX)


def test_the_process_knows_no_secrets_and_loads_neither_django_nor_a_model() -> None:
    code = (
        "import os, sys, chatbot.formats.child, chatbot.formats.pdf, chatbot.formats.word,"
        " chatbot.formats.workbook; print(sorted(set(sys.modules) & {'django', 'torch', 'transformers',"
        " 'celery', 'onnxruntime', 'openvino'}), 'SECRET_KEY' in os.environ)"
    )
    assert "SECRET_KEY" in os.environ
    said = subprocess.run(
        [sys.executable, "-c", code], env=converting._env(), capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[] False"


@pytest.mark.parametrize(
    ("name", "make", "media_type"),
    [
        ("report.docx", made.handbook, PDF),
        ("report.txt", made.returns_docx, DOCX),
        ("table.csv", lambda: made.workbook(A=[["a", "b"], ["c", "d"]]), XLSX),
        ("report.pdf", made.returns_docx, DOCX),
    ],
)
def test_a_file_is_read_as_what_it_is_whatever_it_is_called(
    name: str, make: Callable[[], bytes], media_type: str
) -> None:
    assert parsing.media_type_of(name, make()) == media_type


def test_markdown_that_speaks_of_pdf_stays_markdown() -> None:
    assert parsing.media_type_of("a.md", b"# Files\n\nA PDF starts with %PDF-1.7.") == "text/markdown"


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("pdf", lambda: made.handbook(1)),
        ("docx", made.returns_docx),
        ("xlsx", lambda: made.workbook(A=[["a", 2]])),
    ],
)
def test_whatever_is_damaged_in_a_file_it_is_read_or_refused(kind: str, make: Callable[[], bytes]) -> None:
    data, chance = make(), random.Random(5)
    for _round in range(6):
        harmed = bytearray(data)
        for _byte in range(20):
            harmed[chance.randrange(len(harmed))] = chance.randrange(256)
        answer = json.loads(child.reply(io.BytesIO(bytes(harmed)), kind))
        assert answer.keys() & {"parts", "sheets"} or answer["refused"] in converting._TOLD


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("filename", "make", "title", "language", "heading"),
    [
        ("guide.pdf", made.handbook, "Customer handbook", "en", "Customer handbook › 1. Parcels of kind 1"),
        ("zh.pdf", made.chinese, "Zh", "zh-hans", "退货政策"),
        ("returns.docx", made.returns_docx, "Returns", "en", "Returns › Refunds"),
        (
            "times.xlsx",
            lambda: made.workbook(**MIXED),
            "Times",
            "en",
            "Times › EU",
        ),
        ("hours.txt", lambda: b"Hours\n=====\n\nNine to five.\n", "Hours", "en", "Hours"),
    ],
)
def test_an_upload_becomes_passages_that_can_be_quoted(
    filename: str, make: Callable[[], bytes], title: str, language: str, heading: str
) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    document = add_document(base, filename, make())
    assert (document.state, document.failure) == (Document.State.DONE, "")
    assert (document.title, document.language) == (title, language)
    passages = list(document.passages.order_by("ordinal"))
    assert heading in [passage.heading for passage in passages]
    for passage in passages:
        quoted = [passage.text[block["start"] : block["end"]] for block in passage.blocks]
        assert "\n".join(quoted) == passage.text
    if filename.endswith(".pdf"):
        assert {block["page"] for passage in passages for block in passage.blocks} >= {1}


@pytest.mark.django_db
def test_only_faq_rows_of_a_workbook_are_embedded_under_their_question() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    add_document(base, "both.xlsx", made.workbook(**MIXED))
    bodies = dict(Piece.objects.filter(kind="body").values_list("text", "embedded"))
    assert bodies == {"So.": "How?\nSo.", "Country: Norway; Days: 5": "Country: Norway; Days: 5"}


@pytest.mark.django_db
def test_a_small_file_that_reads_slowly_is_queued_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_args: Any, **_options: Any) -> None:
        raise DeadlineExceeded(field="file")

    base = KnowledgeBase.objects.create(name="Help")
    monkeypatch.setattr(converting, "convert", slow)
    document = knowledge.receive(base, "a.pdf", made.handbook(1), storage=storage(), max_bytes=2**22)
    assert document.state == Document.State.QUEUED


@pytest.mark.django_db
def test_a_long_reading_is_not_taken_over_and_its_claim_stays_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    document = knowledge.receive(base, "a.docx", made.returns_docx(), storage=storage(), max_bytes=2**22)
    start = timezone.now()
    lease = timedelta(seconds=60)
    claimed = knowledge.claim(document.pk, start, lease)
    later = start + timedelta(seconds=50)
    real = converting.convert

    def long(data: bytes, media_type: str, *, alive: Callable[[], object], **options: Any) -> Any:
        alive()
        assert knowledge.claim(document.pk, start + timedelta(seconds=100), lease) is None
        return real(data, media_type, **options)

    monkeypatch.setattr(converting, "convert", long)
    assert claimed is not None
    assert knowledge.ingest(claimed, _engine(), storage(), lambda: later)


def _engine() -> Any:
    from services.inference.engine import get_engine

    return get_engine()
