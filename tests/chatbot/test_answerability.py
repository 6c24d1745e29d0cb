"""Whether to answer at all: how sure, and what is done at that."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.answerability import (
    DOCUMENTS,
    FAQ,
    SIGNS,
    Borders,
    fit,
    is_entry,
    judge,
    one_each,
    reliability,
    signs,
    zones,
)
from chatbot.calibration import Pieces, calibrated


@dataclass(frozen=True)
class Hit:
    """A passage as the search found it."""

    score: float
    dense: float
    lexical: float
    entry: int = 0


FAR = [Hit(0.9, 0.95, 0.8), Hit(0.4, 0.4, 0.2), Hit(0.38, 0.4, 0.1)]
UNSURE = [Hit(0.55, 0.65, 0.4), Hit(0.49, 0.55, 0.3), Hit(0.47, 0.5, 0.3)]
NOTHING = [Hit(0.1, 0.15, 0.0), Hit(0.09, 0.15, 0.0)]


@pytest.mark.parametrize("is_faq", [True, False])
def test_a_clear_hit_is_answered_an_unclear_one_offered_and_nothing_is_refused(is_faq: bool) -> None:
    zone = [judge(found, is_faq, Borders(), 0.5).zone for found in (FAR, UNSURE, NOTHING)]
    assert zone == ["answer", "offer", "refuse"]


def test_an_empty_knowledge_base_refuses_always() -> None:
    for care in (0.0, 0.5, 1.0):
        told = judge([], True, Borders(), care)
        assert (told.probability, told.zone) == (0.0, "refuse")


def test_without_meaning_words_alone_decide() -> None:
    with_words, without = [Hit(0.4, 0.0, 0.4)], [Hit(0.02, 0.0, 0.02)]
    assert judge(with_words, False, Borders(), 0.5).zone == "answer"
    assert judge(without, False, Borders(), 0.5).zone == "refuse"


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_care_never_answers_more(one: float, other: float) -> None:
    less, more = zones(min(one, other)), zones(max(one, other))
    assert less.answer <= more.answer
    assert less.offer <= more.offer
    assert less.offer < less.answer


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=8), st.booleans())
def test_whatever_was_found_the_probability_is_one(rows: list[tuple[float, ...]], is_faq: bool) -> None:
    told = judge([Hit(*row) for row in sorted(rows, reverse=True)], is_faq, Borders(), 0.5)
    assert 0 <= told.probability <= 1
    json.dumps(told.trace(), allow_nan=False)


def test_a_nearer_passage_is_never_less_likely() -> None:
    told = [
        judge([Hit(score, score, 0.3), Hit(0.3, 0.3, 0.2)], False, Borders(), 0.5).probability
        for score in np.linspace(0.3, 1.0, 20)
    ]
    assert told == sorted(told)


def test_parts_of_one_entry_are_not_each_others_rivals() -> None:
    parts = [Hit(0.9, 0.9, 0.5, 1), Hit(0.89, 0.9, 0.5, 1), Hit(0.3, 0.3, 0.1, 2)]
    alone = one_each(parts, lambda hit: hit.entry)
    assert [hit.entry for hit in alone] == [1, 2]
    assert judge(alone, True, Borders(), 0.5).probability > judge(parts, True, Borders(), 0.5).probability


def test_a_question_heads_an_entry_and_other_headings_do_not() -> None:
    assert is_entry("Returns › How long do refunds take?")
    assert is_entry("退款多久到账？")
    assert is_entry("Refunds", ["when is my money back"])
    assert not is_entry("Returns › Refunds")


def test_a_single_passage_has_no_margin_and_still_a_probability() -> None:
    seen = signs([Hit(0.8, 0.9, 0.5)])
    assert np.isnan(seen[SIGNS.index("margin")])
    assert 0 < FAQ.probability(seen)[0] < 1


def test_own_cases_move_the_border_and_few_move_it_little() -> None:
    rng = np.random.default_rng(0)
    cases = rng.random((400, len(SIGNS))).astype(np.float32)
    right = cases[:, SIGNS.index("agree")] > 0.5
    many, few = fit(cases, right, FAQ), fit(cases[:8], right[:8], FAQ)
    agree = SIGNS.index("agree")
    assert many.weights[agree] > few.weights[agree] > FAQ.weights[agree]
    assert few.weights[agree] - FAQ.weights[agree] < 0.5
    assert many.cases == 400
    assert fit(cases, np.ones(400, bool), FAQ) is FAQ


def test_borders_are_kept_as_json_and_anything_else_gives_those_of_the_product() -> None:
    own = Borders(faq=fit(np.eye(6, dtype=np.float32), np.arange(6) % 2 == 0, FAQ))
    assert Borders.from_json(json.loads(json.dumps(own.as_json()))) == own
    assert Borders.from_json({"faq": 3}) == Borders()
    assert Borders().documents is DOCUMENTS


def test_a_reliability_curve_counts_every_case_once() -> None:
    probs = np.array([0.05, 0.05, 0.95, 1.0], np.float32)
    curve = reliability(probs, np.array([False, True, True, True]))
    assert [n for _, _, n in curve] == [2, 2]
    assert curve[0][1] == 0.5


def pieces_with_variants(n: int = 40) -> Pieces:
    """Entries with three variants each, near their title in every other direction."""
    rng = np.random.default_rng(1)
    kinds, owners, texts, vecs = [], [], [], []
    for entry in range(n):
        centre = rng.normal(size=24)
        for place, kind in enumerate(("title", "body", "variant", "variant", "variant")):
            vec = centre + rng.normal(size=24) * (0.2 if kind != "variant" else 0.6)
            kinds.append(kind)
            owners.append(entry)
            texts.append(f"word{entry} thing{place}")
            vecs.append(vec / np.linalg.norm(vec))
    return Pieces(list(range(len(kinds))), owners, kinds, texts, np.array(vecs, np.float32))


def test_a_knowledge_base_is_calibrated_on_its_own_variants() -> None:
    borders = calibrated(pieces_with_variants(), None)
    assert borders.faq.cases > 50
    assert sum(n for _, _, n in borders.faq.curve) == borders.faq.cases
    low, high = borders.faq.curve[0], borders.faq.curve[-1]
    assert low[1] < 0.5 < high[1]
    assert borders.documents == DOCUMENTS
    assert calibrated(pieces_with_variants(), None) == borders


def test_without_variants_the_borders_of_the_product_stay() -> None:
    whole = pieces_with_variants(5)
    rows = np.array([at for at, kind in enumerate(whole.kinds) if kind != "variant"])
    assert calibrated(whole.some(rows), None) == Borders()
