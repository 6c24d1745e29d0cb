"""Intents as a data set, a run on them with the real recipe, and how the classifier stands afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatbot import training
from chatbot.conf import ChatbotSettings
from chatbot.intents import decide
from chatbot.models import Conversation, ConversationEvent, Inbox, Intent, Turn
from services.conf import load
from services.console import training_runs
from services.console.datasets import row_of
from services.console.models import DatasetRow, TrainingRun
from services.console.storage import storage
from services.errors import InvalidInput
from services.inference.fake import FakeEngine
from services.inference.grams import GramSpace
from services.inference.open_set import OUTSIDE, IntentHead, predict
from services.inference.values import ClassScores, Pair
from services.registry import lineage
from services.registry.manifest import DataSource
from services.registry.store import ModelStore
from services.training.dataset import Example, fingerprint
from services.training.order import NamedSet, Order, Outcome, Watch
from services.training.recipes.intent_head import IntentHeadRecipe, fit
from tests.builders import make_inbox, make_knowledge_base
from tests.services.training.intents import questions

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
RECIPE = IntentHeadRecipe(
    space=GramSpace(words=1024, pieces=1024),
    sharpness=(1.0,),
    word_share=(0.2,),
    noise=(0.1,),
    name_noise=0.0,
    most_tried=36,
)
HEADS: dict[str, IntentHead] = {}
pytestmark = pytest.mark.django_db(transaction=True)


class Trained(FakeEngine):
    """Answers with the head that the last run made."""

    def __init__(self, version: str) -> None:
        super().__init__(dim=96)
        self.head = HEADS[version]

    def classify(self, task: str, pairs: Sequence[Pair], **_options: Any) -> ClassScores:
        texts = [text for text, _towards in pairs]
        return ClassScores(self.head.labels, predict(self.head, texts, self.embed(texts)), "v1")


@pytest.fixture
def inbox(tmp_path: Path, settings: Any) -> Inbox:
    """An inbox with six intents of ten examples each."""
    settings.DATA_DIR = tmp_path
    made = make_inbox(make_knowledge_base())
    texts, labels = questions(10)
    for name in dict.fromkeys(labels):
        examples = [text for text, label in zip(texts, labels, strict=True) if label == name]
        Intent.objects.create(inbox=made, name=name, examples=examples, template=f"About {name}.")
    return made


def learn(
    order: Order, sets: Sequence[NamedSet], *, store: ModelStore, folder: Path, watch: Watch, now: datetime
) -> Outcome:
    """The real recipe on a small encoder; every fourth example is judged by."""
    examples = [example for one in sets for example in one.examples]
    left, kept = examples[::4], [one for n, one in enumerate(examples) if n % 4]
    engine = FakeEngine(dim=96)
    head = fit([one.text for one in kept], [one.label for one in kept], engine.embed, RECIPE).head
    version = f"v{now:%H%M%S%f}"
    HEADS[version] = head
    said = predict(head, [one.text for one in left], engine.embed([one.text for one in left]))
    right = [head.labels[at] == one.label for at, one in zip(said.argmax(axis=1), left, strict=True)]
    names = sorted({one.label for one in left})
    per_class = [
        {
            "label": name,
            "recall": float(np.mean([ok for ok, one in zip(right, left, strict=True) if one.label == name])),
            "support": sum(one.label == name for one in left),
        }
        for name in names
    ]
    keep(order, sets, store, folder, version)
    return Outcome(version, {"accuracy": float(np.mean(right))}, {"per_class": per_class}, True, ("Good.",))


def learn_nothing(
    order: Order, sets: Sequence[NamedSet], *, store: ModelStore, folder: Path, watch: Watch, now: datetime
) -> Outcome:
    """A version of these examples that cannot answer."""
    keep(order, sets, store, folder, "v0")
    return Outcome("v0", {}, {}, False, ("It has learned nothing.",))


def keep(order: Order, sets: Sequence[NamedSet], store: ModelStore, folder: Path, version: str) -> None:
    """A version with its lineage in the store."""
    made = folder / "version"
    made.mkdir(parents=True)
    (made / "weights.safetensors").write_bytes(b"nothing")
    data = tuple(DataSource(s.name, s.licence, len(s.examples), fingerprint(s.examples)) for s in sets)
    lineage.write(made, lineage.Lineage(order.task, version, data=data))
    store.add(order.task, version, made)


def performed(run: TrainingRun, train: Any = learn) -> TrainingRun:
    claimed = training_runs.claim(run.pk, "here", NOW)
    assert claimed is not None
    store = ModelStore(storage())
    training_runs.perform(run.pk, claimed.attempt, store, lambda: datetime.now(UTC), train=train)
    run.refresh_from_db()
    return run


def test_examples_are_trained_promoted_and_answer_in_other_words(inbox: Inbox) -> None:
    run = performed(training.start(inbox, "rosa"))
    assert (run.state, run.task, run.recipe) == ("done", "intents-shop", "intent_head"), run.error_detail
    store = ModelStore(storage())
    waiting = training.state(inbox, store)
    assert (waiting.live, waiting.waits_for_promotion) == ("", True)
    store.promote(run.task, run.version, NOW)
    live = training.state(inbox, store)
    assert (live.live, live.changed, live.waits_for_promotion) == (run.version, False, False)
    assert live.live_run == run
    assert sum(right for right, _asked in live.left_out.values()) > 10
    engine = Trained(run.version)
    said = {"again refund of my money please": "refund", "voucher code not accepted": "coupon"}
    for text, wanted in said.items():
        told = decide(text, {}, inbox, engine, NOW, "en", settings=load(ChatbotSettings))
        assert (told.kind, told.text) == ("answer", f"About {wanted}."), told.trace
    strange = decide("who painted penguins", {}, inbox, engine, NOW, "en", settings=load(ChatbotSettings))
    assert strange.kind == "nothing"


def test_the_page_is_told_when_the_examples_are_not_those_that_were_learned(inbox: Inbox) -> None:
    run = performed(training.start(inbox, "rosa"), learn_nothing)
    store = ModelStore(storage())
    store.promote(run.task, run.version, NOW)
    intent = inbox.intents.get(name="refund")
    intent.examples = [*intent.examples, "give it all back"]
    intent.save()
    training.sync(inbox)
    assert training.state(inbox, store).changed
    intent.examples = intent.examples[:-1]
    intent.save()
    training.sync(inbox)
    assert not training.state(inbox, store).changed


def test_the_data_set_follows_the_intents_and_keeps_what_people_added(inbox: Inbox) -> None:
    dataset = training.sync(inbox)
    assert (dataset.name, dataset.task, dataset.rows.count()) == ("Intents: shop", "intents-shop", 60)
    row_of(dataset, 900, Example("sing a song", label=OUTSIDE), "labelled").save()
    refund, coupon = inbox.intents.get(name="refund"), inbox.intents.get(name="coupon")
    moved = refund.examples[0]
    refund.examples, coupon.examples = refund.examples[1:], [*coupon.examples, moved, "写信给 me@example.com"]
    refund.save()
    coupon.save()
    inbox.intents.filter(name="warranty").update(enabled=False)
    again = training.sync(inbox)
    assert again.pk == dataset.pk
    assert again.rows.count() == 60 - 10 + 1 + 1
    assert again.rows.get(text=moved).label == "coupon"
    assert again.rows.filter(text="写信给 [email]").exists()
    assert OUTSIDE in again.labels
    assert "warranty" not in again.labels
    assert again.languages == ["en", "zh-hans"]
    kept = set(DatasetRow.objects.values_list("pk", flat=True))
    training.sync(inbox)
    assert set(DatasetRow.objects.values_list("pk", flat=True)) == kept


def test_too_little_to_learn_from_is_refused_by_name(inbox: Inbox) -> None:
    refund = inbox.intents.get(name="refund")
    refund.examples = refund.examples[:2]
    refund.save()
    with pytest.raises(InvalidInput, match="refund has 2 examples"):
        training.start(inbox, "rosa")
    inbox.intents.exclude(name="coupon").delete()
    with pytest.raises(InvalidInput, match="at least two intents"):
        training.start(inbox, "rosa")
    assert TrainingRun.objects.count() == 0


def test_questions_nobody_answered_are_offered_as_examples_without_personal_data(inbox: Inbox) -> None:
    conversation = Conversation.objects.create(inbox=inbox, token_hash="x")
    for seq, (text, outcome) in enumerate(
        [
            ("call me@example.com please", "refusal"),
            ("fine", "answer"),
            ("call me@example.com please", "refusal"),
        ],
        start=1,
    ):
        ConversationEvent.objects.create(
            conversation=conversation, seq=seq, kind="visitor_message", payload={"text": text}, created_at=NOW
        )
        Turn.objects.create(conversation=conversation, question_seq=seq, outcome=outcome, created_at=NOW)
    assert training.refused_questions(inbox) == ["call [email] please"]
