"""The bench is production: what it shows is what visitors get, and a past answer can be asked once more."""

from __future__ import annotations

import re

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from chatbot import bench, carefulness, dialogue, retrieval, tasks, turns
from chatbot.answerability import zones
from chatbot.conf import ChatbotSettings
from chatbot.models import EvaluationCase, KnowledgeBase, Turn
from chatbot.retrieval import Found
from services.conf import load
from services.console.storage import storage
from services.errors import Conflict, InvalidInput, ModelUnavailable
from services.inference.engine import get_engine, set_engine
from services.inference.fake import FakeEngine
from tests.builders import RETURNS_MD, add_document, make_inbox, make_knowledge_base, post_json

pytestmark = pytest.mark.django_db
WORDS = ["anchor", "basil", "cobalt", "denim", "ember", "fjord", "garnet", "hazel"]
BENCH = "/console/support/bench/"


def make_base() -> KnowledgeBase:
    lines = ["question,answer,variants"]
    for word in WORDS:
        lines.append(
            f"What is the {word} lamp?,The {word} lamp costs {len(word) * 7} euros.,"
            f"price of {word} | tell me about {word} please"
        )
    return make_knowledge_base(faq_csv="\n".join(lines).encode(), returns_md=RETURNS_MD)


def look(base: KnowledgeBase, text: str, *earlier: str) -> bench.Looked:
    settings = load(ChatbotSettings)
    asked = bench.question(text, base, locale="en", earlier=earlier, now=timezone.now(), settings=settings)
    return bench.look(asked, engine=get_engine(), storage=storage(), settings=settings)


def answered(client: Client, base: KnowledgeBase, text: str) -> Turn:
    """A visitor's question, answered as in production."""
    make_inbox(base)
    made = post_json(client, "/api/v1/chatbot/conversations", {"inbox": "shop"}).json()
    headers = {"authorization": f"Bearer {made['token']}"}
    path = f"/api/v1/chatbot/conversations/{made['id']}/messages"
    body = {"text": text, "idempotency_key": "one-two-three-four"}
    sent = post_json(client, path, body, **headers)
    assert sent.status_code < 300, sent.content
    turn = Turn.objects.get()
    tasks.answer_turn(turn.pk)
    turn.refresh_from_db()
    assert turn.answered_at is not None
    return turn


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("rosa"))
    return client


def test_the_bench_gives_what_a_visitor_gets(client: Client) -> None:
    base = make_base()
    turn = answered(client, base, "price of basil")
    seen = look(base, "price of basil")
    assert [hit.trace() for hit in seen.seen.found] == turn.trace["hits"]
    assert seen.seen.judged.trace() == turn.trace["answerable"]
    assert seen.reply.outcome == turn.outcome
    event = turn.conversation.events.get(seq=2)
    assert seen.reply.payload["text"] == event.payload["text"]


def test_what_the_views_add_makes_the_score() -> None:
    seen = look(make_base(), "price of basil")
    assert seen.by_meaning
    assert sum(seen.shares) == pytest.approx(1)
    for row in seen.rows:
        assert sum(row.parts) == pytest.approx(row.found.score, abs=1e-5)
    ahead = seen.rows[0].found.score - seen.rows[1].found.score
    assert sum(by for _view, by in seen.ahead) == pytest.approx(ahead, abs=1e-5)


def test_the_signs_make_the_probability() -> None:
    seen = look(make_base(), "price of basil")
    assert seen.seen.judged.border is not None
    logit = sum(sign.part for sign in seen.signs) + seen.seen.judged.border.bias
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(seen.seen.judged.probability, abs=1e-4)
    assert seen.border == "faq"


def found(pk: int, *views: float) -> Found:
    shares = (0.2, 0.35, 0.2, 0.25)
    passage = type("Row", (), {"pk": pk})()
    return Found(passage, sum(w * v for w, v in zip(shares, views, strict=True)), 0.5, views[3], views)


def test_the_smallest_change_of_a_weight_is_the_border_itself() -> None:
    shares = (0.2, 0.35, 0.2, 0.25)
    rivals = [found(1, 0.9, 0.6, 0.5, 0.2), found(2, 0.5, 0.6, 0.5, 0.45)]
    change = bench.smallest_change(rivals, shares)
    assert change is not None
    assert change.first is rivals[1]

    def first(x: float) -> Found:
        at = bench.VIEWS.index(change.view)
        moved = [x if n == at else w * (1 - x) / (1 - shares[at]) for n, w in enumerate(shares)]
        return max(rivals, key=lambda hit: sum(w * v for w, v in zip(moved, hit.views, strict=True)))

    assert first(change.then) is rivals[1]
    nearer = change.then + (0.011 if change.then < change.now else -0.011)
    assert first(nearer) is rivals[0]


def test_who_leads_in_every_view_stays_first_whatever_the_weights() -> None:
    rivals = [found(1, 0.9, 0.9, 0.9, 0.9), found(2, 0.5, 0.6, 0.5, 0.4)]
    assert bench.smallest_change(rivals, (0.2, 0.35, 0.2, 0.25)) is None
    assert bench.smallest_change(rivals, (0.0, 0.0, 0.0, 1.0)) is None


def test_the_questions_words_are_marked_as_the_search_sees_them() -> None:
    told = bench.marked("We pay refunds; order LM-204518 too.", "Is a refund for lm-204518 paid?")
    assert [text for text, is_word in told if is_word] == ["refunds", "LM-204518"]
    assert "".join(text for text, _ in told) == "We pay refunds; order LM-204518 too."
    assert [text for text, is_word in bench.marked("包裹到达后 5 天内退款。", "退款要多久") if is_word] == [
        "退款"
    ]
    assert bench.marked("", "refund") == ()


def test_a_variant_of_the_wording_is_only_promised_where_meaning_alone_does_it() -> None:
    seen = look(make_base(), "the basil or the cobalt lamp")
    assert seen.rows[0].by_variant is None
    second = seen.rows[1]
    share = seen.shares[bench.QUESTION]
    lifted = second.found.score + share * (1 - second.found.views[bench.QUESTION])
    assert second.by_variant == (lifted > seen.rows[0].found.score)


def test_what_is_offered_is_at_most_three_entries_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base()
    monkeypatch.setattr("chatbot.answerability.Zones.of", lambda self, probability, among: "offer")
    choices = look(base, "price of basil").reply.payload["choices"]
    assert 1 < len(choices) <= 3
    assert len({choice["passage"] for choice in choices}) == len(choices)


def test_earlier_questions_are_used_as_the_dialogue_uses_them() -> None:
    base = make_base()
    seen = look(base, "and how long does that take?", "How are refunds paid?")
    assert "refund" in seen.seen.searched
    assert look(base, "price of basil", "How are refunds paid?").seen.searched == "price of basil"


def test_a_past_answer_asked_again_is_identical(client: Client) -> None:
    turn = answered(client, make_base(), "price of basil")
    told = bench.replay(turn, now=timezone.now(), engine=get_engine(), storage=storage(),
                        settings=load(ChatbotSettings))  # fmt: skip
    assert told.identical
    assert told.changes == ()
    assert told.config_id == turn.trace["config_id"]
    assert len(told.rows) == len(turn.trace["hits"])
    assert all(row.same and row.rank == row.rank_now for row in told.rows)


def test_a_replay_says_what_changed_since(client: Client) -> None:
    base = make_base()
    turn = answered(client, base, "price of basil")
    KnowledgeBase.objects.filter(pk=base.pk).update(carefulness=0.8)
    add_document(base, "other.md", b"# Basil\n\n## The price of basil\n\nA basil plant costs 3 euros.")
    tasks.index_knowledge_base(base.pk)
    turn = Turn.objects.get(pk=turn.pk)
    told = bench.replay(turn, now=timezone.now(), engine=get_engine(), storage=storage(),
                        settings=load(ChatbotSettings))  # fmt: skip
    assert not told.identical
    assert any("version 1, it is version 2" in line for line in told.changes)
    assert any("0.50, it is 0.80" in line for line in told.changes)
    assert not any("Settings" in line for line in told.changes)
    assert any(row.rank is None for row in told.rows)


def test_the_transcript_leads_to_the_replay(console: Client) -> None:
    turn = answered(console, make_base(), "price of basil")
    page = console.get(f"/console/chatbot/conversation/{turn.conversation_id}/change/").content.decode()
    assert f"{BENCH}?turn={turn.pk}" in page
    page = console.get(f"{BENCH}?turn={turn.pk}").content.decode()
    assert 'data-identical="yes"' in page
    assert "price of basil" in page


def test_a_turn_that_knowledge_did_not_answer_is_said_to_have_nothing_to_compare(console: Client) -> None:
    turn = answered(console, make_base(), "price of basil")
    Turn.objects.update(trace={"intent": {}})
    page = console.get(f"{BENCH}?turn={turn.pk}").content.decode()
    assert "nothing to compare" in page
    assert console.get(f"{BENCH}?turn=99999").status_code == 404
    assert console.get(f"{BENCH}?turn=x").status_code == 404


def test_a_question_is_asked_on_the_page(console: Client) -> None:
    base = make_base()
    body = {"question": "price of basil", "base": base.pk, "locale": "en"}
    page = console.post(f"{BENCH}ask/", body, headers={"hx-request": "true"}).content.decode()
    assert "What is the basil lamp?" in page
    assert "<mark>basil</mark>" in page
    assert "bn-view-4" in page
    assert "<html" not in page
    assert "<html" in console.post(f"{BENCH}ask/", body).content.decode()


def test_a_question_that_cannot_be_asked_names_its_field_and_the_remedy(console: Client) -> None:
    base = make_base()
    for body, told in (
        ({"question": " "}, "Question: Write a question"),
        ({"question": "x" * 2001}, "at most 2000 characters"),
        ({"question": "x", "earlier": "a\nb\nc\nd\ne"}, "Asked before: Give at most 4"),
    ):
        page = console.post(f"{BENCH}ask/", {"base": base.pk, **body}, headers={"hx-request": "true"})
        assert told in page.content.decode()
        assert 'role="alert"' in page.content.decode()
    page = console.post(f"{BENCH}ask/", {"question": "x", "base": "77"}, headers={"hx-request": "true"})
    assert "Knowledge base: Choose" in page.content.decode()


def test_a_model_that_is_down_is_said_calmly(console: Client) -> None:
    base = make_base()
    set_engine(FakeEngine(fail_with=ModelUnavailable("The encoder is being loaded.")))
    body = {"question": "price of basil", "base": base.pk}
    page = console.post(f"{BENCH}ask/", body, headers={"hx-request": "true"}).content.decode()
    assert "being loaded" in page
    assert "ask again in a moment" in page
    assert 'role="alert"' not in page


def test_nothing_there_says_what_to_do_first(console: Client) -> None:
    assert "There is no knowledge base yet" in console.get(BENCH).content.decode()
    base = KnowledgeBase.objects.create(name="Empty")
    page = console.get(BENCH).content.decode()
    assert "holds nothing yet" in page
    assert "/console/chatbot/document/upload" in page
    body = {"question": "price of basil", "base": base.pk}
    page = console.post(f"{BENCH}ask/", body, headers={"hx-request": "true"}).content.decode()
    assert "Nothing was found" in page
    assert "refuse" in page


def test_words_of_the_question_are_words_and_never_markup(console: Client) -> None:
    base = make_base()
    body = {"question": "<script>alert(1)</script> basil", "base": base.pk}
    page = console.post(f"{BENCH}ask/", body).content.decode()
    assert "<script>alert(1)" not in page


def test_who_may_not_read_passages_does_not_see_the_bench(client: Client) -> None:
    assert client.get(BENCH).status_code == 302
    person = User.objects.create_user("omar", is_staff=True)
    client.force_login(person)
    assert client.get(BENCH).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_passage"))
    assert client.get(BENCH).status_code == 200
    assert client.get(f"{BENCH}?turn=1").status_code == 403


def steps(base: KnowledgeBase) -> tuple[carefulness.Asked, ...]:
    for _ in range(50):
        told = carefulness.step(base, get_engine(), storage())
        if told.asked is not None:
            return told.asked
    raise AssertionError("the cases are never all asked")


def test_the_cases_are_asked_once_and_in_parts(engine: FakeEngine) -> None:
    base = make_base()
    EvaluationCase.objects.create(knowledge_base=base, question="qwxz vvkk", answerable=False)
    first = carefulness.step(base, engine, storage(), budget_s=0.0)
    assert (first.done, first.asked) == (0, None)
    asked = steps(base)
    kinds = [case.kind for case in asked]
    assert (kinds.count("known"), kinds.count("taken"), kinds.count("unknown")) == (16, 16, 1)
    calls = engine.calls
    assert steps(base) == asked
    assert engine.calls == calls


def test_more_care_answers_less_and_is_right_no_less_often() -> None:
    asked = steps(make_base())
    told = [carefulness.figures(asked, value) for value in (0.0, 0.5, 1.0)]
    for one in told:
        assert sum((one.answered, one.offered, one.refused)) == pytest.approx(1)  # type: ignore[arg-type]
    assert told[0].answered >= told[1].answered >= told[2].answered  # type: ignore[operator]
    assert told[0].false_refusals <= told[2].false_refusals  # type: ignore[operator]


def case(probability: float, kind: carefulness.Kind = "known", right: bool = True) -> carefulness.Asked:
    return carefulness.Asked("q", "", kind, probability, right)


def test_the_cases_that_change_sides_are_named_and_judged() -> None:
    at, careful = zones(0.0).answer + 0.01, zones(1.0)
    assert careful.of(at, at) == "offer"
    asked = (case(at), case(at, right=False), case(at, "taken", False), case(1.0), case(0.0))
    found = carefulness.sides(asked, 0.0, 1.0)
    assert [(side.case.kind, side.case.right, side.better) for side in found] == [
        ("known", True, False),
        ("known", False, True),
        ("taken", False, True),
    ]
    assert carefulness.sides(asked, 0.5, 0.5) == []


def test_the_slider_shows_its_effect_before_anything_is_saved(console: Client) -> None:
    base = make_base()
    page = console.get(f"/console/chatbot/knowledgebase/{base.pk}/change/").content.decode()
    assert f"{BENCH}careful/?base={base.pk}" in page
    assert console.get("/console/chatbot/knowledgebase/add/").status_code == 200
    page = console.get(f"{BENCH}careful/?base={base.pk}").content.decode()
    assert 'type="range"' in page
    for _ in range(50):
        part = console.get(f"{BENCH}careful/effect/", {"base": base.pk, "carefulness": "1"}).content.decode()
        if "cases asked" not in part:
            break
    assert "Refused wrongly" in part
    assert re.search(r"cases? changes? sides|cases change sides", part)
    assert "takes the place of 0.50" in part
    base.refresh_from_db()
    assert base.carefulness == 0.5
    wrong = console.get(f"{BENCH}careful/effect/", {"base": base.pk, "carefulness": "7"}).content.decode()
    assert "How careful: Give a number between 0 and 1" in wrong


def test_a_saved_value_holds_at_once_is_kept_in_the_history_and_can_be_undone(console: Client) -> None:
    base = make_base()
    told = {"base": base.pk, "carefulness": "0.9", "expected": "0.5"}
    page = console.post(f"{BENCH}careful/save/", told, follow=True).content.decode()
    base.refresh_from_db()
    assert base.carefulness == 0.9
    assert look(base, "price of basil").zones == zones(0.9)
    assert "0.50 → 0.90" in LogEntry.objects.get().get_change_message()
    assert "Undo: back to 0.50" in page
    undo = {"base": base.pk, "carefulness": "0.5", "expected": "0.9"}
    console.post(f"{BENCH}careful/save/", undo)
    base.refresh_from_db()
    assert base.carefulness == 0.5


def test_a_value_saved_meanwhile_is_not_overwritten(console: Client) -> None:
    base = make_base()
    with pytest.raises(Conflict):
        carefulness.save(base, 0.9, expected=0.3, who="rosa")
    page = console.post(
        f"{BENCH}careful/save/", {"base": base.pk, "carefulness": "0.9", "expected": "0.3"}, follow=True
    )
    assert "Somebody saved 0.50 meanwhile" in page.content.decode()
    base.refresh_from_db()
    assert base.carefulness == 0.5
    with pytest.raises(InvalidInput):
        carefulness.parsed("nan")


def test_without_variants_the_curve_says_what_to_do(console: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    page = console.get(f"{BENCH}careful/?base={base.pk}").content.decode()
    assert "Add question variants to some entries" in page
    part = console.get(f"{BENCH}careful/effect/", {"base": base.pk, "carefulness": "0.5"}).content.decode()
    assert "There are no cases" in part
    with_variants = make_base_named("Lamps")
    page = console.get(f"{BENCH}careful/?base={with_variants.pk}").content.decode()
    assert "bench-curve" in page


def make_base_named(name: str) -> KnowledgeBase:
    base = make_knowledge_base(name, faq_csv=b"question,answer,variants\nOpen?,From 9 to 5.,hours | opening")
    assert retrieval.borders_of(base, storage()).faq.curve
    return base


def test_the_dialogue_and_the_bench_share_one_way() -> None:
    base = make_base()
    seen = look(base, "price of basil")
    again = dialogue.consider(
        seen.asked, engine=get_engine(), storage=storage(), settings=load(ChatbotSettings)
    )
    assert [hit.trace() for hit in again.found] == [hit.trace() for hit in seen.seen.found]
    assert turns.asked.__module__ == "chatbot.turns"
