"""The conflict radar: what contradicts what, kept as rows, and no wolf is cried."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatbot import conflicts, knowledge
from chatbot.contradictions import contradiction
from chatbot.models import Conflict, Document, KnowledgeBase, Passage
from chatbot.neighbours import by_letters, near_owners
from chatbot.statements import Text
from services.errors import NotFound, Unavailable
from services.inference.engine import get_engine
from services.inference.fake import FakeEngine
from tests.builders import NOON, SAMPLE, add_document, make_knowledge_base

CASES = [json.loads(line) for line in (Path(__file__).parent / "conflict_cases.jsonl").open()]
RETURNS = b"""# Returns

You can send anything back within 30 days of delivery. Keep the box.

# Norway

We ship to Norway.
"""
FAQ = b"""# Returning items

You can send items back within 14 days.

# Shipping

We do not ship to Norway.
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> Any:
        return self.now


def text(side: dict[str, str], language: str) -> Text:
    return Text(side["heading"], side["text"], language)


def found(half: str) -> tuple[int, int, int]:
    """Conflicts found rightly, found wrongly and missed in one half of the cases."""
    right = wrong = missed = 0
    for case in CASES:
        if case["half"] == half:
            made = contradiction(
                text(case["first"], case["language"]), text(case["second"], case["language"])
            )
            right += bool(made and made.kind == case["kind"])
            wrong += bool(made and made.kind != case["kind"])
            missed += bool(case["kind"] and not made)
    return right, wrong, missed


@pytest.mark.parametrize("half", sorted({case["half"] for case in CASES}))
def test_of_pairs_told_by_hand_almost_none_is_called_a_conflict_wrongly(half: str) -> None:
    right, wrong, missed = found(half)
    assert wrong <= 0.05 * (right + wrong)
    assert right >= 0.6 * (right + missed)


def test_a_pair_is_told_the_same_whichever_passage_comes_first() -> None:
    for case in CASES:
        one, other = (text(case[name], case["language"]) for name in ("first", "second"))
        there, back = contradiction(one, other), contradiction(other, one)
        assert (there and there.kind) == (back and back.kind), case


def test_sentences_far_apart_in_one_passage_may_conflict_and_rows_of_a_table_do_not() -> None:
    words = "The reset link in the email expires after 30 minutes. Look into the spam folder too. "
    words += "The reset link in the email expires after 24 hours."
    passage = Text("Password", words, "en")
    made = contradiction(passage, passage)
    assert made is not None
    assert (words[slice(*made.first)], made.first_says) == (words[:53], "30 minutes")
    assert made.second_says == "24 hours"
    rows = "Basic plan with support: 5 EUR\nBasic plan with support: 9 EUR"
    table = Text("Plans", rows, "en", (("row", 0, 30), ("row", 31, 61)))
    assert contradiction(table, table) is None
    assert (
        contradiction(Text("A", "We ship to Norway.", "en"), Text("A", "我们不送挪威。", "zh-hans")) is None
    )


def test_neighbours_are_found_block_by_block_and_only_for_those_who_ask() -> None:
    draw = np.random.default_rng(1)
    vecs = draw.normal(size=(700, 32)).astype(np.float32)
    vecs[650] = vecs[3] + 0.05
    vecs /= np.linalg.norm(vecs, axis=1, keepdims=True)
    owners = [n // 2 for n in range(700)]
    blocks: list[int] = []
    assert (1, 325) in near_owners(vecs, owners, least=0.9, most=4, alive=lambda: blocks.append(1))
    assert len(blocks) == 3
    assert near_owners(vecs, owners, frozenset({325}), least=0.9, most=4) == {(1, 325)}
    assert near_owners(vecs, owners, frozenset({7}), least=0.9, most=4) == set()
    assert near_owners(vecs[:0], [], least=0.9, most=4) == set()
    letters = by_letters(["退款在5天内到账。", "退款在10天内到账。", "我们不配送到新疆。"])
    assert letters[0] @ letters[1] > 0.9 > 0.3 > letters[0] @ letters[2]


@pytest.mark.django_db
def test_a_change_is_compared_with_all_and_a_dismissal_lasts_until_the_words_change() -> None:
    clock, base = Clock(), make_knowledge_base(returns_md=RETURNS)
    assert conflicts.waiting(NOON) == [base.pk]
    told = conflicts.compare(base, get_engine(), clock)
    assert told is not None
    assert (told.passages, told.found) == (2, 0)
    assert conflicts.waiting(NOON) == []
    clock.now += timedelta(days=1)
    _add(base, "faq.md", FAQ, clock)
    told = conflicts.compare(base, get_engine(), clock)
    assert told is not None
    assert (told.found, told.gone, told.open) == (2, 0, 2)
    figure = Conflict.objects.get(kind="figure")
    start, end = figure.evidence["first"]
    assert figure.first.text[start:end] == "You can send anything back within 30 days of delivery."
    assert figure.first_id < figure.second_id
    conflicts.decide(figure.pk, dismissed=True, who="rosa")
    clock.now += timedelta(days=1)
    _add(base, "faq.md", FAQ + b"\n# Other\n\nWe open at noon.\n", clock)
    told = conflicts.compare(base, get_engine(), clock)
    assert told is not None
    assert (told.found, told.gone, told.open) == (0, 0, 1)
    figure.refresh_from_db()
    assert (figure.state, figure.decided_by) == ("dismissed", "rosa")
    clock.now += timedelta(days=1)
    _add(base, "faq.md", FAQ.replace(b"14 days", b"21 days").replace(b"do not ship", b"ship"), clock)
    told = conflicts.compare(base, get_engine(), clock)
    assert told is not None
    assert (told.found, told.gone, told.open) == (1, 2, 1)
    again = Conflict.objects.get()
    assert (again.state, again.evidence["second_says"]) == ("open", "21 days")
    with pytest.raises(NotFound):
        conflicts.decide(figure.pk, dismissed=True, who="rosa")
    knowledge.remove(base.documents.get(filename="faq.md"), clock.now)
    assert not conflicts.in_question(base).exists()
    conflicts.compare(base, get_engine(), clock)
    assert not Conflict.objects.exists()


@pytest.mark.django_db
def test_one_worker_compares_at_a_time_and_one_that_died_or_failed_is_followed(engine: FakeEngine) -> None:
    clock, base = Clock(), make_knowledge_base(returns_md=RETURNS, faq_md=FAQ)
    KnowledgeBase.objects.update(comparing_at=NOON - timedelta(seconds=5))
    assert conflicts.waiting(NOON) == []
    assert conflicts.compare(base, engine, clock) is None
    KnowledgeBase.objects.update(comparing_at=NOON - timedelta(minutes=5))
    engine.fail_with = Unavailable("the engine is down")
    Passage.objects.update(language="zh-hans")  # so that the encoder is asked whether it reads it
    with pytest.raises(Unavailable):
        conflicts.compare(base, FakeEngine(version="never-asked", fail_with=Unavailable("down")), clock)
    Passage.objects.update(language="en")
    assert conflicts.waiting(NOON) == [base.pk]
    engine.fail_with = None
    told = conflicts.compare(base, engine, clock)
    assert told is not None
    assert told.open == 2
    assert conflicts.ask_again(base) == 1
    assert conflicts.waiting(NOON) == [base.pk]
    Document.objects.update(state=Document.State.QUEUED)
    assert conflicts.waiting(NOON) == []


@pytest.mark.django_db
def test_the_sample_companys_pages_raise_no_alarm_and_a_changed_figure_does() -> None:
    base = KnowledgeBase.objects.create(name="Sample")
    for path in sorted((SAMPLE / "knowledge").iterdir()):
        if path.name != "questions.jsonl":
            add_document(base, path.name, path.read_bytes())
    told = conflicts.compare(base, get_engine(), Clock())
    assert told is not None
    assert (told.open, told.passages > 150) == (0, True)
    changed = "收到货后三天内可以退货。\n".encode()
    zh = Passage.objects.filter(language__startswith="zh", text__contains="退货").exists()
    assert zh
    add_document(base, "a.md", b"# Returns\n\nParcels wait in the locker for 3 days.\n\n" + changed)
    add_document(base, "b.md", b"# Returns\n\nParcels wait in the locker for 9 days.\n")
    add_document(base, "c.md", "# 储物柜\n\n包裹在储物柜保留3天。\n".encode())
    add_document(base, "d.md", "# 储物柜\n\n包裹在储物柜保留9天。\n".encode())
    told = conflicts.compare(base, get_engine(), Clock())
    assert told is not None
    assert told.open == 2


def _add(base: KnowledgeBase, filename: str, data: bytes, clock: Clock) -> None:
    """Upload a file; it is read at the clock's time."""
    document = add_document(base, filename, data)
    Document.objects.filter(pk=document.pk).update(ingested_at=clock.now)


def test_paths_and_commands_contradict_nothing() -> None:
    listing = "pool/non-free-firmware/f/\npool/non-free-firmware/f/firmware-nonfree/"
    passage = Text("The archive", listing, "en")
    assert contradiction(passage, passage) is None
