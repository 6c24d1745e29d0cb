"""Knowledge written by people: kept as files, one after another, nobody's words lost."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from chatbot import (
    as_markdown,
    clearing,
    entries,
    entry_history,
    entry_preview,
    entry_trial,
    evaluation,
    faq_files,
    knowledge,
    retrieval,
    variants,
)
from chatbot.conf import ChatbotSettings
from chatbot.entry_preview import Draft
from chatbot.faq_files import Entry
from chatbot.models import Document, EvaluationCase, KnowledgeBase, Passage, Piece, QuestionVariant
from services.conf import load
from services.console.storage import storage
from services.errors import Conflict, InvalidInput, NotFound, SuiteError
from services.inference.engine import get_engine
from tests.builders import NOON, RETURNS_MD, add_document, knowledge_lease, make_knowledge_base

pytestmark = pytest.mark.django_db

FAQ_CSV = (
    b"Question;answer;extra\n"
    b'"How long do refunds take?";"We pay within 5 days.";kept\n'
    b"Do you ship to Norway?;Yes, in 3 to 5 days.;\n"
)


def rosa() -> entries.Writer:
    return entries.Writer("rosa", timezone.now(), storage(), 2**20)


def read(document: Document) -> Document:
    """As a worker would, with the version that follows."""
    claimed = knowledge.claim(document.pk, timezone.now(), knowledge_lease())
    assert claimed is not None
    assert knowledge.ingest(claimed, get_engine(), storage(), timezone.now)
    knowledge.build_index(document.knowledge_base, get_engine(), storage(), timezone.now())
    document.refresh_from_db()
    return document


def text_of(document: Document) -> str:
    return entries.opened(document, storage()).text


def headings(document: Document) -> list[str]:
    rows = document.passages.filter(retired_at=None).order_by("ordinal")
    return list(rows.values_list("heading", flat=True))


def test_an_article_is_written_changed_and_brought_back() -> None:
    base = make_knowledge_base()
    made = read(entries.new_article(base.pk, "Gift cards", "## Validity\n\nThey are valid 3 years.", rosa()))
    assert (made.filename, made.title) == ("gift-cards.md", "Gift cards")
    assert headings(made) == ["Gift cards › Validity"]
    first = made.content_hash
    changed = "# Gift cards\n\n## Validity\n\nThey are valid 5 years."
    saved = read(entries.save_text(made.pk, changed, first, rosa()))
    assert [(one["hash"], one["by"]) for one in saved.editions] == [(first, "rosa")]
    assert entries.save_text(made.pk, changed, saved.content_hash, rosa()).state == Document.State.DONE
    then = entry_history.edition_of(saved, first, storage())
    parts = entry_history.compared(then.decode(), text_of(saved))
    assert ("gone", "3") in parts
    assert ("new", "5") in parts
    back = read(entries.go_back(made.pk, first, saved.content_hash, rosa()))
    assert "3 years" in text_of(back)
    assert [one["hash"] for one in back.editions] == [saved.content_hash]
    with pytest.raises(NotFound):
        entries.go_back(made.pk, "f" * 64, back.content_hash, rosa())


def test_of_two_who_write_at_once_the_second_overwrites_nothing() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, faq_csv=FAQ_CSV)
    returns = base.documents.get(filename="returns.md")
    seen = returns.content_hash
    entries.save_text(returns.pk, RETURNS_MD.decode().replace("5 business", "6 business"), seen, rosa())
    with pytest.raises(Conflict) as error:
        entries.save_text(
            returns.pk, RETURNS_MD.decode().replace("free of charge", "for 2 EUR"), seen, rosa()
        )
    assert error.value.extra["why"] == "changed"
    returns.refresh_from_db()
    assert "6 business" in text_of(returns)
    assert "2 EUR" not in text_of(returns)
    faq = base.documents.get(filename="faq.csv")
    old = entries.opened(faq, storage()).entries
    entries.save_entry(faq.pk, 0, Entry("How long do refunds take?", "6 days."), old[0].digest, rosa())
    other = Entry("Do you ship to Norway?", "In 4 days.", ("norway delivery",))
    entries.save_entry(faq.pk, 1, other, old[1].digest, rosa())  # another entry is nobody's rival
    with pytest.raises(Conflict):
        entries.save_entry(faq.pk, 0, Entry("How long do refunds take?", "7 days."), old[0].digest, rosa())
    faq.refresh_from_db()
    assert [entry.answer for entry in entries.opened(faq, storage()).entries] == ["6 days.", "In 4 days."]
    knowledge.remove(returns)
    with pytest.raises(Conflict) as error:
        entries.save_text(returns.pk, "# Back\n\nAgain.", returns.content_hash, rosa())
    assert error.value.extra["why"] == "removed"
    assert entries.save_text(returns.pk, "# Back\n\nAgain.", "", rosa(), revive=True).state == "queued"
    base.delete()
    with pytest.raises(NotFound):
        entries.save_text(returns.pk, "# Back\n\nAgain.", "", rosa(), revive=True)
    with pytest.raises(NotFound):
        entries.new_entry(base.pk or 0, Entry("Is it gone?", "Yes."), rosa())


def test_an_faq_keeps_its_other_lines_columns_and_signs() -> None:
    kept = faq_files.written(FAQ_CSV, "text/csv", 0, Entry("How long?", "A day.", ("when", "how soon")))
    assert kept.decode().splitlines()[0] == "Question;answer;extra;variants"
    assert kept.decode().splitlines()[1] == "How long?;A day.;kept;when | how soon"
    assert [entry.question for entry in faq_files.read(kept, "text/csv")][1] == "Do you ship to Norway?"
    with pytest.raises(InvalidInput, match=r"\|"):
        faq_files.written(FAQ_CSV, "text/csv", 0, Entry("How long?", "A day.", ("a|b",)))
    lines = b'{"question": "A?", "answer": "a", "id": 7}\n\n'
    lines += b'{"question": "B?", "answer": "b", "variants": "x|y"}\n'
    changed = faq_files.written(lines, "application/jsonl", 0, Entry("A?", "one\u2028two"))
    assert json.loads(changed.splitlines()[0])["id"] == 7
    assert [entry.answer for entry in faq_files.read(changed, "application/jsonl")] == ["one\u2028two", "b"]
    assert faq_files.read(changed, "application/jsonl")[1].variants == ("x", "y")
    assert (
        faq_files.read(faq_files.written(changed, "application/jsonl", 0, None), "application/jsonl")[
            0
        ].question
        == "B?"
    )
    assert not faq_files.is_faq(b"Country,Price\nNorway,6.90\n", "text/csv")


def test_entries_written_here_gather_in_one_document_and_the_last_takes_it_along() -> None:
    base = make_knowledge_base()
    first = read(entries.new_entry(base.pk, Entry("Do you gift-wrap?", "Yes.", ("gift wrap",)), rosa()))
    second = read(entries.new_entry(base.pk, Entry("Can I pay in cash?", "No."), rosa()))
    assert first.pk == second.pk
    assert (second.filename, second.title) == ("written-answers.jsonl", "Written answers")
    assert headings(second) == ["Do you gift-wrap?", "Can I pay in cash?"]
    for question in ("do you GIFT-wrap", "Gift  wrap?"):
        with pytest.raises(InvalidInput, match="Do you gift-wrap") as error:
            entries.new_entry(base.pk, Entry(question, "Yes."), rosa())
        assert error.value.field == "question"
    with pytest.raises(InvalidInput) as error:
        entries.new_entry(base.pk, Entry("Other?", "Yes.", ("can i pay in cash",)), rosa())
    assert error.value.field == "variants"
    for _n in range(2):
        held = entries.opened(second, storage()).entries
        left = entries.save_entry(second.pk, 0, None, held[0].digest, rosa())
        second.refresh_from_db()
    assert left is None
    assert second.state == Document.State.REMOVED
    back = read(entries.new_entry(base.pk, Entry("Do you gift-wrap?", "Again."), rosa()))
    assert back.pk == second.pk
    assert headings(back) == ["Do you gift-wrap?"]


@pytest.mark.parametrize(
    ("title", "text", "field"),
    [
        ("", "words", "title"),
        ("  # ", "words", "title"),
        ("x" * 200, "words", "title"),
        ("Empty", " \n ", "text"),
        ("Heads", "## Only\n\n## Headings", "text"),
        ("Front", "---\ntitle: x\n---\n", "text"),
        ("Large", "word " * 400_000, "text"),
        ("Binary", "PK\x03\x04\x00\x00\x01", "text"),
        ("Pdf", "%PDF-1.7 something", "text"),
        ("Returns", "words", "title"),
    ],
)
def test_an_article_that_cannot_be_kept_names_the_field(title: str, text: str, field: str) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    with pytest.raises(SuiteError) as error:
        entries.new_article(base.pk, title, text, rosa())
    assert error.value.field == field
    assert base.documents.count() == 1


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (Entry(" ", "a"), "question"),
        (Entry("q" * 301, "a"), "question"),
        (Entry("Why?", " \n"), "answer"),
        (Entry("Why?", "a" * 20_001), "answer"),
        (Entry("Why?", "a", ("v" * 501,)), "variants"),
        (Entry("Why?", "a", (), "t" * 91), "section"),
    ],
)
def test_an_faq_entry_that_cannot_be_kept_names_the_field(entry: Entry, field: str) -> None:
    base = make_knowledge_base()
    with pytest.raises(InvalidInput) as error:
        entries.new_entry(base.pk, entry, rosa())
    assert error.value.field == field
    assert not base.documents.exists()


def test_titles_of_one_name_get_files_of_their_own() -> None:
    base, other = make_knowledge_base(), make_knowledge_base("Other")
    add_document(base, "gift-cards.md", b"# Something else\n\nWords of it.")
    assert entries.new_article(base.pk, "Gift cards", "Words.", rosa()).filename == "gift-cards-2.md"
    assert entries.new_article(other.pk, "Gift cards", "Words.", rosa()).filename == "gift-cards.md"
    assert entries.new_article(base.pk, "退货 政策", "七天内可以退货。", rosa()).filename == "退货-政策.md"


def test_wordings_and_cases_follow_a_heading_that_changes() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document = base.documents.get()
    passage = document.passages.get(heading="Returns › Refunds")
    variants.add(passage, "when is my money back", by="rosa")
    EvaluationCase.objects.create(
        knowledge_base=base, question="money?", document=document, heading=passage.heading
    )
    text = RETURNS_MD.decode().replace("## Refunds", "## Money back").replace("# Returns", "# Sending back")
    document = read(entries.save_text(document.pk, text, document.content_hash, rosa()))
    assert QuestionVariant.objects.get().heading == "Sending back › Money back"
    assert EvaluationCase.objects.get().heading == "Sending back › Money back"
    back = entries.go_back(document.pk, document.editions[0]["hash"], document.content_hash, rosa())
    assert QuestionVariant.objects.get().heading == "Returns › Refunds"
    assert back.question_variants.count() == 1


def test_a_wording_by_hand_is_found_asked_and_outlives_a_new_upload() -> None:
    base = make_knowledge_base(
        returns_md=RETURNS_MD, other_md=b"# Other\n\nWords about lamps and their bulbs."
    )
    passage = Passage.objects.get(heading="Returns › Refunds")
    engine = get_engine()
    question = "moneyback velocity"
    added = variants.add(passage, f" {question} ", by="rosa")
    document = read(passage.document)
    piece = Piece.objects.get(passage=passage, kind="variant")
    assert (piece.text, piece.vec is not None) == (question, True)
    base.refresh_from_db()
    found = retrieval.search(base, question, language="en", engine=engine, storage=storage())
    assert found[0].passage == passage
    assert question in [case.question for case in evaluation.cases_of(base)]
    add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"6 business"))
    now = document.passages.get(heading="Returns › Refunds", retired_at=None)
    assert now != passage
    assert list(Piece.objects.filter(passage=now, kind="variant").values_list("text", flat=True)) == [
        question
    ]
    with pytest.raises(InvalidInput, match="already"):
        variants.add(now, question.upper(), by="rosa")
    other = Passage.objects.get(heading="Other")
    with pytest.raises(InvalidInput, match="Returns › Refunds") as error:
        variants.add(other, f"{question}?", by="rosa")
    assert error.value.extra["passage"] == now.pk
    again = variants.add(passage, "of the passage it was before", by="rosa")  # the same heading
    variants.remove(again)
    variants.remove(added)
    revision = KnowledgeBase.objects.get(pk=base.pk).revision
    read(document)
    assert not Piece.objects.filter(passage=now, kind="variant").exists()
    assert KnowledgeBase.objects.get(pk=base.pk).revision > revision


def test_what_is_taken_over_as_markdown_is_read_as_the_same_passages() -> None:
    odd = b"""<h1>Odd * signs_</h1><p>1. A *star* and a [link] &lt;b&gt; | bar.</p><h2>List</h2>
    <ul><li># one</li><li>- two</li></ul><h3>Deep</h3><p>Words a~b `c`.</p><h2>Table</h2>
    <table><tr><th>Country</th><th>Price</th></tr><tr><td>Norway</td><td>6 | 90</td></tr></table>"""
    base = make_knowledge_base(odd_html=odd, returns_md=RETURNS_MD)
    for document in base.documents.all():
        rows = list(document.passages.order_by("ordinal"))
        _data, sections = entries.checked(as_markdown.written(rows), entries.MARKDOWN, document.title)
        again = [(" › ".join(one.title_path), one.text) for one in sections]
        assert again == [(row.heading, row.text) for row in rows]


def test_a_web_page_is_taken_over_and_its_wordings_follow() -> None:
    base = make_knowledge_base(page_html=b"<h1>Lamps</h1><p>A lamp costs 30 EUR.</p>", faq_csv=FAQ_CSV)
    page = base.documents.get(filename="page.html")
    Document.objects.filter(pk=page.pk).update(url="https://shop.example/lamps")
    page.refresh_from_db()
    assert entries.opened(page, storage()).why == "web"
    variants.add(page.passages.get(), "price of a lamp", by="rosa")
    copy = read(entries.take_over(page.pk, rosa(), keep=False))
    page.refresh_from_db()
    assert page.state == Document.State.REMOVED
    assert (copy.media_type, text_of(copy)) == ("text/markdown", "# Lamps\n\nA lamp costs 30 EUR.\n")
    assert Piece.objects.filter(passage__document=copy, kind="variant", text="price of a lamp").exists()
    with pytest.raises(Conflict):
        entries.take_over(page.pk, rosa(), keep=True)
    faq = base.documents.get(filename="faq.csv")
    lines = entries.take_over(faq.pk, rosa(), keep=True)
    assert lines.media_type == "application/jsonl"
    assert entries.opened(lines, storage()).entries[0].question == "How long do refunds take?"


def test_files_of_editions_stay_until_their_document_is_cleared_away() -> None:
    base = make_knowledge_base(a_md=b"# A\n\nThe first words of it.", b_md=b"# A\n\nThe first words of it.")
    first, twin = base.documents.order_by("filename")
    path = first.file_path
    saved = read(entries.save_text(first.pk, "# A\n\nThe second words.", first.content_hash, rosa()))
    base.versions.all().delete()
    knowledge.remove(saved, NOON)
    clearing.clear_passages(base, storage(), timezone.now() + timedelta(days=1))
    assert not Document.objects.filter(pk=first.pk).exists()
    assert storage().read(path)  # the twin has it
    with pytest.raises(NotFound):
        storage().read(saved.file_path)
    saved = read(entries.save_text(twin.pk, "# A\n\nThe third words.", twin.content_hash, rosa()))
    clearing.clear_passages(base, storage(), timezone.now() + timedelta(days=1))
    assert entry_history.edition_of(saved, twin.content_hash, storage())
    for n in range(30):
        saved = entries.save_text(twin.pk, f"# A\n\nWords number {n}.", saved.content_hash, rosa())
    assert len(saved.editions) == 20


def test_the_preview_tells_how_a_text_is_cut_and_what_is_doubtful() -> None:
    base = make_knowledge_base(faq_csv=FAQ_CSV)
    long = " ".join(f"Sentence number {n} stands here." for n in range(40))
    text = "---\na: b\n---\n\n## How long do refunds take?\n\nSix.\n\n"
    text += f"## Long\n\n{long}\n\n{long.upper()}\n\n## Bare"
    seen = entry_preview.look(Draft(base, entries.MARKDOWN, "Draft", text))
    notes = " ".join([*seen.notes, *(note for cut in seen.cuts for note in cut.notes)])
    for told in ("are read as text", "“Bare” has nothing below", "cut into 2",
                 "“How long do refunds take?” is a question of the entry"):  # fmt: skip
        assert told in notes
    html = "<p>Words that stand under no heading at all.</p><script>alert(1)</script>"
    html += "<h2>B</h2><p>More words here, <b>b</b>.</p>"
    seen = entry_preview.look(Draft(base, "text/html", "T", html))
    assert "under no heading" in seen.cuts[0].notes[0]
    assert "Scripts" in seen.notes[0]
    assert "alert" not in str(seen.page)
    faq = base.documents.get()
    entry = entries.opened(faq, storage()).entries[0]
    seen = entry_preview.look(Draft(base, entries.MARKDOWN, "x", "", entry, faq, entry.heading))
    assert seen.doubts == 0
    assert seen.cuts[0].is_faq
    with pytest.raises(InvalidInput):
        entry_preview.look(Draft(base, entries.MARKDOWN, "x", "", Entry("A?", "")))


def test_a_question_is_asked_of_the_unsaved_text_beside_what_is_live() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, faq_csv=FAQ_CSV)
    document = base.documents.get(filename="returns.md")

    def ask(question: str, text: str) -> entry_trial.Tried:
        draft = Draft(base, entries.MARKDOWN, document.title, text, None, document)
        return entry_trial.ask(
            question, draft, entry_preview.look(draft),
            engine=get_engine(), storage=storage(), settings=load(ChatbotSettings),
        )  # fmt: skip

    before = ask("How long is a gift card valid?", RETURNS_MD.decode())
    assert not before.wins or before.judged.zone != "answer"
    text = RETURNS_MD.decode() + "\n## How long is a gift card valid?\n\nA gift card is valid 3 years.\n"
    after = ask("How long is a gift card valid?", text)
    assert (after.wins, after.exact) == (True, True)
    assert after.found[0].passage.heading.endswith("How long is a gift card valid?")
    assert after.judged.zone == "answer"
    assert after.said == ("A gift card is valid 3 years.",)
    other = ask("Do you ship to Norway?", text)
    assert other.found[0].passage.document.filename == "faq.csv"
    assert not other.wins
    same = ask("When are refunds paid?", RETURNS_MD.decode())  # nothing edited: as the live one has it
    live = retrieval.search(
        base, "When are refunds paid?", language="en", engine=get_engine(), storage=storage()
    )
    assert [hit.passage.heading for hit in same.found] == [hit.passage.heading for hit in live]
    assert [hit.score for hit in same.found] == pytest.approx([hit.score for hit in live], abs=1e-5)
    with pytest.raises(InvalidInput):
        ask(" ", text)
