"""What a message is taken for: small talk, forms, examples, the classifier, actions, answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from chatbot import intents
from chatbot.conf import ChatbotSettings
from chatbot.intents import Decision, decide
from chatbot.models import Inbox, Intent
from services.conf import load
from services.errors import FetchFailed, ModelFailed, ModelUnavailable, SuiteError
from services.inference.fake import FakeEngine
from services.inference.open_set import OUTSIDE
from services.inference.values import ClassScores, Pair
from services.web.fetch import Fetched
from tests.builders import make_inbox, make_knowledge_base

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ORDER = {
    "name": "order_number",
    "kind": "order_number",
    "pattern": r"LM-\d{6}",
    "ask": "Which order?",
    "ask_zh": "哪个订单？",
    "required": True,
}
WISH = {
    "name": "wish",
    "kind": "choice",
    "choices": ["a refund | money back | 退款", "a new one | 换货"],
    "ask": "Refund or a new one?",
    "ask_zh": "退款还是换货？",
    "required": True,
}
pytestmark = pytest.mark.django_db


class Classifier(FakeEngine):
    """Says one label with one probability; remembers what it was shown."""

    def __init__(self, label: str = OUTSIDE, p: float = 0.9, error: SuiteError | None = None) -> None:
        super().__init__()
        self.label, self.p, self.error = label, p, error
        self.seen: list[tuple[str, str]] = []

    def classify(self, task: str, pairs: Sequence[Pair], **_options: Any) -> ClassScores:
        self.seen += [(task, text) for text, _towards in pairs]
        if self.error is not None:
            raise self.error
        labels = (self.label, "other_thing")
        probs = np.tile(np.array([self.p, 1 - self.p], np.float32), (len(pairs), 1))
        return ClassScores(labels, probs, "intents-v1")


class Service:
    """The company's system as `fetch.call` would meet it."""

    def __init__(self, status: int = 200, reply: Any = None) -> None:
        self.status, self.reply = status, reply
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def __call__(self, method: str, url: str, **options: Any) -> Fetched:
        self.asked.append((method, url, dict(options["headers"])))
        if self.status == 0:
            raise FetchFailed("It does not answer.")
        body = json.dumps(self.reply).encode()
        return Fetched(url, self.status, {}, body, False)


@pytest.fixture
def inbox() -> Inbox:
    """An inbox that knows of orders, opening hours and damages, and a wish nothing is done about."""
    made = make_inbox(make_knowledge_base(), greeting="Welcome!", greeting_zh="欢迎！")
    Intent.objects.create(
        inbox=made,
        name="order_status",
        examples=["Where is my order?", "我的订单到哪了？"],
        template="Order {order_number} is {reply.status}, due {reply.due}.",
        template_zh="订单 {order_number} {reply.status}，{reply.due} 送达。",
        slots=[ORDER],
        action={"method": "GET", "url": "/orders/{order_number}"},
    )
    Intent.objects.create(
        inbox=made,
        name="opening_hours",
        examples=["When are you open?", "几点开门？"],
        template="From 8 to 18.",
        template_zh="8 点到 18 点。",
    )
    Intent.objects.create(
        inbox=made,
        name="damage",
        examples=["My parcel is broken"],
        template="{wish} for {order_number}.",
        template_zh="{order_number}：{wish}。",
        slots=[ORDER, WISH],
    )
    Intent.objects.create(inbox=made, name="idle", examples=["Do you like music?"])
    Intent.objects.create(inbox=made, name=OUTSIDE, examples=["Who won the game?"])
    return made


def say(
    inbox: Inbox,
    text: str,
    before: Decision | None = None,
    *,
    engine: FakeEngine | None = None,
    service: Service | None = None,
    now: datetime = NOW,
    language: str = "en",
    key: str = "",
) -> Decision:
    """One message, after a decision's form."""
    return decide(
        text,
        json.loads(json.dumps(dict(before.form))) if before else {},
        inbox,
        engine or Classifier(error=ModelUnavailable("None is live.")),
        now,
        language,
        settings=load(ChatbotSettings),
        key=key,
        call=service or Service(0),
    )


def test_small_talk_and_the_wish_for_a_person_need_nothing_trained(inbox: Inbox) -> None:
    assert (say(inbox, "Hi!").kind, say(inbox, "Hi!").text) == ("small_talk", "Welcome!")
    assert say(inbox, "您好", language="zh-hans").text == "欢迎！"
    assert say(inbox, "thanks a lot").template == "small_talk:thanks"
    wish = say(inbox, "I want to talk to a person")
    assert (wish.kind, wish.offers_person) == ("person", True)
    assert "automated" in say(inbox, "are you a bot?").text
    assert say(inbox, "thanks, and how do I return it?").kind == "nothing"


def test_an_inbox_without_intents_asks_no_classifier() -> None:
    engine = Classifier()
    assert say(make_inbox(make_knowledge_base()), "Where is my order?", engine=engine).kind == "nothing"
    assert engine.seen == []


def test_an_example_said_again_is_its_intent_before_any_training(inbox: Inbox) -> None:
    for text in ("when are you open", "Please, when are you OPEN?!", "Hello, when are you open?"):
        assert say(inbox, text).text == "From 8 to 18.", text
    assert say(inbox, "请问几点开门", language="zh-hans").text == "8 点到 18 点。"
    assert say(inbox, "Are you open when it snows?").kind == "nothing"


def test_the_classifier_decides_when_it_is_sure_and_there_is_something_to_say(inbox: Inbox) -> None:
    found = say(inbox, "till when can I come", engine=Classifier("opening_hours", 0.92))
    assert (found.kind, found.text, found.template) == ("answer", "From 8 to 18.", "intent:opening_hours")
    assert found.model_version == "intents-v1"
    assert found.trace["p"] == pytest.approx(0.92, abs=1e-3)
    for label, p in (("opening_hours", 0.6), (OUTSIDE, 0.99), ("idle", 0.99), ("long_gone", 0.99)):
        told = say(inbox, "till when can I come", engine=Classifier(label, p))
        assert (told.kind, told.trace["intent"]) == ("nothing", label)
    Intent.objects.filter(name="opening_hours").update(enabled=False)
    assert say(inbox, "till when", engine=Classifier("opening_hours", 0.99)).kind == "nothing"


def test_a_classifier_that_is_not_there_or_fails_leaves_the_question_to_the_help_pages(inbox: Inbox) -> None:
    for error in (ModelUnavailable("x"), ModelFailed("x")):
        told = say(inbox, "till when can I come", engine=Classifier(error=error))
        assert (told.kind, told.trace) == ("nothing", {"classifier": error.code})


def test_the_classifier_sees_no_personal_data_and_the_trace_none_of_the_words(inbox: Inbox) -> None:
    engine = Classifier("damage", 0.99)
    told = say(inbox, "LM-204518 is dented, write to me@example.com", engine=engine)
    assert engine.seen == [("intents-shop", "LM-204518 is dented, write to [email]")]
    assert told.kind == "ask"
    assert "204518" not in json.dumps(dict(told.trace))


def test_a_missing_slot_is_asked_for_and_the_answer_completes_it(inbox: Inbox) -> None:
    service = Service(reply={"status": "packed", "due": "2026-03-07"})
    asked = say(inbox, "Where is my order?", service=service)
    assert (asked.kind, asked.text, asked.form["asked"]) == ("ask", "Which order?", "order_number")
    assert service.asked == []
    done = say(inbox, "it's lm-204518", asked, service=service, key="turn-9")
    assert (done.kind, done.text) == ("answer", "Order LM-204518 is packed, due 7 March 2026.")
    assert done.form == {}
    assert service.asked == [("GET", "http://localhost:8000/orders/LM-204518", {"Idempotency-Key": "turn-9"})]
    at_once = say(inbox, "Where is my order LM-204518?", service=service)
    assert at_once.text == done.text


def test_a_form_goes_on_in_the_language_it_was_begun_in(inbox: Inbox) -> None:
    service = Service(reply={"status": "已打包", "due": "2026-03-07"})
    asked = say(inbox, "我的订单到哪了？", language="zh-hans")
    assert asked.text == "哪个订单？"
    done = say(inbox, "LM-204518", asked, service=service, language="en")
    assert (done.language, done.text) == ("zh-hans", "订单 LM-204518 已打包，2026年3月7日 送达。")


def test_choices_are_offered_and_spoken_in_the_visitors_language(inbox: Inbox) -> None:
    asked = say(inbox, "LM-204518 我的包裹坏了", engine=Classifier("damage", 0.9), language="zh-hans")
    assert (asked.choices, asked.form["slots"]) == (("退款", "换货"), {"order_number": "LM-204518"})
    assert say(inbox, "第一个", asked, language="zh-hans").text == "LM-204518：退款。"
    asked = say(inbox, "My parcel is broken LM-204518")
    assert asked.choices == ("a refund", "a new one")
    assert say(inbox, "money back", asked).text == "a refund for LM-204518."


def test_three_tries_then_a_person_is_offered(inbox: Inbox) -> None:
    told = say(inbox, "Where is my order?")
    for _n in range(2):
        told = say(inbox, "the blue one", told)
        assert told.kind == "ask"
        assert "does not look like an order number" in told.text
    told = say(inbox, "the blue one", told)
    assert (told.kind, told.offers_person, told.form) == ("offer", True, {})


def test_a_form_is_ended_by_never_mind_by_not_knowing_and_by_time(inbox: Inbox) -> None:
    asked = say(inbox, "Where is my order?")
    for words in ("never mind", "cancel", "取消", "算了"):
        told = say(inbox, words, asked)
        assert (told.kind, told.form) == ("cancelled", {}), words
    assert say(inbox, "I don't have it", asked).kind == "offer"
    assert say(inbox, "I want a human", asked).kind == "person"
    late = say(inbox, "LM-204518", asked, now=NOW + timedelta(minutes=31))
    assert (late.kind, late.form) == ("nothing", {})
    Intent.objects.filter(name="order_status").delete()
    assert say(inbox, "LM-204518", asked).kind == "nothing"


def test_another_question_in_between_is_answered_and_the_form_waits(inbox: Inbox) -> None:
    asked = say(inbox, "Where is my order?")
    other = say(inbox, "How long do refunds take?", asked)
    assert (other.kind, other.form["tries"]) == ("nothing", 0)
    hours = say(inbox, "When are you open?", other)
    assert (hours.text, hours.form["asked"]) == ("From 8 to 18.", "order_number")
    thanks = say(inbox, "thanks", hours)
    assert (thanks.kind, thanks.form["asked"]) == ("small_talk", "order_number")
    changed = say(inbox, "My parcel is broken", thanks)
    assert changed.form["intent"] == "damage"


def test_the_same_intent_again_is_a_try_and_not_a_new_beginning(inbox: Inbox) -> None:
    engine = Classifier("order_status", 0.99)
    told = say(inbox, "Where is my order?", engine=engine)
    for kind in ("ask", "ask", "offer"):
        told = say(inbox, "my parcel please", told, engine=engine)
        assert told.kind == kind


def test_an_unknown_number_is_asked_again_and_a_failure_is_calm(inbox: Inbox) -> None:
    told = say(inbox, "Where is my order LM-999999?", service=Service(404))
    assert (told.kind, told.text) == ("ask", "I found nothing under LM-999999. Which order?")
    assert told.form["slots"] == {}
    for service in (
        Service(0),
        Service(500, {"detail": "secret stack"}),
        Service(200, {"status": "packed"}),
        Service(200, ["packed"]),
        Service(200, {"status": {"a": 1}, "due": "x"}),
    ):
        calm = say(inbox, "Where is my order LM-204518?", service=service)
        assert (calm.kind, calm.offers_person) == ("offer", True)
        assert calm.text.startswith("I could not find that out just now.")
        assert calm.form == {}


def test_numbers_nothing_is_found_for_end_after_three(inbox: Inbox) -> None:
    told = say(inbox, "Where is my order LM-999999?", service=Service(404))
    kinds = [told.kind]
    while told.kind == "ask" and len(kinds) < 6:
        told = say(inbox, "LM-999998", told, service=Service(404))
        kinds.append(told.kind)
    assert kinds == ["ask", "ask", "offer"]


def test_broken_rows_and_forms_never_raise(inbox: Inbox) -> None:
    Intent.objects.filter(name="order_status").update(
        slots=[{"name": "x"}, {"name": "y", "kind": "odd"}, "z"], template="{gone}", action={}
    )
    assert say(inbox, "Where is my order?").kind == "nothing"
    for form in ({"intent": 1}, {"intent": "damage", "slots": {}, "asked": "none", "tries": 0, "at": "x"}):
        told = decide(
            "hello world",
            form,
            inbox,
            Classifier(error=ModelUnavailable("x")),
            NOW,
            "en",
            settings=load(ChatbotSettings),
        )
        assert (told.kind, told.form) == ("nothing", {})


def test_only_an_intent_that_says_or_does_something_speaks(inbox: Inbox) -> None:
    assert not intents.speaks(Intent.objects.get(name="idle"))
    assert intents.speaks(Intent.objects.get(name="opening_hours"))
