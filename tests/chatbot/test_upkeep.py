"""Support → Upkeep: dates to look again, answers that rested on overdue entries, hits, and the pages."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot import conflicts, events, knowledge, tasks, turns, upkeep
from chatbot.models import Conflict, Conversation, Document, KnowledgeBase, Passage, Quotation, Turn
from services.errors import InvalidInput, NotFound
from tests.builders import NOON, RETURNS_MD, add_document, make_inbox, make_knowledge_base
from tests.chatbot.test_conflicts import FAQ, RETURNS

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 4)


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The knowledge bases that a worker would have been asked to compare."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.compare_knowledge, "delay", sent.append)
    return sent


def client_of(name: str, *permissions: str) -> Client:
    """Somebody who may sign in; with no permissions named, everything."""
    made = User.objects.create_user(name, is_staff=True, is_superuser=not permissions)
    from django.contrib.auth.models import Permission

    made.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(made)
    return client


def page(client: Client, name: str, *args: object, **query: Any) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200, name
    return answer.content.decode()


def answered(base: KnowledgeBase, question: str, passage: Passage, now: Any) -> Turn:
    """A turn whose answer quoted a passage."""
    inbox = base.inboxes.first() or make_inbox(base)
    talk = Conversation.objects.create(inbox=inbox, token_hash="x")
    asked, _made = events.append(talk, "visitor_message", {"text": question}, now=now)
    turn = Turn.objects.get(conversation=talk, question_seq=asked.seq)
    from chatbot.dialogue import Reply

    citation = {"n": 1, "passage": passage.pk}
    payload = {"text": passage.text, "citations": [citation, citation]}
    assert turns.settle(turn, Reply("answer", payload, {}, "fake-1"), now)
    return turn


def test_a_date_moves_on_by_a_chosen_period_and_ends_with_the_month() -> None:
    assert upkeep.in_months(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert upkeep.in_months(date(2026, 12, 15), 12) == date(2027, 12, 15)
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document, passage = base.documents.get(), Passage.objects.get(heading__endswith="Refunds")
    assert upkeep.due(base, TODAY) == []
    assert upkeep.without_date(base) == 1
    upkeep.look_again([document.pk], 3, TODAY - timedelta(days=100))
    Passage.objects.filter(pk=passage.pk).update(review_by=TODAY + timedelta(days=20))
    told = upkeep.due(base, TODAY)
    assert [(one.title, one.days) for one in told] == [("Returns", -8), ("Refunds", 20)]
    assert upkeep.still_right(passage=passage.pk, months=6, today=TODAY) == date(2026, 9, 4)
    assert upkeep.still_right(document=document.pk, months=12, today=TODAY) == date(2027, 3, 4)
    assert upkeep.due(base, TODAY) == []
    with pytest.raises(InvalidInput, match="3, 6, 12"):
        upkeep.still_right(document=document.pk, months=5, today=TODAY)
    knowledge.remove(document)
    with pytest.raises(NotFound):
        upkeep.still_right(passage=passage.pk, months=3, today=TODAY)


def test_a_passage_read_again_keeps_its_own_date_by_its_heading() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    Passage.objects.filter(heading__endswith="Refunds").update(review_by=TODAY)
    add_document(base, "returns.md", RETURNS_MD.replace(b"5 business", b"6 business"))
    told = Passage.objects.filter(retired_at=None).values_list("heading", "review_by")
    assert dict(told) == {"Returns › Refunds": TODAY, "Returns › Size exchange": None}


def test_an_answer_keeps_the_date_of_its_day_and_shows_when_that_was_over() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD, other_md=b"# Other\n\nOther words.")
    refunds = Passage.objects.get(heading__endswith="Refunds")
    exchange = Passage.objects.get(heading__endswith="exchange")
    Document.objects.filter(filename="returns.md").update(review_by=TODAY - timedelta(days=5))
    Passage.objects.filter(pk=exchange.pk).update(review_by=TODAY + timedelta(days=1))
    late = answered(base, "Where is my money? I am anna@example.org", refunds, NOON)
    answered(base, "Another size?", exchange, NOON)
    upkeep.still_right(document=refunds.document_id, months=3, today=TODAY)
    answered(base, "And now?", refunds, NOON)
    assert Quotation.objects.count() == 3
    (told,) = upkeep.expired_answers(base)
    assert (told.quotation.turn, told.days) == (late, 5)
    assert told.question.startswith("Where is my money?")
    assert "anna@" not in told.question
    assert told.answer.startswith("We pay refunds")
    first, second = upkeep.hits(base, NOON + timedelta(days=20))
    assert (first.document.filename, first.counts) == ("returns.md", (0, 3, 3))
    assert [(p.heading, n) for p, n in first.passages] == [
        ("Returns › Refunds", 2),
        ("Returns › Size exchange", 1),
    ]
    assert (second.counts, second.last) == ((0, 0, 0), None)
    Document.objects.filter(filename="other.md").update(title="=1+1")
    lines = list(upkeep.hits_csv(upkeep.hits(base, NOON)))
    assert lines[1].startswith("Returns,returns.md,Help,3,3,3,2026-03-04")
    assert lines[2].startswith("'=1+1,other.md,Help,0,0,0,,")
    rosa = client_of("rosa")
    shown = page(rosa, "chatbot-upkeep-expired", base=base.pk)
    assert "5 days overdue then" in shown
    assert reverse("admin:chatbot_conversation_change", args=[late.conversation_id]) in shown
    Quotation.objects.update(created_at=timezone.now())
    shown = page(rosa, "chatbot-upkeep-hits")
    assert 'value="3"' in shown
    assert "=1+1" in shown
    file = rosa.get(reverse("chatbot-upkeep-csv"))
    assert file["Content-Type"].startswith("text/csv")
    assert client_of("reader", "view_passage").get(reverse("chatbot-upkeep-expired")).status_code == 403


def test_empty_pages_say_what_is_good() -> None:
    rosa = client_of("rosa")
    for name in ("", "-review", "-expired", "-hits"):
        assert "There is no knowledge base yet" in page(rosa, f"chatbot-upkeep{name}")
    base = make_knowledge_base(returns_md=RETURNS_MD)
    KnowledgeBase.objects.create(name="Second")
    assert "No conflicts" in page(rosa, "chatbot-upkeep", base=base.pk)
    assert "Nothing is set aside" in page(rosa, "chatbot-upkeep", state="dismissed")
    review = page(rosa, "chatbot-upkeep-review")
    assert "Nothing is overdue" in review
    assert "1 document has no date" in review
    assert "No answer has rested" in page(rosa, "chatbot-upkeep-expired")
    assert "No answer quoted a document" in page(rosa, "chatbot-upkeep-hits")
    assert Client().get(reverse("chatbot-upkeep")).status_code == 302
    assert client_of("nobody", "view_inbox").get(reverse("chatbot-upkeep")).status_code == 403


def test_a_conflict_is_shown_side_by_side_set_aside_and_brought_back(nudges: list[int]) -> None:
    base = make_knowledge_base(returns_md=RETURNS, faq_md=FAQ)
    rosa, reader = client_of("rosa"), client_of("reader", "view_passage")
    assert "waits to be compared" in page(rosa, "chatbot-upkeep-progress")
    tasks.compare_waiting()
    done = rosa.get(reverse("chatbot-upkeep-progress"), {"was": 1})
    assert done["HX-Refresh"] == "true"
    shown = page(rosa, "chatbot-upkeep")
    assert "30 days or 14 days?" in shown
    assert "within <mark>30 days</mark> of delivery." in shown
    assert "We <mark>do not</mark> ship to Norway." in shown
    row = Conflict.objects.get(kind="figure")
    assert reverse("chatbot-entry-at", args=[row.second_id]) in shown
    assert f"passage={row.first_id}&amp;start=" in shown
    act = reverse("chatbot-upkeep-decide", args=[row.pk])
    assert "Not a conflict" not in page(reader, "chatbot-upkeep")
    reader.post(act, {"act": "dismiss"})
    row.refresh_from_db()
    assert row.state == "open"
    answer = rosa.post(act, {"act": "dismiss"}, headers={"HX-Request": "true"}).content.decode()
    assert "Undo" in answer
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("dismissed", "rosa")
    assert "30 days or 14 days?" not in page(rosa, "chatbot-upkeep")
    assert "set aside by rosa" in page(rosa, "chatbot-upkeep", state="dismissed")
    rosa.post(act, {"act": "reopen", "base": base.pk})
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("open", "")
    Conflict.objects.all().delete()
    gone = rosa.post(act, {"act": "dismiss"}, headers={"HX-Request": "true"}).content.decode()
    assert "one of the two passages changed" in gone
    rosa.post(reverse("chatbot-upkeep-compare"), {"base": base.pk})
    assert conflicts.waiting(timezone.now()) == [base.pk]


def test_dates_are_set_in_the_list_on_the_page_and_moved_on_where_it_is_due() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document = base.documents.get()
    rosa, reader = client_of("rosa"), client_of("reader", "view_passage", "view_document")
    listed = reverse("admin:chatbot_document_changelist")
    rosa.post(listed, {"action": "look_again_6", "_selected_action": [document.pk]})
    document.refresh_from_db()
    assert document.review_by == upkeep.in_months(timezone.localdate(), 6)
    change = reverse("admin:chatbot_document_change", args=[document.pk])
    assert rosa.post(change, {"review_by": "2026-01-02"}).status_code == 302
    document.refresh_from_db()
    assert document.review_by == date(2026, 1, 2)
    assert "overdue" in page(rosa, "admin:chatbot_document_changelist")
    assert "overdue" in page(reader, "chatbot-upkeep-review")
    right = reverse("chatbot-upkeep-right")
    reader.post(right, {"document": document.pk, "months": 3})
    document.refresh_from_db()
    assert document.review_by == date(2026, 1, 2)
    said = rosa.post(right, {"document": document.pk, "months": 3}, follow=True).content.decode()
    assert "Still right" in said
    assert "Nothing is overdue" in said
    said = rosa.post(right, {"document": document.pk, "months": "x"}, follow=True).content.decode()
    assert "Choose one of" in said
    passage = Passage.objects.get(heading__endswith="Refunds")
    rosa.post(reverse("admin:chatbot_passage_change", args=[passage.pk]), {"review_by": "2026-01-02"})
    assert [one.passage for one in upkeep.due(base, timezone.localdate())] == [passage]


def test_the_command_compares_and_lists() -> None:
    base = make_knowledge_base(returns_md=RETURNS, faq_md=FAQ)
    out = io.StringIO()
    call_command("knowledge_conflicts", "--base", "Help", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["new"], len(told["conflicts"])) == (2, 2)
    assert {row["first_sentence"] for row in told["conflicts"]} >= {"We ship to Norway."}
    out = io.StringIO()
    call_command("knowledge_conflicts", "--all", stdout=out)
    assert "2 open; 4 passages" in out.getvalue()
    KnowledgeBase.objects.filter(pk=base.pk).update(comparing_at=timezone.now())
    with pytest.raises(CommandError, match="Another worker"):
        call_command("knowledge_conflicts")
