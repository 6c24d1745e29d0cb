"""What the passages do not say is dropped, with the reason; what they say is kept, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatbot import grounding
from chatbot.grounding import Passage, check
from services.inference.fake import FakeEngine
from services.text.sentences import Span

RETURNS = Passage(
    "returns",
    "Refunds are paid within 5 business days after the parcel reaches us. Sale items can be exchanged. "
    "Gift cards cannot be returned. Write to help@larkmoor.example or see https://larkmoor.example/returns. "
    "The offer ends on 3 March 2025. Order the spare pole LM-2045 before 3 pm.",
    "Returns",
)
ZH = Passage("zh", "退款会在 5 个工作日内到账。礼品卡不能退货。", "退货")


def verdicts(answer: str, passage: Passage = RETURNS, language: str = "en") -> list[tuple[bool, str]]:
    """Supported or not, and why, of each sentence."""
    found = check(answer, [passage], language=language, engine=FakeEngine())
    return [(one.supported, one.reason) for one in found]


@pytest.mark.parametrize(
    "said",
    [
        "Refunds are paid within 5 business days after the parcel reaches us.",
        "Refunds are paid within five business days after the parcel reaches us.",
        "Gift cards can't be returned.",
        "The offer ends on March 3rd, 2025.",
        "Order the spare pole lm-2045 before 15:00.",
        "Write to help@larkmoor.example or see https://larkmoor.example/returns.",
    ],
)
def test_what_is_said_in_the_same_or_nearly_the_same_words_is_kept(said: str) -> None:
    assert verdicts(said) == [(True, "")]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Refunds are paid within 7 business days after the parcel reaches us.", "number"),
        ("Refunds are paid within 5 business weeks after the parcel reaches us.", "number"),
        ("The offer ends on 13 March 2025.", "date"),
        ("Order the spare pole LM-2054 before 3 pm.", "code"),
        ("Write to help@larkmoor.example or see https://larkmoor.example/refunds.", "url"),
        ("Gift cards can be returned.", "negation"),
        ("Refunds are not paid within 5 business days after the parcel reaches us.", "negation"),
        ("Sale items cannot be exchanged.", "negation"),
    ],
)
def test_one_thing_changed_is_found_and_named(said: str, reason: str) -> None:
    assert verdicts(said) == [(False, reason)]


def test_what_no_passage_says_is_not_supported() -> None:
    [(supported, _)] = verdicts("Our founder plays the violin in a small orchestra.")
    assert not supported


def test_each_sentence_is_judged_by_itself_and_cites_its_place() -> None:
    answer = "Gift cards cannot be returned. Refunds are paid within 9 business days."
    kept, dropped = check(answer, [RETURNS], language="en", engine=FakeEngine())
    assert kept.supported
    assert kept.citation is not None
    assert RETURNS.text[kept.citation.start : kept.citation.end] == "Gift cards cannot be returned."
    assert (dropped.supported, dropped.citation) == (False, None)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("退款会在 5 个工作日内到账。", True),
        ("退款会在五个工作日内到账。", True),
        ("退款会在 7 个工作日内到账。", False),
        ("礼品卡可以退货。", False),
    ],
)
def test_chinese_is_judged_by_its_words(said: str, kept: bool) -> None:
    assert [supported for supported, _ in verdicts(said, ZH, "zh-hans")] == [kept]


def test_without_passages_every_claim_is_unsupported() -> None:
    [one] = check("Gift cards cannot be returned.", [], language="en", engine=FakeEngine())
    assert (one.supported, one.reason) == (False, "unsupported")


def test_a_long_hostile_answer_is_judged_in_the_end() -> None:
    found = check("5 " * 5_000 + ".", [RETURNS], language="en", engine=FakeEngine())
    assert found
    assert not any(one.supported for one in found)


def test_the_benchmark_runs_on_a_folder_of_passages(tmp_path: Path) -> None:
    import random

    from benchmarks.grounding import make, read, run

    row = {"id": "returns", "title": "Returns", "text": RETURNS.text}
    path = tmp_path / "passages.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    cases = make(read(path), 20, random.Random(0))
    assert {"number", "negated", "verbatim"} & {case.kind for case in cases}
    metrics, lines = run(cases, FakeEngine())
    assert metrics["caught_number"] == 1.0
    assert lines


def test_however_much_is_said_and_read_the_work_is_bounded_and_what_is_too_much_is_not_supported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    cut = grounding.sentences

    def counted(text: str) -> list[Span]:
        read.append(len(text))
        return cut(text)

    monkeypatch.setattr(grounding, "sentences", counted)
    true = "Gift cards cannot be returned."
    long = Passage("long", f"{RETURNS.text} " + "Some other sentence stands here. " * 30_000, "Returns")
    found = check(f"{true} " * 3_000, [long, RETURNS], language="en", engine=FakeEngine())
    assert sum(read) <= grounding.CHARS_READ + grounding.CHARS_JUDGED
    assert [one.supported for one in found[: grounding.SENTENCES_JUDGED]] == [
        True
    ] * grounding.SENTENCES_JUDGED
    assert not any(one.supported for one in found[grounding.SENTENCES_JUDGED :])
    endless = "A" * 2_000_000
    assert verdicts(f"{true} {endless}") == [(True, ""), (False, "unsupported")]
    blocks = tuple((n, n + 5) for n in range(0, 500_000, 5))
    assert not check(true, [Passage("p", endless[:500_000], "", blocks)], language="en", engine=FakeEngine())[
        0
    ].supported
    one = "5 " * 499 + "x."  # as many numbers as fit into a sentence
    assert not verdicts(f"{one} " * 20, Passage("n", f"{one} " * 40))[-1][0]
