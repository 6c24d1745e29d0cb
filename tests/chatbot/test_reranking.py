"""The best passages read once more: in the model's order, in time, and never at the answer's cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot import bench, dialogue, events, reranking, retrieval, tasks
from chatbot.conf import ChatbotSettings
from chatbot.models import Conversation, KnowledgeBase
from services.conf import load
from services.console.storage import storage
from services.errors import DeadlineExceeded, ModelUnavailable
from services.inference.conf import InferenceSettings
from services.inference.engine import get_engine, set_engine
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine
from services.inference.runtimes.circuit import Circuit
from services.inference.values import ModelInfo, Relevance
from tests.builders import make_inbox, make_knowledge_base
from tests.services.inference.tiny_models import make_model

pytestmark = pytest.mark.django_db
FAQ = b"""question,answer
How do I cancel my order?,Open My orders and choose Cancel while it is not packed.
Can I cancel my order when it is packed?,No. Please refuse the parcel at the door.
What happens when I cancel my order?,The money goes back to your card within five days.
"""
ASKED = "how do I cancel my order"


class Reader(FakeEngine):
    """A cross-encoder that likes texts with `likes` in them; it may be late or broken."""

    def __init__(self, likes: str = "packed?", trouble: Exception | None = None) -> None:
        super().__init__()
        self.likes, self.trouble = likes, trouble
        self.read: list[list[str]] = []

    def models(self) -> tuple[ModelInfo, ...]:
        return (
            *super().models(),
            ModelInfo("rerank", "reranker", "reader", "r-1", "fake", "cpu", loaded=True),
        )

    def rerank(self, query: str, texts: Sequence[str], **options: Any) -> Relevance:
        self.read.append(list(texts))
        if self.trouble is not None:
            raise self.trouble
        return Relevance(np.array([0.9 if self.likes in text else 0.1 for text in texts], np.float32), "r-1")


@pytest.fixture
def base() -> KnowledgeBase:
    return make_knowledge_base(faq_csv=FAQ)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr(reranking, "_slow", Circuit(failures=3, cool_off_s=30.0))
    before, made = get_engine(), Reader()
    set_engine(made)
    yield made
    set_engine(before)


def found(base: KnowledgeBase, question: str = ASKED) -> list[retrieval.Found]:
    return retrieval.search(base, question, language="en", engine=get_engine(), storage=storage())


def seen(base: KnowledgeBase, engine: FakeEngine, **settings: Any) -> dialogue.Considered:
    made = load(ChatbotSettings).model_copy(update=settings)
    asked = bench.question(ASKED, base, locale="en", earlier=[], now=timezone.now(), settings=made)
    return dialogue.consider(asked, engine=engine, storage=storage(), settings=made)


def order(one: dialogue.Considered) -> list[str]:
    return [hit.passage.heading for hit in one.found]


def test_only_a_cross_encoder_reranks_unless_late_interaction_is_asked_for(
    base: KnowledgeBase, reader: Reader
) -> None:
    late = FakeEngine()
    assert seen(base, late).reranking == {}
    assert all("rerank" not in hit.trace() for hit in seen(base, late).found)
    assert seen(base, late, chatbot_rerank="always").reranking == {"model": "fake-1"}
    assert seen(base, reader, chatbot_rerank="never").reranking == {}
    assert not reader.read
    assert seen(base, reader).reranking == {"model": "r-1"}
    assert reader.read[0][0].startswith("How do I cancel my order?\nOpen My orders")


def test_the_model_decides_the_order_and_the_search_whether_to_answer(
    base: KnowledgeBase, reader: Reader
) -> None:
    plain, read = seen(base, FakeEngine()), seen(base, reader)
    assert order(plain)[0] == "How do I cancel my order?"
    assert order(read) == [
        "Can I cancel my order when it is packed?",
        *[heading for heading in order(plain) if "packed?" not in heading],  # of equals as before
    ]
    assert read.judged == plain.judged
    assert {hit.passage.pk: hit.score for hit in read.found} == {
        hit.passage.pk: hit.score for hit in plain.found
    }


@pytest.mark.parametrize("trouble", [DeadlineExceeded("late"), ModelUnavailable("gone")])
def test_a_model_that_is_late_or_down_leaves_the_order_and_is_left_alone_after_three_times(
    base: KnowledgeBase, reader: Reader, trouble: Exception
) -> None:
    reader.trouble = trouble
    plain = order(seen(base, FakeEngine()))
    told = [seen(base, reader) for _ in range(4)]
    assert [order(one) for one in told] == [plain] * 4
    assert [one.reranking["failed"] for one in told[2:]] == [trouble.code, "left_alone"]  # type: ignore[attr-defined]
    assert len(reader.read) == 3


def test_of_a_long_passage_the_stretch_around_its_nearest_piece_is_read(reader: Reader) -> None:
    filler = "Some more words about nothing in particular stand here. " * 40
    text = f"{filler}\n\nThe violet hatch opens with two turns to the left.\n\n{filler}".encode()
    base = make_knowledge_base(long_md=b"# Hatches\n\n## Violet hatch\n\n" + text, faq_csv=FAQ)
    asked = found(base, "how does the violet hatch open")
    reranking.rerank("how does the violet hatch open", asked, engine=reader, settings=load(ChatbotSettings))
    read = next(one for one in reader.read[0] if "violet hatch opens" in one)
    assert len(read) < reranking.READ_CHARS + 100


@pytest.mark.django_db(transaction=True)
def test_a_turn_keeps_what_the_model_said_and_the_bench_replays_it_to_the_same_scores(reader: Reader) -> None:
    base = make_knowledge_base(faq_csv=FAQ)
    talk = Conversation.objects.create(inbox=make_inbox(base), token_hash="x")
    events.append(talk, "visitor_message", {"text": ASKED}, now=timezone.now())
    tasks.answer_turn(talk.turns.get().pk)
    turn = talk.turns.get()
    assert turn.trace["reranking"] == {"model": "r-1"}
    assert turn.trace["hits"][0]["rerank"] == 0.9
    assert "refuse the parcel" in talk.events.get(seq=2).payload["text"]

    def replayed() -> bench.Replayed:
        return bench.replay(
            turn, now=timezone.now(), engine=get_engine(), storage=storage(), settings=load(ChatbotSettings)
        )

    again = replayed()
    assert again.identical
    assert again.config_id == turn.trace["config_id"]
    assert again.changes == ()
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    page = client.get(reverse("chatbot-bench"), {"turn": turn.pk}).content.decode()
    assert "Identical" in page
    assert "The reranker r-1 read the passages" in page
    assert "0.900" in page
    reader.trouble = DeadlineExceeded("late")
    later = replayed()
    assert not later.identical
    assert later.changes[0] == "The reranker was r-1, it is – now."


def test_the_gate_asks_the_model_as_the_bot_does(base: KnowledgeBase, reader: Reader) -> None:
    from chatbot import evaluation
    from chatbot.answerability import Borders

    place = (base.documents.get().pk, "Can I cancel my order when it is packed?")
    cases = [evaluation.Case(ASKED, frozenset({place}), frozenset(), "hand")]
    index = retrieval.open_index(base.index_path, reader, storage())
    (with_model,) = evaluation.ask(cases, index, Borders(), reader, base)
    (without,) = evaluation.ask(cases, index, Borders(), FakeEngine(), base)
    assert (with_model.rank, with_model.probability) == (1, without.probability)
    assert without.rank != 1


def test_a_real_cross_encoder_gives_the_same_order_twice(base: KnowledgeBase, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "reader", "ForSequenceClassification", ["LABEL_0"])
    engine = LocalEngine(InferenceSettings(reranker=str(folder), inference_runtime="torch"))
    try:
        asked, settings = found(base), load(ChatbotSettings).model_copy(update={"chatbot_rerank_s": 30.0})
        assert reranking.wanted(engine, settings)
        one, other = (reranking.rerank(ASKED, asked, engine=engine, settings=settings) for _ in range(2))
        assert one.model
        assert [hit.trace() for hit in one.found] == [hit.trace() for hit in other.found]
        scores = [hit.rerank for hit in one.found]
        assert scores == sorted(scores, key=lambda score: -(score or 0))
        began = time.monotonic()
        hurried = reranking.rerank(
            ASKED, asked, engine=engine, settings=settings.model_copy(update={"chatbot_rerank_s": 1e-6})
        )
        assert hurried.failed == "deadline_exceeded"
        assert [hit.passage.pk for hit in hurried.found] == [hit.passage.pk for hit in asked]
        assert time.monotonic() - began < 20
    finally:
        engine.close()
