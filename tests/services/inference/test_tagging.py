"""Logits to entities, over a real tokenizer: words in pieces, long texts in windows, any script."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.conf import DEFAULT_ENCODER
from services.inference.encoder_files import find_encoder
from services.inference.tagging import entities
from services.inference.tokenising import Tokeniser, Window
from services.inference.values import Entity

LABELS = ("O", "B-ORG", "I-ORG", "B-PER", "I-PER")
Span = tuple[int, int, str]


def _tokeniser(max_tokens: int) -> Tokeniser:
    folder = find_encoder(DEFAULT_ENCODER, Path(tempfile.gettempdir())).folder
    return Tokeniser(folder / "tokenizer.json", max_tokens, lowercase=True)


WHOLE, SHORT = _tokeniser(256), _tokeniser(16)


def _logits(window: Window, spans: Sequence[Span], sure: float = 8.0) -> np.ndarray:
    """What a tagger that knows the spans would say: B- where one begins, I- further on."""
    found = np.zeros((len(window.ids), len(LABELS)), np.float32)
    for at, (start, end) in enumerate(window.offsets):
        label = "O"
        for first, last, kind in spans:
            if start < end and first <= start < last:
                label = f"B-{kind}" if start == first else f"I-{kind}"
        found[at, LABELS.index(label)] = sure
    return found


def _found(texts: Sequence[str], spans: Sequence[Sequence[Span]], tokenise: Tokeniser = WHOLE) -> list[list]:
    windows = tokenise.windows(texts)
    logits = [_logits(window, spans[window.row]) for window in windows]
    rows = entities(len(texts), windows, logits, LABELS, 1.0)
    return [[(one.start, one.end, one.label) for one in row] for row in rows]


def _spans(text: str, *named: tuple[str, str]) -> list[Span]:
    return [(text.index(name), text.index(name) + len(name), kind) for name, kind in named]


def test_words_that_follow_one_another_are_one_entity() -> None:
    text = "Mona Lindqvist left Borealis Air Freight on Monday."
    spans = _spans(text, ("Mona Lindqvist", "PER"), ("Borealis Air Freight", "ORG"))
    assert _found([text], [spans]) == [spans]


def test_a_b_begins_another_entity_right_behind_one_of_its_kind() -> None:
    text = "Acme Borealis"
    assert _found([text], [[(0, 4, "ORG"), (5, 13, "ORG")]]) == [[(0, 4, "ORG"), (5, 13, "ORG")]]
    assert _found([text], [[(0, 13, "ORG")]]) == [[(0, 13, "ORG")]]


def test_an_i_without_its_b_begins_an_entity_and_a_change_of_kind_another() -> None:
    words = ["O", "I-ORG", "I-PER", "O", "I-PER"]
    window = Window(
        0, [101, 1, 2, 3, 4, 5, 102], [(0, 0), *((2 * n, 2 * n + 1) for n in range(5)), (0, 0)],
        [None, 0, 1, 2, 3, 4, None],
    )  # fmt: skip
    logits = np.zeros((7, len(LABELS)), np.float32)
    for at, label in enumerate(words):
        logits[at + 1, LABELS.index(label)] = 5.0
    (found,) = entities(1, [window], [logits], LABELS, 1.0)
    assert [(one.start, one.end, one.label) for one in found] == [
        (2, 3, "ORG"),
        (4, 5, "PER"),
        (8, 9, "PER"),
    ]


def test_a_word_in_pieces_is_whole_and_has_the_label_of_its_first_piece() -> None:
    text = "Shares of Xylophonquistergroup fell"
    (window,) = WHOLE.windows([text])
    logits = np.zeros((len(window.ids), len(LABELS)), np.float32)
    logits[:, 0] = 8.0
    at = next(at for at, (start, _) in enumerate(window.offsets) if start == text.index("Xylo"))
    logits[at] = [0, 8.0, 0, 0, 0]
    logits[at + 1] = [0, 0, 0, 8.0, 0]
    (found,) = entities(1, [window], [logits], LABELS, 1.0)
    assert [text[one.start : one.end] for one in found] == ["Xylophonquistergroup"]
    assert found[0].label == "ORG"


def test_labels_without_a_prefix_join_words_too() -> None:
    (window,) = WHOLE.windows(["Blue Air rose"])
    logits = np.array([[8, 0], [0, 8], [0, 8], [8, 0], [8, 0]], np.float32)
    (found,) = entities(1, [window], [logits], ("O", "ORG"), 1.0)
    assert [(one.start, one.end, one.label) for one in found] == [(0, 8, "ORG")]


@pytest.mark.parametrize(
    "text",
    [
        "🙂🚀 Borealis 🙂 rose",
        "央行与Borealis周二会谈",
        "🇸🇪👩‍👩‍👧 naïve café: Borealis — “up”",
        "\u200bBorealis\n\t",
    ],
)
def test_offsets_are_characters_as_python_counts_them(text: str) -> None:
    spans = _spans(text, ("Borealis", "ORG"))
    ((found,),) = _found([text], [spans])
    assert text[found[0] : found[1]] == "Borealis"


def test_chinese_names_are_found_character_by_character() -> None:
    text = "周二，北极货运公司与王小明会谈。"
    spans = _spans(text, ("北极货运公司", "ORG"), ("王小明", "PER"))
    assert _found([text], [spans]) == [spans]


def test_texts_without_words_have_no_entities_and_keep_their_place() -> None:
    texts = ["", "Acme rose", " \n", "🙂"]
    assert _found(texts, [[], [(0, 4, "ORG")], [], []]) == [[], [(0, 4, "ORG")], [], []]
    assert entities(0, [], [], LABELS, 1.0) == ()


def test_a_long_text_in_windows_reads_as_it_would_in_one_piece() -> None:
    text = "On Monday Mona Lind of Borealis Air Freight met Acme and the bank in town " * 12
    spans = [
        (at + text.index(name), at + text.index(name) + len(name), kind)
        for at in range(0, len(text), len(text) // 12)
        for name, kind in (("Mona Lind", "PER"), ("Borealis Air Freight", "ORG"), ("Acme", "ORG"))
    ]
    assert len(SHORT.windows([text])) > 10
    assert _found([text], [spans], SHORT) == [spans]


def test_a_word_two_windows_read_is_taken_from_the_one_it_lies_deeper_in() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen Acme fifteen sixteen"
    windows = SHORT.windows([text])
    start = text.index("Acme")
    holds = [window for window in windows if any(begin == start for begin, _ in window.offsets)]
    assert len(holds) == 2
    logits = []
    for window in windows:
        at = next((at for at, (begin, _) in enumerate(window.offsets) if begin == start), None)
        deep = at is not None and min(at, len(window.ids) - 1 - at) > 1
        logits.append(_logits(window, [(start, start + 4, "ORG")] if deep else []))
    (found,) = entities(1, windows, logits, LABELS, 1.0)
    assert [(one.start, one.end) for one in found] == [(start, start + 4)]


def test_the_score_is_the_mean_over_the_words_and_temperature_softens_it() -> None:
    text = "Acme Air"
    windows = WHOLE.windows([text])
    logits = [_logits(windows[0], [(0, 8, "ORG")], sure=3.0)]
    (sharp,), (soft,) = (entities(1, windows, logits, LABELS, t)[0] for t in (1.0, 2.0))
    assert isinstance(sharp, Entity)
    assert sharp.score == pytest.approx(np.exp(3) / (np.exp(3) + 4), abs=1e-5)
    assert soft.score == pytest.approx(np.exp(1.5) / (np.exp(1.5) + 4), abs=1e-5)


WORDS = ("rose", "the", "air", "blue", "Xylophonquistergroup", "Borealis", "naïve", "🙂", "，", "货", "7.3%")


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["", "", "ORG", "PER"])), max_size=40))
def test_in_windows_of_any_cut_the_spans_come_back_whole(words: list[tuple[str, str]]) -> None:
    text, spans = "", []
    for word, kind in words:
        if kind and word.isalpha():
            spans.append((len(text), len(text) + len(word), kind))
        text += f"{word} "
    assert _found([text], [spans]) == [spans]
    assert _found([text], [spans], SHORT) == [spans]
