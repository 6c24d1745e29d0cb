"""The editor's pages as a knowledge editor meets them: forms, live parts, conflicts, rights."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chatbot import entries, knowledge, tasks
from chatbot.models import Document, EvaluationCase, KnowledgeBase, Passage, QuestionVariant
from services.console.storage import storage
from tests.builders import RETURNS_MD, make_knowledge_base
from tests.chatbot.test_entries import FAQ_CSV, read, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would have been sent to a worker."""
    sent: list[tuple[str, int]] = []
    for task in (tasks.index_knowledge_base, tasks.ingest_document):
        monkeypatch.setattr(task, "delay", lambda row, name=task.name: sent.append((name, row)))
    return sent


@pytest.fixture
def rosa() -> Client:
    """Somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"chatbot-entry-{name}", args=args)


def page(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:300]
    return str(answer.content.decode())


def test_an_article_is_written_saved_and_followed_until_it_is_live(
    rosa: Client, nudges: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    assert "There is no knowledge base yet" in page(rosa.get(url("new")))
    base = KnowledgeBase.objects.create(name="Help")
    assert "Write an entry" in page(rosa.get(reverse("admin:chatbot_document_changelist")))
    sent = {"kind": "text", "base": base.pk, "title": "", "text": "## Validity\n\nThey are valid 3 years."}
    shown = page(rosa.post(url("new"), sent), 422)
    assert "They are valid 3 years." in shown
    assert 'id="wrong-title"' in shown
    with django_capture_on_commit_callbacks(execute=True):
        answer = rosa.post(url("new"), sent | {"title": "Gift cards"}, follow=True)
    document = Document.objects.get()
    assert nudges == [("chatbot.tasks.ingest_document", document.pk)]
    assert 'value="Gift cards"' in page(answer)
    assert url("progress", document.pk) in page(answer)
    assert "It waits to be read" in page(rosa.get(url("progress", document.pk)))
    read(document)
    told = page(rosa.get(url("progress", document.pk)))
    assert "Live." in told
    assert "every 1s" not in told
    version = base.versions.get()
    assert reverse("admin:chatbot_knowledgeversion_change", args=[version.pk]) in told
    base.versions.update(state="blocked")
    KnowledgeBase.objects.update(live_version=None, index_path="")
    assert "held back by the gate" in page(rosa.get(url("progress", document.pk)))
    Document.objects.update(state="failed", failure="No heading.")
    assert "No heading." in page(rosa.get(url("progress", document.pk)))
    again = page(rosa.post(url("new"), sent | {"title": "gift cards"}), 422)
    assert url("edit", document.pk) in again
    history = page(rosa.get(reverse("admin:chatbot_document_history", args=[document.pk])))
    assert "Written in the console." in history


def test_the_second_to_save_sees_both_texts_and_loses_nothing(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, faq_csv=FAQ_CSV)
    returns = base.documents.get(filename="returns.md")
    seen = returns.content_hash
    sent = {"kind": "text", "title": "Returns", "expected": seen, "text": "## Refunds\n\nRosa writes 7 days."}
    rosa.post(url("edit", returns.pk), sent | {"text": "## Refunds\n\nFirst it was 6 days."})
    shown = page(rosa.post(url("edit", returns.pk), sent), 409)
    assert "rosa saved it while you were writing" in shown
    assert "Rosa writes 7 days." in shown
    assert "First it was 6 days." in shown
    assert "What they changed" in shown
    returns.refresh_from_db()
    assert f'name="expected" value="{returns.content_hash}"' in shown
    saved = rosa.post(url("edit", returns.pk), sent | {"expected": returns.content_hash})
    assert saved.status_code == 302
    returns.refresh_from_db()
    assert "7 days" in text_of(returns)
    knowledge.remove(returns)
    gone = page(rosa.post(url("edit", returns.pk), sent), 409)
    assert "Somebody removed this document" in gone
    assert 'name="revive"' in gone
    assert rosa.get(url("edit", returns.pk)).status_code == 404
    rosa.post(url("edit", returns.pk), sent | {"revive": "1", "expected": returns.content_hash})
    returns.refresh_from_db()
    assert returns.state == Document.State.QUEUED
    faq = base.documents.get(filename="faq.csv")
    old = entries.opened(faq, storage()).entries[0]
    one = {"kind": "faq", "at": 0, "expected": old.digest, "question": old.question, "answer": "6 days."}
    assert rosa.post(url("edit", faq.pk), one).status_code == 302
    shown = page(rosa.post(url("edit", faq.pk), one | {"answer": "8 days."}), 409)
    assert "8 days." in shown
    assert "6 days." in shown
    now = entries.opened(Document.objects.get(pk=faq.pk), storage()).entries[0]
    assert f'name="expected" value="{now.digest}"' in shown
    rosa.post(url("remove", faq.pk), {"at": 0, "expected": now.digest})
    shown = page(rosa.post(url("edit", faq.pk), one | {"answer": "9 days.", "expected": now.digest}), 409)
    assert "Somebody removed this entry" in shown
    assert "9 days." in shown
    base.delete()
    shown = page(rosa.post(url("edit", faq.pk), one | {"answer": "10 days."}), 404)
    assert "There is no knowledge base yet" in shown or "10 days." in shown


def test_text_outlives_a_knowledge_base_that_was_deleted(rosa: Client) -> None:
    base, _other = make_knowledge_base(returns_md=RETURNS_MD), make_knowledge_base("Other")
    document = base.documents.get()
    base.delete()
    sent = {"kind": "text", "title": "Returns", "expected": document.content_hash, "text": "Still here."}
    shown = page(rosa.post(url("edit", document.pk), sent), 404)
    assert "Still here." in shown
    assert url("new") in shown
    shown = page(rosa.post(url("new"), sent | {"base": 999_999}), 404)
    assert "Still here." in shown
    assert "was deleted" in page(rosa.post(url("preview"), sent | {"base": 999_999}))


def test_faq_entries_are_listed_searched_changed_and_removed(rosa: Client) -> None:
    base = make_knowledge_base(faq_csv=FAQ_CSV)
    faq = base.documents.get()
    listed = page(rosa.get(url("edit", faq.pk)))
    assert "How long do refunds take?" in listed
    assert "Norway" not in page(rosa.get(url("edit", faq.pk), {"q": "refunds within"}))
    passage = Passage.objects.get(heading__startswith="Do you ship")
    assert rosa.get(url("at", passage.pk)).headers["Location"] == f"{url('edit', faq.pk)}?entry=1"
    assert "Yes, in 3 to 5 days." in page(rosa.get(url("edit", faq.pk), {"entry": 1}))
    assert rosa.get(url("edit", faq.pk), {"entry": 7}).status_code == 404
    new = {"kind": "faq", "base": base.pk, "document": faq.pk, "question": "Is tax included?", "answer": ""}
    shown = page(rosa.post(url("new"), new), 422)
    assert "Write the answer." in shown
    rosa.post(url("new"), new | {"answer": "Yes.", "variants": "with VAT?\ntax included"})
    faq.refresh_from_db()
    entry = entries.opened(faq, storage()).entries[2]
    assert entry.variants == ("with VAT?", "tax included")
    shown = page(rosa.post(url("new"), new | {"question": "with vat", "answer": "Yes."}), 422)
    assert "Is tax included?" in shown
    answer = rosa.post(url("remove", faq.pk), {"at": 2, "expected": entry.digest}, follow=True)
    assert "Is tax included?" not in page(answer)
    faq.refresh_from_db()
    before = faq.editions[0]["hash"]
    compared = page(rosa.get(url("edition", faq.pk, before)))
    assert "<del>" in compared
    rosa.post(url("edition", faq.pk, before), {"expected": faq.content_hash})
    faq.refresh_from_db()
    assert len(entries.opened(faq, storage()).entries) == 3
    assert rosa.get(url("edition", faq.pk, "0" * 64)).status_code == 404


def test_the_preview_is_clean_and_the_question_is_asked_of_what_is_typed(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document = base.documents.get()
    sent = {"kind": "text", "document": document.pk, "title": "Returns"}
    text = "## How long is a gift card valid?\n\nA gift card is valid 3 years."
    text += " <img src=x onerror=alert(1)><script>alert(2)</script>"
    seen = page(rosa.post(url("preview"), sent | {"text": text}))
    assert "Returns › How long is a gift card valid?" in seen
    assert "<script" not in seen
    assert "<img" not in seen
    assert "Write the text." in page(rosa.post(url("preview"), sent | {"text": " "}))
    assert "binary" in page(rosa.post(url("preview"), sent | {"text": "\x00\x01\x02\x03"}))
    assert "at most" in page(rosa.post(url("preview"), sent | {"text": "word " * 400_000}))
    told = page(rosa.post(url("ask"), sent | {"text": text, "asked": "How long is a gift card valid?"}))
    assert "this text" in told
    assert "at most" in page(rosa.post(url("ask"), sent | {"text": text, "asked": " "}))
    entry = {"kind": "faq", "base": base.pk, "question": "Do you gift-wrap?", "answer": "Yes, for 2 EUR."}
    assert "this text" in page(rosa.post(url("ask"), entry | {"asked": "Do you gift-wrap?"}))


def test_a_passage_gets_wordings_and_cases(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    passage = Passage.objects.get(heading="Returns › Refunds")
    other = Passage.objects.get(heading="Returns › Size exchange")
    here = url("variants", passage.pk)
    assert "None yet" in page(rosa.get(here))
    assert "money back when" in page(rosa.post(here, {"wording": "money back when"}))
    assert passage.document.question_variants.get().by == "rosa"
    shown = page(rosa.post(url("variants", other.pk), {"wording": "Money back when?"}))
    assert url("at", passage.pk) in shown
    assert 'value="Money back when?"' in shown
    assert "how fast are refunds" in page(rosa.post(here, {"case": "how fast are refunds"}))
    assert EvaluationCase.objects.get().heading == passage.heading
    assert "already" in page(rosa.post(here, {"case": "how fast are refunds"}))
    rosa.post(here, {"remove": QuestionVariant.objects.get().pk})
    assert not QuestionVariant.objects.exists()
    assert page(rosa.get(reverse("admin:chatbot_passage_change", args=[passage.pk]))).count(
        url("at", passage.pk)
    )
    assert base.cases.count() == 1


def test_a_file_that_cannot_be_edited_is_taken_over(rosa: Client) -> None:
    base = make_knowledge_base(page_html=b"<h1>Lamps</h1><p>A lamp costs 30 EUR.</p>")
    document = base.documents.get()
    Document.objects.update(url="https://shop.example/lamps")
    assert "next crawl overwrites it" in page(rosa.get(url("edit", document.pk)))
    shown = page(rosa.post(url("take-over", document.pk), {"original": "keep"}, follow=True))
    assert "A lamp costs 30 EUR." in shown
    document.refresh_from_db()
    assert document.state == Document.State.DONE
    Document.objects.filter(pk=document.pk).update(url="", size_bytes=1)
    storage().delete(document.file_path)
    assert "cannot be read any more" in page(rosa.get(url("edit", document.pk)))


def test_only_those_who_may_change_documents_come_in() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document, passage = base.documents.get(), Passage.objects.first()
    assert passage is not None
    guest = User.objects.create_user("guest", is_staff=True)
    client = Client()
    assert client.get(url("new")).status_code == 302
    source = reverse("help-source", args=[document.pk])
    assert url("edit", document.pk) not in page(client.get(source))
    client.force_login(guest)
    for address in (
        url("new"), url("edit", document.pk), url("progress", document.pk), url("variants", passage.pk),
        url("at", passage.pk), url("edition", document.pk, document.content_hash),
    ):  # fmt: skip
        assert client.get(address).status_code == 403
    for address in (url("preview"), url("ask"), url("take-over", document.pk), url("remove", document.pk)):
        assert client.post(address).status_code == 403
    assert url("edit", document.pk) not in page(client.get(source))
    guest.user_permissions.add(Permission.objects.get(codename="change_document"))
    assert url("edit", document.pk) in page(client.get(source))
    assert "Questions it answers" in page(client.get(url("edit", document.pk)))
    client.post(url("variants", passage.pk), {"case": "may I?"})
    assert not EvaluationCase.objects.exists()
