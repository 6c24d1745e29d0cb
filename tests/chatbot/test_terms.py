"""A company's own words: written down, judged like any change, and found by."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot import knowledge, retrieval, tasks, terms
from chatbot.models import KnowledgeBase, Term
from services.console.storage import storage
from services.errors import Conflict, InvalidInput
from services.inference.engine import get_engine
from tests.builders import make_knowledge_base

pytestmark = pytest.mark.django_db
FAQ = b"""question,answer
How long does a refund take?,Five working days after the parcel has arrived.
How heavy is the TX-200/B?,It weighs 14 kg without water.
Which colours are there?,Red and green.
"""


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Knowledge bases of which a worker would have been told."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.index_knowledge_base, "delay", sent.append)
    return sent


@pytest.fixture
def rosa() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    return client


def page(base: KnowledgeBase) -> str:
    return f"{reverse('admin:chatbot_term_changelist')}?base={base.pk}"


def say(base: KnowledgeBase, text: str) -> terms.Saved:
    return terms.save(base, terms.from_lines(text))


def build(base: KnowledgeBase) -> None:
    base.refresh_from_db()
    knowledge.build_index(base, get_engine(), storage(), timezone.now())
    base.refresh_from_db()


def first(base: KnowledgeBase, question: str) -> retrieval.Found | None:
    found = retrieval.search(base, question, language="en", engine=get_engine(), storage=storage())
    return found[0] if found else None


def test_a_change_of_terms_is_a_change_of_the_knowledge_and_the_old_version_answers_as_before() -> None:
    base = make_knowledge_base(faq_csv=FAQ)
    before = first(base, "what does the brummer weigh")
    assert say(base, "refund, money back，退款\nTX-200/B = Brummer\n\n") == terms.Saved(2, 2, 0)
    assert not say(base, "TX-200/B = Brummer\nrefund = money back = 退款").changed
    base.refresh_from_db()
    assert base.revision == base.indexed_revision + 1
    again = first(base, "what does the brummer weigh")  # the live version knows nothing of it yet
    assert (before and before.trace()) == (again and again.trace())

    build(base)
    assert base.live_version is not None
    assert base.live_version.number == 2  # through the gate, as any change
    told = first(base, "what does the brummer weigh")
    assert told is not None
    assert told.passage.heading == "How heavy is the TX-200/B?"
    assert told.lexical > 0.3
    Term.objects.all().delete()  # a change nobody has built yet: what was baked in stays
    again = first(base, "what does the brummer weigh")
    assert again is not None
    assert again.trace() == told.trace()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("refund\n", "Line 1: “refund” stands alone"),
        ("\nrefund = Refunds", "Line 2: “refund” and “Refunds” are one word"),
        ("a1, b2\nc3, A1", "Line 2: “A1” is in the group “a1 = b2” already"),
        ("refund = ???", "“???” has no letter and no digit"),
        (f"x1 = {'y' * 81}", "more than 80 characters"),
        (",".join(f"w{n}" for n in range(21)), "more than 20 words"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_nothing_is_written(text: str, told: str) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    with pytest.raises(InvalidInput, match=r"Line|words") as caught:
        say(base, text)
    assert told in caught.value.detail
    assert caught.value.field == "terms"
    assert not Term.objects.exists()
    base.refresh_from_db()
    assert base.revision == 0


def test_two_who_write_at_once_do_not_lose_each_others_terms() -> None:
    base = KnowledgeBase.objects.create(name="Help")
    seen = terms.fingerprint(terms.groups_of(base))
    say(base, "a1 = b1")
    with pytest.raises(Conflict):
        terms.save(base, terms.from_lines("a2 = b2"), expected=seen)
    assert terms.groups_of(base) == [("a1", "b1")]


def test_the_page_takes_and_gives_terms_and_keeps_what_was_written_wrongly(
    rosa: Client, nudges: list[int], django_capture_on_commit_callbacks: object
) -> None:
    address = reverse("admin:chatbot_term_changelist")
    assert "There is no knowledge base yet" in rosa.get(address).content.decode()
    base = make_knowledge_base(faq_csv=FAQ)
    empty = rosa.get(page(base))
    assert "No terms yet" in empty.content.decode()
    form = {"base": base.pk, "expected": empty.context["expected"]}

    wrong = rosa.post(address, form | {"terms": "refund = money back\nlonely"})
    assert wrong.status_code == 422
    assert "“lonely” stands alone" in wrong.content.decode()
    assert "refund = money back\nlonely" in wrong.content.decode()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        done = rosa.post(address, form | {"terms": "refund = money back"}, follow=True)
    assert "1 group is new" in done.content.decode()
    assert nudges == [base.pk]
    stale = rosa.post(address, form | {"terms": "other = another"})
    assert stale.status_code == 409
    assert "other = another" in stale.content.decode()

    file = SimpleUploadedFile("t.csv", "\ufeffTX-200/B,Brummer\nrefund,money back\n".encode())
    rosa.post(address, {"base": base.pk, "file": file})
    bad = rosa.post(address, {"base": base.pk, "file": SimpleUploadedFile("t.csv", b"Brummer,Pocket\n")})
    assert "“Brummer” is in the group “TX-200/B = Brummer” already" in bad.content.decode()
    assert b'aria-describedby="file-how file-wrong"' in bad.content
    export = rosa.get(reverse("admin:chatbot_term_export"), {"base": base.pk})
    assert b"".join(export.streaming_content).decode().split() == ["refund,money", "back", "TX-200/B,Brummer"]  # type: ignore[attr-defined]

    guest = Client()
    guest.force_login(User.objects.create_user("guest", is_staff=True))
    assert "readonly" in guest.get(page(base)).content.decode()
    assert guest.post(address, form | {"terms": "x1 = y1"}).status_code == 403


def test_the_command_puts_in_and_takes_out(tmp_path: Path) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    file = tmp_path / "terms.csv"
    file.write_text("refund,money back\nTX-200/B,Brummer\n", encoding="utf-8")
    assert json.loads(command("--import", str(file), "--json")) == {"groups": 2, "added": 2, "removed": 0}
    file.write_text("refund,reimbursement\n", encoding="utf-8")
    with pytest.raises(CommandError, match="in the group"):
        command("--import", str(file))
    assert command("--import", str(file), "--replace") == "1 groups; 1 new, 2 gone.\n"
    assert command("--export") == "refund,reimbursement\r\n"
    assert json.loads(command("--export", "--json")) == [["refund", "reimbursement"]]
    assert terms.groups_of(base) == [("refund", "reimbursement")]
    with pytest.raises(CommandError, match="no knowledge base"):
        call_command("knowledge_terms", "--base", "None", "--export")


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("knowledge_terms", "--base", "Help", *arguments, stdout=out)
    return out.getvalue()
