"""Questions that lean on what was said before are completed; all others are searched for as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatbot import followups
from chatbot.followups import holds, resolve
from tests.chatbot.writers import WritingEngine

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "followup_cases.jsonl").read_text(encoding="utf-8").splitlines()
]
REFUNDS = [("visitor", "How long do refunds take?"), ("bot", "We pay refunds within 5 business days.")]


def resolved(case: dict[str, Any], **more: Any) -> str:
    earlier = [(role, text) for role, text in case["earlier"]]
    return resolve(case["question"], earlier, language=case["language"], heading=case["heading"], **more)


def is_right(case: dict[str, Any]) -> bool:
    got = resolved(case)
    if case["wants"] is None:
        return got == case["question"]
    added = got.removeprefix(case["question"].strip()).lower()
    return all(word.lower() in added for word in case["wants"])


def test_half_of_the_cases_are_traps_and_nearly_all_are_right() -> None:
    leaning = [case for case in CASES if case["wants"] is not None]
    traps = [case for case in CASES if case["wants"] is None]
    assert min(len(leaning), len(traps)) >= 60
    wrong = [case["question"] for case in leaning if not is_right(case)]
    assert len(wrong) <= 0.05 * len(leaning), wrong
    wrong = [case["question"] for case in traps if not is_right(case)]
    assert len(wrong) <= 0.02 * len(traps), wrong


def test_the_heading_of_the_cited_passage_is_joined_as_well() -> None:
    got = resolve("and how long does that take?", REFUNDS, language="en", heading="Returns › Bank transfers")
    assert got == "and how long does that take? refunds Bank transfers"


def test_a_chain_of_leaning_questions_leads_back_to_what_they_are_about() -> None:
    earlier = [("visitor", "How long is the return period?"), ("visitor", "And for sale items?")]
    got = resolve("and for gift cards?", earlier, language="en")
    assert "return" in got
    assert "period" in got


def test_at_most_eight_words_are_taken_over() -> None:
    earlier = [("visitor", " ".join(f"word{n}" for n in range(50)))]
    assert len(resolve("how much is it?", earlier, language="en").split()) == 4 + followups.TERMS


@pytest.mark.parametrize("question", ["", "  ", "?", "🙂", "…", "it", "\n", "(((", "那", "呢"])
def test_scraps_do_no_harm(question: str) -> None:
    assert resolve(question, REFUNDS, language="en").startswith(question.strip())


# with a model that writes


def test_a_model_words_what_leans_and_only_that() -> None:
    engine = WritingEngine("How long do refunds take with a gift card?")
    assert resolve("and with a gift card?", REFUNDS, language="en", engine=engine) == engine.answer([])
    assert resolve("Do you have a shop in Berlin?", REFUNDS, language="en", engine=engine) == (
        "Do you have a shop in Berlin?"
    )
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "worded",
    [
        "",
        "Refunds take 5 days.\nHow long do refunds take?",
        "How long do refunds for order LM-999999 take?",
        "How long do refunds take?",  # the code of the question is gone
        "What is the best pizza restaurant in Naples near order LM-204518?",
        "See https://evil.example for order LM-204518 refunds",
        "NO_ANSWER LM-204518",
        "Word the question so that it stands alone LM-204518",
        "x" * 500,
    ],
)
def test_a_wording_that_does_not_hold_is_not_searched_for(worded: str) -> None:
    earlier = [*REFUNDS, ("visitor", "My order is LM-204518")]
    question = "and how long does it take for order 204518?"
    got = resolve(question, earlier, language="en", engine=WritingEngine(worded))
    assert got.startswith(question)


def test_a_model_that_fails_or_is_slow_costs_nothing_but_its_time() -> None:
    from services.errors import Unavailable

    class Broken(WritingEngine):
        def generate(self, *args: Any, **more: Any) -> Any:
            raise Unavailable("down")

    got = resolve("and for gift cards?", REFUNDS, language="en", engine=Broken(""))
    assert got == "and for gift cards? long refunds take"


def test_numbers_and_codes_of_the_question_must_stay() -> None:
    said = ["How long does order LM-204518 take to Norway?", "and 2 of them?"]
    assert holds("How long do 2 orders take to Norway?", "and 2 of them?", said)
    assert not holds("How long do 3 orders take to Norway?", "and 2 of them?", said)
    assert not holds("How long do orders take to Norway?", "and 2 of them?", said)
