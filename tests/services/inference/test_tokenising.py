"""Texts to token ids with the default encoder's own tokenizer."""

from __future__ import annotations

import pytest

from services.inference.conf import DEFAULT_ENCODER
from services.inference.encoder_files import find_encoder
from services.inference.tokenising import Tokeniser


@pytest.fixture(scope="module")
def tokenise(model_cache):  # type: ignore[no-untyped-def]
    files = find_encoder(DEFAULT_ENCODER, model_cache)
    return Tokeniser(files.folder / "tokenizer.json", files.max_tokens)


def test_a_text_is_framed_by_the_special_tokens(tokenise: Tokeniser) -> None:
    assert tokenise(["hello"]) == [[101, 7592, 102]]


def test_the_empty_text_is_the_frame_alone(tokenise: Tokeniser) -> None:
    assert tokenise([""]) == [[101, 102]]


def test_the_file_s_own_padding_and_shorter_limit_do_not_count(tokenise: Tokeniser) -> None:
    lengths = [len(ids) for ids in tokenise(["one", "word " * 200, "word " * 900])]
    assert lengths == [3, 202, 256]


def test_a_huge_text_gives_the_same_ids_as_its_beginning(tokenise: Tokeniser) -> None:
    text = "customers ask about refunds, invoices and late parcels. " * 20_000
    assert tokenise([text]) == tokenise([text[:4000]])


def test_words_after_a_sea_of_blanks_are_still_read(tokenise: Tokeniser) -> None:
    assert tokenise([" " * 300_000 + "hello"]) == [[101, 7592, 102]]


def test_half_a_surrogate_pair_is_read_as_a_question_mark(tokenise: Tokeniser) -> None:
    assert tokenise(["fine", "a \ud83d b"]) == tokenise(["fine", "a ? b"])


def test_lowercasing_is_done_where_the_encoder_asks_for_it(tokenise: Tokeniser, model_cache) -> None:  # type: ignore[no-untyped-def]
    files = find_encoder(DEFAULT_ENCODER, model_cache)
    lower = Tokeniser(files.folder / "tokenizer.json", 16, lowercase=True)
    assert lower(["HeLLo"]) == [[101, 7592, 102]]
    assert lower.pad_id == 0
