"""A text towards a company is another input than the text as a whole, whatever the company is called."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from services.inference.fake import FakeEngine
from services.inference.features import Features, HashSpace, featurise
from services.inference.values import Pair

SPACE = HashSpace(words=4096, pieces=2048, around=4096)
DIM = 32


def row(*pairs: Pair) -> Features:
    return featurise(pairs, FakeEngine(dim=DIM).embed, SPACE)


def same(a: Features, b: Features) -> bool:
    return bool(np.array_equal(a.dense, b.dense)) and (a.hashed != b.hashed).nnz == 0


def test_the_names_of_companies_do_not_matter_and_their_places_do() -> None:
    one = row(("Acme plunges while Borealis soars", "Acme"))
    renamed = row(("Stena plunges while Borealis soars", "Stena"))
    other = row(("Acme plunges while Borealis soars", "Borealis"))
    assert same(one, renamed)
    assert not same(one, other)


@pytest.mark.parametrize(
    ("text", "company"),
    [
        ("acme's shares dip", "Acme"),
        ("ACME shares dip", "Acme"),
        ("Acme’s  shares\tdip https://t.example/1", "Acme"),
        ("$ACM shares dip", "$ACM"),
        ("A+B (Holdings) shares dip", "A+B (Holdings)"),
        ("Two Words shares dip", "Two  Words"),
    ],
)
def test_a_company_is_found_in_any_spelling_of_its_name(text: str, company: str) -> None:
    assert same(row((text, company)), row(("Acme shares dip", "Acme")))


def test_a_company_the_text_does_not_name_leaves_the_text_unmarked() -> None:
    found = row(("Shares dip", "Acme"))
    assert found.dense[0, -1] == 1
    np.testing.assert_array_equal(found.dense[0, :DIM], row(("Shares dip", None)).dense[0, :DIM])
    assert np.isfinite(row(("Shares dip", "")).dense).all()


def test_a_whole_text_has_nothing_about_a_company() -> None:
    found = row(("Acme plunges", None))
    assert not found.dense[0, DIM:].any()
    assert found.hashed.indices.max() < SPACE.words + SPACE.pieces


def test_numbers_tickers_and_links_are_alike_and_signs_are_not() -> None:
    assert same(row(("$ACM up 3.5%", None)), row(("$BOR up 17% https://t.example/2", None))) is False
    words = SPACE.words + SPACE.pieces
    up, other = row(("$ACM moves 3.5%", None)), row(("$BOR moves 17%", None))
    assert (up.hashed != other.hashed).nnz == 0
    down = row(("$ACM moves -3.5%", None))
    assert (up.hashed[:, :words] != down.hashed[:, :words]).nnz > 0


def test_each_block_of_a_row_has_length_one() -> None:
    found = row(("Acme plunges as costs rise", "Acme")).hashed
    edges = (0, SPACE.words, SPACE.words + SPACE.pieces, SPACE.size)
    for start, end in pairwise(edges):
        assert np.sqrt(found[:, start:end].multiply(found[:, start:end]).sum()) == pytest.approx(1, rel=1e-5)


def test_each_wording_is_embedded_once() -> None:
    engine = FakeEngine(dim=DIM)
    featurise([("Acme dips", "Acme"), ("Stena dips", "Stena"), ("Acme dips", None)] * 5, engine.embed, SPACE)
    assert engine.calls == 2


@pytest.mark.parametrize("text", ["", " ", "!!!", "贵州茅台上涨", "🙂", "a" * 10_000, "\u0000"])
def test_any_text_has_finite_features(text: str) -> None:
    found = row((text, None), (text, "Acme"))
    assert np.isfinite(found.dense).all()
    assert np.isfinite(found.hashed.data).all()
