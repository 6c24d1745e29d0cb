"""What a visitor wants, where the operator has said what to do about it; else nothing, and retrieval goes on.

small talk -> an open form -> an intent (its own examples, then the trained classifier) -> its slots, asked
for one by one -> its action -> its answer template.
Nothing here writes: `Decision.form` is what `Conversation.form` is to hold from now on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from chatbot import actions, filling, slots, small_talk
from chatbot.conf import ChatbotSettings
from chatbot.models import Inbox, Intent
from services.conf import CoreSettings, load
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.open_set import OUTSIDE
from services.inference.values import Priority
from services.text.language import HAN
from services.text.masking import mask
from services.web import fetch

FORM_LASTS = timedelta(minutes=30)
CLASSIFY_S = 2.0
_POLITE = frozenset(["please", "hi", "hello", "hey", "the", "a", "an", "my", "our", "thanks", "thank"])
_POLITE_HAN = re.compile("请问|你好|您好|麻烦|请|一下|我的|我想|我要|想|吗|呢|啊|呀|了|的|我")
_FEW_WORDS = 4
_ANY_DAY = datetime(2020, 1, 1, tzinfo=UTC)
Kind = Literal["nothing", "answer", "ask", "cancelled", "small_talk", "person", "offer"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a message.

    `nothing`: go on to retrieval. Else say `text`, in `language`, under the id `template` in a citation's
    place: `answer` of a template, `ask` for a slot (`choices` to click), `cancelled` form, `small_talk`,
    `person` was wished for, `offer` one because a form or an action came to nothing.
    `form` replaces Conversation.form, also when nothing is said. `trace` holds names and numbers, never a
    visitor's words.
    """

    kind: Kind
    language: str
    text: str = ""
    template: str = ""
    form: Mapping[str, Any] = field(default_factory=dict)
    offers_person: bool = False
    choices: tuple[str, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict)
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The intent of a message and how it came about; `intent` None when there is none to act on."""

    intent: Intent | None
    trace: Mapping[str, Any] = field(default_factory=dict)
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class _Message:
    """A message with all that is needed to decide about it."""

    text: str
    inbox: Inbox
    engine: Engine
    language: str
    reading: slots.Reading
    settings: ChatbotSettings
    place: actions.Place
    key: str
    call: actions.Call


def decide(
    text: str,
    conversation_form: Mapping[str, Any],
    inbox: Inbox,
    engine: Engine,
    now: datetime,
    language: str,
    *,
    settings: ChatbotSettings,
    key: str = "",
    call: actions.Call = fetch.call,
) -> Decision:
    """What to do about a visitor's message, in the visitor's own words; never raises for its content.

    `language` is "en" or "zh-hans"; a form that was begun in one of them goes on in it. `key` names the
    message to the company's service, so that a message answered twice is acted on once.
    """
    form = _still_open(conversation_form, now)
    language = _language(form, text, language)
    message = _Message(
        text,
        inbox,
        engine,
        language,
        slots.Reading(now, settings.chatbot_order_number, settings.chatbot_phone_region),
        settings,
        actions.Place(actions.hosts_of(settings.chatbot_action_hosts), load(CoreSettings).public_url),
        key,
        call,
    )
    with translation.override(language):
        intent = _enabled(inbox).filter(name=form["intent"]).first() if form else None
        slot = _asked_for(intent, form)
        return _fresh(message) if intent is None or slot is None else _step(message, form, intent, slot)


def recognise(
    text: str, inbox: Inbox, engine: Engine, settings: ChatbotSettings, reading: slots.Reading
) -> Recognised:
    """The intent of a message: one of its examples said again, else what the trained classifier is sure of.

    The classifier sees the message without personal data. Where there is none, or it does not answer, the
    trace says so and nothing is recognised.
    """
    found = list(_enabled(inbox))
    if not found:
        return Recognised(None)
    for intent in found:
        wanted = slots.of_rows(intent.slots)
        timeless = replace(reading, now=_ANY_DAY)  # where a day stands in a text does not hang on today
        if _gist(slots.without(wanted, text, reading)) in _gists(tuple(intent.examples), wanted, timeless):
            return Recognised(intent, {"intent": intent.name, "by": "example", "p": 1.0})
    try:
        scores = engine.classify(
            inbox.intents_task,
            [(mask(text, region=reading.region).text, None)],
            priority=Priority.INTERACTIVE,
            deadline_s=CLASSIFY_S,
        )
    except SuiteError as error:
        return Recognised(None, {"classifier": error.code})
    probs = dict(zip(scores.labels, map(float, scores.probs[0]), strict=True))
    label = max(probs, key=probs.__getitem__)
    trace = {
        "intent": label,
        "by": "model",
        "p": round(probs[label], 4),
        "outside": round(probs.get(OUTSIDE, 0.0), 4),
    }
    sure = label != OUTSIDE and probs[label] >= settings.chatbot_intent_confidence
    chosen = next((intent for intent in found if intent.name == label), None) if sure else None
    return Recognised(chosen, trace, scores.version)


def speaks(intent: Intent) -> bool:
    """Whether an intent says or does anything at all."""
    return bool(intent.template or intent.template_zh or intent.action)


def _fresh(message: _Message) -> Decision:
    """A message that answers no question of ours."""
    if kind := small_talk.kind_of(message.text):
        return _small_talk(message, kind)
    found = recognise(message.text, message.inbox, message.engine, message.settings, message.reading)
    trace = dict(found.trace)
    if found.intent is None or not speaks(found.intent):
        return Decision("nothing", message.language, trace=trace, model_version=found.model_version)
    values = slots.find(slots.of_rows(found.intent.slots), message.text, message.reading)
    made = _advance(message, found.intent, values, 0, trace)
    return replace(made, model_version=found.model_version)


def _step(message: _Message, form: Mapping[str, Any], intent: Intent, slot: slots.Slot) -> Decision:
    """A message after a question of ours: the answer, the end of it, or something else in between."""
    said = small_talk.kind_of(message.text)
    if said == "stop":
        text = _("All right, I have stopped that. Is there anything else?")
        return Decision("cancelled", message.language, text, "form:cancelled", trace={"intent": intent.name})
    if said == "person":
        return _small_talk(message, said)
    asks = small_talk.is_question(message.text)
    loose = slot.kind in {"text", "date", "number"}
    value: str | slots.Misfit = slots.Misfit("")
    if not (asks and loose):
        value = slots.read(slot, message.text, message.reading)
    if isinstance(value, str):
        rest = [one for one in slots.of_rows(intent.slots) if one.name not in {slot.name, *form["slots"]}]
        more = slots.find([slot, *rest], message.text, message.reading)
        values = {**more, **form["slots"], slot.name: value}
        misses = int(form.get("misses") or 0)
        return _advance(message, intent, values, misses, {"intent": intent.name, "by": "form"})
    if said and said != "agreed":
        return replace(_small_talk(message, said), form={} if said == "goodbye" else form)
    if small_talk.declines(message.text):
        return _offer(
            message, _("Without it I cannot look this up. A person can help you with this."), intent, {}
        )
    other = _fresh(message)
    if other.kind != "nothing" and other.trace.get("intent") != intent.name:
        return replace(other, form=other.form or form)
    if asks:
        return Decision("nothing", message.language, form=form, trace=other.trace)
    return _asked_again(message, form, intent, slot, value)


def _asked_again(
    message: _Message, form: Mapping[str, Any], intent: Intent, slot: slots.Slot, misfit: slots.Misfit
) -> Decision:
    tries = int(form["tries"]) + 1
    trace = {"intent": intent.name, "by": "form", "asked": slot.name, "tries": tries}
    if tries >= slots.MOST_TRIES:
        text = _("I could not make out the %(what)s. A person can help you with this.")
        return _offer(message, text % {"what": slots.KINDS[slot.kind]}, intent, trace)
    form = {**form, "tries": tries, "at": message.reading.now.isoformat()}
    return Decision(
        "ask",
        message.language,
        misfit.question,
        _template(intent),
        form,
        choices=slot.options(message.language),
        trace=trace,
    )


def _advance(
    message: _Message, intent: Intent, values: Mapping[str, str], misses: int, trace: Mapping[str, Any]
) -> Decision:
    """Ask for the first slot that is missing; with all of them, act and answer."""
    trace = {**trace, "slots": sorted(values)}
    for slot in slots.of_rows(intent.slots):
        if slot.required and slot.name not in values:
            return _ask(message, intent, slot, values, misses, trace, slot.question(message.language))
    return _answer(message, intent, values, misses, trace)


def _ask(
    message: _Message,
    intent: Intent,
    slot: slots.Slot,
    values: Mapping[str, str],
    misses: int,
    trace: Mapping[str, Any],
    text: str,
) -> Decision:
    form = {
        "intent": intent.name,
        "slots": dict(values),
        "asked": slot.name,
        "tries": 0,
        "misses": misses,
        "at": message.reading.now.isoformat(),
        "language": message.language,
    }
    trace = {**trace, "asked": slot.name}
    return Decision(
        "ask",
        message.language,
        text,
        _template(intent),
        form,
        choices=slot.options(message.language),
        trace=trace,
    )


def _answer(
    message: _Message, intent: Intent, values: Mapping[str, str], misses: int, trace: Mapping[str, Any]
) -> Decision:
    reply: Any = None
    if intent.action:
        found = actions.perform(intent.action, values, message.place, key=message.key, call=message.call)
        trace = {**trace, "action": {"outcome": found.outcome, **found.trace}}
        if found.outcome == "failed":
            return _offer(message, _failed(), intent, trace)
        if found.outcome == "not_found":
            return _not_found(message, intent, values, misses, trace)
        reply = found.reply
    chinese = message.language.startswith("zh")
    own, other = (intent.template_zh, intent.template) if chinese else (intent.template, intent.template_zh)
    said = {
        slot.name: slot.said(values[slot.name], message.language)
        for slot in slots.of_rows(intent.slots)
        if slot.name in values
    }
    try:
        text = filling.fill(own or other or "{reply}", {**said, filling.REPLY: reply}, filling.spoken)
    except filling.Unfilled as error:
        trace = {**trace, "unfilled": str(error)}
        if not intent.action:
            return Decision("nothing", message.language, trace=trace)
        return _offer(message, _failed(), intent, trace)
    return Decision("answer", message.language, text, _template(intent), trace=trace)


def _not_found(
    message: _Message, intent: Intent, values: Mapping[str, str], misses: int, trace: Mapping[str, Any]
) -> Decision:
    """The company's system knows nothing of what was told: ask for it once more, a few times at most."""
    used = filling.placeholders(str(intent.action.get("url", "")))
    slot = next((one for one in slots.of_rows(intent.slots) if one.name in used), None)
    if slot is None or misses + 1 >= slots.MOST_TRIES:
        text = _("I found nothing under what you told me. A person can help you with this.")
        return _offer(message, text, intent, trace)
    text = _("I found nothing under %(value)s.") % {"value": filling.spoken(values[slot.name])}
    left = {name: value for name, value in values.items() if name != slot.name}
    question = slot.question(message.language)
    return _ask(message, intent, slot, left, misses + 1, trace, f"{text} {question}")


def _offer(message: _Message, text: str, intent: Intent, trace: Mapping[str, Any]) -> Decision:
    trace = {"intent": intent.name, **trace}
    return Decision("offer", message.language, text, _template(intent), offers_person=True, trace=trace)


def _failed() -> str:
    return _("I could not find that out just now. Please try again later, or let a person help you.")


def _small_talk(message: _Message, kind: str) -> Decision:
    if kind == "person":
        text = _("Of course. A person can help you with this.")
        return Decision("person", message.language, text, "small_talk:person", offers_person=True)
    inbox = message.inbox
    greeting = inbox.greeting_zh if message.language.startswith("zh") else inbox.greeting
    text = {
        "greeting": greeting or _("Hello! How can I help you?"),
        "thanks": _("You are welcome. Is there anything else?"),
        "agreed": _("Good. Is there anything else?"),
        "goodbye": _("Goodbye! You can come back to this chat at any time."),
        "stop": _("All right. You can ask me anything else at any time."),
        "bot": _("I am an automated assistant. If you would rather talk to a person, just say so."),
        "abuse": _("I am sorry that this is annoying. Tell me what went wrong, or let a person help you."),
    }[kind]
    return Decision(
        "small_talk", message.language, text, f"small_talk:{kind}", offers_person=kind in {"bot", "abuse"}
    )


def _enabled(inbox: Inbox) -> QuerySet[Intent]:
    return Intent.objects.filter(inbox=inbox, enabled=True).exclude(name=OUTSIDE).order_by("name")


def _template(intent: Intent) -> str:
    return f"intent:{intent.name}"


def _still_open(form: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """The form, or an empty one when it is too old or not one of ours."""
    if not {"intent", "slots", "asked", "tries", "at"} <= set(form or ()):
        return {}
    try:
        age = now - datetime.fromisoformat(form["at"])
    except (TypeError, ValueError):
        return {}
    return form if timedelta() <= age <= FORM_LASTS else {}


def _asked_for(intent: Intent | None, form: Mapping[str, Any]) -> slots.Slot | None:
    rows = slots.of_rows(intent.slots) if intent is not None else ()
    return next((slot for slot in rows if slot.name == form["asked"]), None)


def _language(form: Mapping[str, Any], text: str, language: str) -> str:
    """A bare number or code says nothing of the language: the form's goes on."""
    begun = str(form.get("language") or language)
    if begun.startswith("zh"):
        several = len(re.findall(r"[A-Za-z]{2,}", text)) >= _FEW_WORDS
        return language if several and not re.search(f"[{HAN}]", text) else begun
    return language if re.search(f"[{HAN}]", text) else begun


def _gist(text: str) -> tuple[str, ...]:
    """What two wordings of the same sentence share: its words without courtesies, in any order."""
    words = small_talk.plain(text)
    if re.search(f"[{HAN}]", words):
        return (_POLITE_HAN.sub("", words.replace(" ", "")),)
    return tuple(sorted(word for word in words.split() if word not in _POLITE))


@lru_cache(maxsize=512)
def _gists(
    examples: tuple[str, ...], wanted: tuple[slots.Slot, ...], reading: slots.Reading
) -> frozenset[tuple[str, ...]]:
    return frozenset(_gist(slots.without(wanted, example, reading)) for example in examples) - {(), ("",)}
