"""Support → Intents as an operator meets it: list, form, trying a sentence, files, training, deleting."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot import actions, filling, training
from chatbot.conf import ChatbotSettings
from chatbot.intents import decide
from chatbot.models import Inbox, Intent
from sample.management.commands import load_sample
from services.conf import load
from services.console import tasks
from services.console.models import Dataset, TrainingRun
from services.inference.engine import get_engine
from services.inference.open_set import OUTSIDE
from services.web.fetch import Fetched
from tests.builders import make_inbox, make_knowledge_base

pytestmark = pytest.mark.django_db
GIVEN = {
    "name": "order_status",
    "examples": "Where is my order?\n我的订单到哪了？\n\nWhere is my order?",
    "template": "Order {order_number} is {reply.status}.",
    "template_zh": "订单 {order_number}：{reply.status}。",
    "enabled": "on",
    "slot-0-name": "order_number",
    "slot-0-kind": "order_number",
    "slot-0-pattern": r"LM-\d{6}",
    "slot-0-ask": "Which order?",
    "slot-0-required": "on",
    "action-method": "GET",
    "action-url": "/shop/orders/{order_number}/status.json",
}


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


@pytest.fixture
def inbox() -> Inbox:
    """An inbox without intents."""
    return make_inbox(make_knowledge_base())


def url(name: str, *args: object) -> str:
    return reverse(f"admin:chatbot_intent_{name}", args=args)


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def add(client: Client, to: Inbox, /, **changed: str) -> Any:
    return client.post(url("add"), {**GIVEN, "inbox": to.pk, **changed})


def test_the_list_says_what_to_do_first_when_there_is_nothing(rosa: Client) -> None:
    text_of(rosa, url("changelist"))
    assert "There is no inbox yet" in text_of(rosa, url("panel"))
    make_inbox(make_knowledge_base())
    assert "No intents yet" in text_of(rosa, url("panel"))


def test_an_intent_is_made_shown_and_changed(rosa: Client, inbox: Inbox) -> None:
    assert add(rosa, inbox).status_code == 302
    intent = Intent.objects.get()
    assert intent.examples == ["Where is my order?", "我的订单到哪了？"]
    assert intent.slots == [
        {"name": "order_number", "kind": "order_number", "required": True, "pattern": r"LM-\d{6}",
         "ask": "Which order?"}
    ]  # fmt: skip
    assert intent.action == {"method": "GET", "url": "/shop/orders/{order_number}/status.json"}
    assert Dataset.objects.get().rows.count() == 2
    listed = text_of(rosa, url("changelist"))
    assert "order_status" in listed
    assert "GET this installation" in listed
    page = text_of(rosa, url("change", intent.pk))
    assert "Which order?" in page
    assert "LM-\\d{6}" in page
    rosa.post(url("change", intent.pk), {**GIVEN, "name": "where", "slot-0-required": "on"})
    intent.refresh_from_db()
    assert intent.name == "where"
    assert Dataset.objects.get().labels == ["where"]


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"name": "Größe!"}, "name", "small letters"),
        ({"template": "It is {ordr}."}, "template", "Nothing fills {ordr}"),
        ({"template_zh": "{order number}"}, "template_zh", "Nothing fills"),
        ({"slot-0-required": ""}, "template", "make the slot required"),
        ({"slot-0-name": "Order No"}, "slot-0-name", "small letters"),
        ({"slot-0-pattern": "(a+)+"}, "slot-0-pattern", "very long"),
        ({"slot-1-name": "order_number", "slot-1-kind": "email"}, "slot-1-name", "two slots"),
        ({"slot-1-name": "wish", "slot-1-kind": "choice"}, "slot-1-choices", "two choices"),
        ({"slot-1-name": "wish", "slot-1-kind": "odd"}, "slot-1-kind", "Choose a kind"),
        ({"action-url": "https://evil.example.com/{order_number}"}, "action-url", "CHATBOT_ACTION_HOSTS"),
        ({"header-0-name": "Authorization", "header-0-value": "abc"}, "action-headers", "secret:NAME"),
        ({"body-0-name": "a", "body-0-value": "b"}, "action-body", "GET sends no fields"),
        ({"template": "", "template_zh": ""}, "template", "{reply.status}"),
        ({"examples": "x" * 501}, "examples", "Example 1 is longer"),
        ({"inbox": "0"}, "inbox", "Choose an inbox"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_lost(
    rosa: Client, inbox: Inbox, changed: dict[str, str], field: str, words: str
) -> None:
    answer = add(rosa, inbox, **changed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="wrong-{field}"' in page
    assert words in page
    assert "我的订单到哪了？" in page or "examples" in changed
    assert Intent.objects.count() == 0


def test_a_sentence_is_an_example_of_one_intent_and_a_name_is_used_once(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    page = add(rosa, inbox, name="other").content.decode()
    assert "is an example of order_status too" in page
    page = add(rosa, inbox, examples="else").content.decode()
    assert "has an intent of that name" in page


def test_questions_about_none_of_the_intents_are_kept_without_an_answer(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox, name=OUTSIDE, examples="Who won?")
    intent = Intent.objects.get()
    assert (intent.template, intent.slots, intent.action) == ("", [], {})
    assert "questions about none of the intents" in text_of(rosa, url("changelist"))
    assert 'data-inside class="in-inside" hidden' in text_of(rosa, url("change", intent.pk))


def test_a_sentence_is_tried_without_asking_the_system(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    page = url("try", inbox.pk)
    text_of(rosa, page)
    tried = rosa.post(page, {"text": "Where is my order LM-204518?"}, headers={"HX-Request": "true"})
    told = tried.content.decode()
    assert "<html" not in told
    for words in (
        "order_status",
        "one of its examples",
        "LM-204518",
        "Would ask",
        "status.json",
        "{reply.status}",
    ):
        assert words in told, words
    assert "Which order?" in rosa.post(page, {"text": "where is my order"}).content.decode()
    assert "the help pages are searched" in rosa.post(page, {"text": "How warm is it?"}).content.decode()
    assert "at most 500" in rosa.post(page, {"text": " "}).content.decode()


def test_examples_go_out_as_csv_and_come_in_again(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    exported = b"".join(rosa.get(url("export", inbox.pk)))  # type: ignore[arg-type]
    assert exported.decode().splitlines()[:2] == ["text,intent", "Where is my order?,order_status"]
    file = SimpleUploadedFile("a.csv", exported + "几点开门？,opening_hours\n".encode())
    answer = rosa.post(url("import", inbox.pk), {"file": file}, follow=True)
    assert "1 example added. 1 intent made." in answer.content.decode()
    assert Intent.objects.get(name="opening_hours").examples == ["几点开门？"]
    assert Dataset.objects.get().rows.count() == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "name the columns"),
        (b"a,b\n1,2\n", "name the columns"),
        (b"text,intent\nhi,greet\n,greet\n", "Line 3"),
        (b"text,intent\nhi,Big Name\n", "Line 2"),
        (b"text,intent\n", "no examples"),
        ("text,intent\nü,a\n".encode("utf-16"), "UTF-8"),
        (b"text,intent\nWhere is my order?,other\n", "is an example of order_status too"),
        (b"text;intent\nhi;a;b\x00\n", ""),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    rosa: Client, inbox: Inbox, content: bytes, words: str
) -> None:
    add(rosa, inbox)
    answer = rosa.post(url("import", inbox.pk), {"file": SimpleUploadedFile("a.csv", content)})
    if words:
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert Intent.objects.count() == 1
    assert answer.status_code < 500
    assert "Choose a file." in rosa.post(url("import", inbox.pk)).content.decode()


def test_deleting_names_what_goes_and_the_data_set_follows(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    intent = Intent.objects.get()
    page = text_of(rosa, url("delete", intent.pk))
    assert "order_status of Shop: 2 examples, its answer, 1 slot, its action" in page
    chosen = {"action": "delete_selected", "_selected_action": [intent.pk]}
    assert "2 examples, its answer" in rosa.post(url("changelist"), chosen).content.decode()
    rosa.post(url("delete", intent.pk), {"post": "yes"})
    assert Intent.objects.count() == 0
    assert Dataset.objects.get().rows.count() == 0


def test_intents_are_put_aside_and_used_again(rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    chosen = {"_selected_action": [Intent.objects.get().pk]}
    rosa.post(url("changelist"), {"action": "rest", **chosen})
    assert not Intent.objects.get().enabled
    assert Dataset.objects.get().rows.count() == 0
    rosa.post(url("changelist"), {"action": "use", **chosen})
    assert Dataset.objects.get().rows.count() == 2


def test_a_training_is_started_and_the_list_shows_how_it_stands(
    rosa: Client, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.perform_run, "delay", sent.append)
    add(rosa, inbox)
    answer = rosa.post(url("train", inbox.pk), follow=True)
    assert "order_status has 2 examples" in answer.content.decode()
    for name in ("order_status", "opening_hours"):
        intent, _made = Intent.objects.get_or_create(inbox=inbox, name=name)
        intent.examples = [f"{name} wording number {n} {word}" for n, word in enumerate("abcdefg")]
        intent.save()
    with django_capture_on_commit_callbacks(execute=True):
        answer = rosa.post(url("train", inbox.pk))
    run = TrainingRun.objects.get()
    assert answer["Location"] == reverse("admin:console_trainingrun_change", args=[run.pk])
    assert sent == [run.pk]
    panel = text_of(rosa, url("panel"))
    assert "every 2s" in panel
    TrainingRun.objects.update(state="failed", error_detail="One class only.")
    answer = rosa.get(url("panel") + "?was=1")
    assert "One class only." in answer.content.decode()
    assert answer["HX-Refresh"] == "true"
    TrainingRun.objects.update(
        state="done", version="v1", passed=True,
        outcome={"report": {"per_class": [{"label": "order_status", "recall": 0.75, "support": 4}]}},
    )  # fmt: skip
    assert "waits for you to promote it" in text_of(rosa, url("panel"))
    assert "3 of 4 right" in text_of(rosa, url("changelist"))


def test_who_may_only_look_looks(guest: Client, rosa: Client, inbox: Inbox) -> None:
    add(rosa, inbox)
    intent = Intent.objects.get()
    assert "Save" not in text_of(guest, url("change", intent.pk)).split("in-acts")[1]
    text_of(guest, url("changelist"))
    assert "Train<" not in text_of(guest, url("panel"))
    assert guest.post(url("change", intent.pk), GIVEN).status_code == 403
    assert guest.get(url("add")).status_code == 403
    assert guest.get(url("import", inbox.pk)).status_code == 403
    assert "may not start" in guest.post(url("train", inbox.pk), follow=True).content.decode()
    assert TrainingRun.objects.count() == 0
    assert Client().get(url("changelist")).status_code == 302


def test_the_sample_company_has_intents_that_work_before_training() -> None:
    load_sample.Command()._knowledge()
    inbox = Inbox.objects.get(key="larkmoor")

    def shop(method: str, address: str, **_options: Any) -> Fetched:
        answer = Client().get(address.removeprefix("http://localhost:8000"))
        return Fetched(address, answer.status_code, {}, answer.content, False)

    def say(text: str, language: str) -> str:
        now, settings = timezone.now(), load(ChatbotSettings)
        return decide(text, {}, inbox, get_engine(), now, language, settings=settings, call=shop).text

    assert say("Where is my order LM-204518?", "en").startswith("Order LM-204518 is ")
    assert say("我的订单到哪了", "zh-hans").startswith("请问您的订单号")
    assert "I found nothing under LM-999999" in say("Where is my order LM-999999?", "en")
    assert "Saturday 9:00-13:00" in say("Are you open on Saturday?", "en")
    place = actions.Place((), "http://localhost:8000")
    for intent in inbox.intents.exclude(name=OUTSIDE):
        names = [slot["name"] for slot in intent.slots]
        for template in (intent.template, intent.template_zh):
            assert filling.unknown(template, names, has_reply=bool(intent.action)) == []
        if intent.action:
            actions.require_usable(intent.action, names, place)
    assert len(Dataset.objects.get(name=training.dataset_name(inbox)).labels) == 5
