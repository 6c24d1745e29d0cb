"""Support → Knowledge versions and Evaluation cases as an operator meets them: pages, files, rights."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from chatbot import differences, knowledge, tasks
from chatbot.models import EvaluationCase, KnowledgeBase, Passage
from services.console.models import AuditEntry
from tests.builders import RETURNS_MD, add_document, make_knowledge_base
from tests.chatbot.test_publishing import WORDS, change, faq, make_faq

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


@pytest.fixture
def guest() -> Client:
    """Somebody who may sign in, and no more."""
    client = Client()
    client.force_login(User.objects.create_user("guest", is_staff=True))
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:chatbot_{name}", args=args)


def text_of(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, address
    return answer.content.decode()


def test_empty_pages_say_what_to_do_first(rosa: Client) -> None:
    assert "There is no knowledge base yet" in text_of(rosa, url("knowledgeversion_changelist"))
    assert "There is no knowledge base yet" in text_of(rosa, url("evaluationcase_panel"))
    assert "There is no knowledge base yet" in text_of(rosa, url("evaluationcase_add"))
    KnowledgeBase.objects.create(name="Help")
    assert "Upload a document" in text_of(rosa, url("knowledgeversion_changelist"))
    assert "No cases of your own yet" in text_of(rosa, url("evaluationcase_panel"))


def test_a_blocked_version_shows_why_what_was_found_instead_and_what_would_change(rosa: Client) -> None:
    base = make_faq()
    version = change(base, faq(WORDS[3:], basil="It is sold out."))
    page = text_of(rosa, url("knowledgeversion_change", version.pk))
    assert "The gate blocks it" in page
    assert "price of anchor" in page
    assert "its passage is gone" in page
    assert "3 removed" in page
    assert "Publish anyway" in page
    listed = text_of(rosa, url("knowledgeversion_changelist"))
    assert "▲ blocked" in listed
    assert "Roll back to" not in listed  # nothing was live before
    assert "● live" in listed
    assert "held back by the gate" in text_of(rosa, url("document_progress"))
    assert "blocked by the gate" in text_of(rosa, url("knowledgebase_changelist"))


def test_a_person_publishes_a_blocked_version_with_a_reason_and_goes_back(
    rosa: Client, guest: Client
) -> None:
    base = make_faq()
    first, version = base.versions.get(), change(base, faq(WORDS[3:]))
    act = url("knowledgeversion_act", version.pk)
    guest.post(act, {"expected": first.pk, "reason": "I may not."})
    rosa.post(act, {"expected": first.pk, "reason": ""})
    base.refresh_from_db()
    assert base.live_version == first
    answer = rosa.post(act, {"expected": first.pk, "reason": "We sell them no longer."}, follow=True)
    assert "answers from v2 now" in answer.content.decode()
    base.refresh_from_db()
    assert base.live_version == version
    answer = rosa.post(act, {"expected": first.pk}, follow=True)
    assert "live already" in answer.content.decode() or "gone live meanwhile" in answer.content.decode()
    rosa.post(url("knowledgeversion_act", first.pk), {"expected": version.pk, "hold": "on"})
    base.refresh_from_db()
    assert (base.live_version, base.publishes_itself) == (first, False)
    assert list(AuditEntry.objects.values_list("act", "who", "task").order_by("pk")) == [
        ("overridden", "rosa", "knowledge: Help"),
        ("rolled_back", "rosa", "knowledge: Help"),
    ]
    assert "We sell them no longer." in text_of(rosa, url("knowledgeversion_change", version.pk))


def test_progress_is_shown_while_a_version_waits_and_the_page_is_asked_anew_after(rosa: Client) -> None:
    base = make_faq()
    add_document(base, "faq.csv", faq(WORDS[1:]))
    part = text_of(rosa, url("knowledgeversion_progress"))
    assert "every 1s" in part
    tasks.index_knowledge_base(base.pk)
    answer = rosa.get(url("knowledgeversion_progress") + "?was=1")
    assert answer["HX-Refresh"] == "true"
    assert "every 1s" not in answer.content.decode()


def test_asking_the_cases_again_needs_the_right_and_nudges_a_worker(
    rosa: Client, guest: Client, nudges: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    base = make_faq()
    with django_capture_on_commit_callbacks(execute=True):
        guest.post(url("knowledgeversion_judge", base.pk))
        assert not base.versions.filter(judged_at=None).exists()
        rosa.post(url("knowledgeversion_judge", base.pk))
    assert base.versions.filter(judged_at=None).exists()
    assert nudges == [("chatbot.tasks.index_knowledge_base", base.pk)]
    assert "being asked" in text_of(rosa, url("evaluationcase_panel"))


def test_a_case_is_written_by_hand_with_a_passage_looked_up_by_its_words(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    refunds = Passage.objects.get(heading__endswith="Refunds")
    found = text_of(rosa, url("evaluationcase_passages"), base=base.pk, words="parcel reaches")
    assert f'value="{refunds.pk}"' in found
    assert "No passage has these words" in text_of(
        rosa, url("evaluationcase_passages"), base=base.pk, words="qwxz"
    )
    add = url("evaluationcase_add")
    answer = rosa.post(add, {"base": base.pk, "question": "where is my money"})
    assert answer.status_code == 422
    assert "where is my money" in answer.content.decode()
    rosa.post(add, {"base": base.pk, "question": "where is my money", "passage": refunds.pk})
    rosa.post(add, {"base": base.pk, "question": "do you sell bicycles", "unanswerable": "on"})
    case = EvaluationCase.objects.get(question="where is my money")
    assert (case.document, case.heading, case.origin) == (refunds.document, refunds.heading, "hand")
    assert EvaluationCase.objects.get(answerable=False).document is None
    answer = rosa.post(add, {"base": base.pk, "question": "where is  my money", "passage": refunds.pk})
    assert "already" in answer.content.decode()
    page = text_of(rosa, url("evaluationcase_change", case.pk))
    assert f'value="{refunds.pk}" checked' in page
    rosa.post(url("evaluationcase_change", case.pk), {"question": "money back when", "passage": refunds.pk})
    case.refresh_from_db()
    assert case.question == "money back when"
    listed = text_of(rosa, url("evaluationcase_changelist"), q="money")
    assert "money back when" in listed
    assert "bicycles" not in listed


def test_who_may_only_look_writes_no_case(guest: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    case = EvaluationCase.objects.create(knowledge_base=base, question="a question", answerable=False)
    assert guest.get(url("evaluationcase_changelist")).status_code == 200
    assert guest.get(url("evaluationcase_change", case.pk)).status_code == 200
    assert guest.get(url("evaluationcase_add")).status_code == 403
    assert guest.post(url("evaluationcase_change", case.pk), {"question": "x"}).status_code == 403
    assert guest.get(url("evaluationcase_import")).status_code == 403


def test_a_file_of_cases_comes_in_line_by_line_and_goes_out_again(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    lines = (
        "question,answerable,document,heading\n"
        "when do I get my money,yes,returns.md,Refunds\n"
        "do you sell bicycles,no,,\n"
        "which size,yes,sizes.md,Boots\n"
        "which boots,yes,Returns,Nothing\n"
        ",yes,returns.md,Refunds\n"
    )
    file = SimpleUploadedFile("cases.csv", lines.encode(), "text/csv")
    answer = rosa.post(url("evaluationcase_import"), {"base": base.pk, "file": file})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "There is no document “sizes.md”" in page
    assert "“Returns” has no passage under “Nothing”" in page
    assert '<th scope="row">6</th>' in page
    assert EvaluationCase.objects.count() == 2
    out = b"".join(rosa.get(url("evaluationcase_export")).streaming_content).decode()  # type: ignore[attr-defined]
    assert "when do I get my money,yes,returns.md,Returns › Refunds" in out
    again = SimpleUploadedFile("cases.csv", out.encode(), "text/csv")
    assert rosa.post(url("evaluationcase_import"), {"base": base.pk, "file": again}).status_code == 302
    assert EvaluationCase.objects.count() == 2
    bad = SimpleUploadedFile("cases.csv", b"\xff\xfe", "text/csv")
    answer = rosa.post(url("evaluationcase_import"), {"base": base.pk, "file": bad})
    assert "CSV file in UTF-8" in answer.content.decode()


def test_a_removed_document_and_replaced_passages_are_not_listed(rosa: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, other_md=b"# Other\n\nOther words.")
    add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"6 business"))
    old = Passage.objects.get(heading__endswith="Refunds", text__contains="5 business")
    passages = text_of(rosa, url("passage_changelist"))
    assert "6 business" in passages
    assert "5 business" not in passages
    assert "5 business" in text_of(rosa, url("passage_changelist"), use="replaced")
    assert text_of(rosa, url("passage_change", old.pk))
    knowledge.remove(base.documents.get(filename="other.md"))
    assert "other.md" not in text_of(rosa, url("document_changelist"))


def test_changed_words_are_marked_in_any_script() -> None:
    assert differences.marked("It takes 5 days.", "It takes 6 days.") == (
        ("same", "It takes "), ("gone", "5"), ("new", "6"), ("same", " days."),
    )  # fmt: skip
    assert differences.marked("退款需要五天", "退款需要六天") == (
        ("same", "退款需要"), ("gone", "五"), ("new", "六"), ("same", "天"),
    )  # fmt: skip


def test_the_command_lists_publishes_goes_back_and_asks_again() -> None:
    base = make_faq()
    change(base, faq(WORDS[3:]))

    def run(*arguments: str) -> Any:
        out = io.StringIO()
        call_command("knowledge_versions", *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    assert [(row["version"], row["live"], row["state"]) for row in run("list")] == [
        (2, False, "blocked"), (1, True, "published"),
    ]  # fmt: skip
    assert "lost" in run("show", "2")["reasons"][0]
    with pytest.raises(CommandError, match="Say why"):
        run("publish", "2")
    assert run("publish", "2", "--reason", "sold out", "--by", "rosa")["after"] == "v2"
    assert run("rollback", "--hold")["after"] == "v1"
    assert len(run("evaluate")) == 2
    base.refresh_from_db()
    assert base.publishes_itself is False
    with pytest.raises(CommandError, match="no version 9"):
        run("show", "9")
