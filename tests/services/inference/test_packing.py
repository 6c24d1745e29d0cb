"""Texts that share rows: laid out without loss, read back as if each had been alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.local import LocalEngine
from services.inference.runtimes import PackingRefused
from services.inference.runtimes.packing import PACKED_UP_TO, STRIDE, pack, pooled, unpacked
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.tiny_models import make_model

LENGTHS = st.lists(st.integers(1, 80), min_size=1, max_size=40)


def _texts(lengths: list[int]) -> list[list[int]]:
    return [list(range(row * 1000 + 1, row * 1000 + 1 + length)) for row, length in enumerate(lengths)]


@given(LENGTHS)
def test_every_token_has_its_place_and_no_two_texts_share_one(lengths: list[int]) -> None:
    texts = _texts(lengths)
    packed = pack(texts, 0, 256)
    flat, places = packed.ids.ravel(), packed.places.ravel()
    for text, start, length in zip(texts, packed.starts, packed.lengths, strict=True):
        assert flat[start : start + length].tolist() == text
        numbers, positions = np.divmod(places[start : start + length], STRIDE)
        assert positions.tolist() == list(range(length))
        assert len(set(numbers.tolist())) == 1
        assert numbers[0] > 0
    assert (places > 0).sum() == sum(lengths)
    assert np.all(flat[places == 0] == 0)
    for row in packed.places:  # the texts of a row have numbers of their own
        numbers = row[row > 0] // STRIDE
        assert len(set(numbers.tolist())) == sum(row[row > 0] % STRIDE == 0)


def test_short_texts_fill_rows_and_long_ones_have_their_own() -> None:
    assert pack(_texts([16] * 8), 0, 256).ids.shape == (2, PACKED_UP_TO)
    assert pack(_texts([200, 150]), 0, 256).ids.shape == (2, 208)
    assert pack(_texts([9]), 0, 256).ids.shape == (1, 32)
    assert pack(_texts([9, 9]), 0, 256).ids.shape == (1, 32)
    assert pack(_texts([250]), 0, 250).ids.shape == (1, 250)


def test_states_are_read_back_by_text() -> None:
    packed = pack(_texts([3, 60, 5]), 0, 256)
    rng = np.random.default_rng(0)
    states = rng.normal(size=(*packed.ids.shape, 4)).astype(np.float32)
    flat = states.reshape(-1, 4)
    own = [flat[start : start + n] for start, n in zip(packed.starts, packed.lengths, strict=True)]
    means = np.stack([part.mean(axis=0) for part in own])
    firsts = np.stack([part[0] for part in own])
    for how, expected in (("mean", means), ("cls", firsts)):
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(pooled(states, packed, how), expected, atol=1e-5)
    for part, found in zip(own, unpacked(states, packed), strict=True):
        np.testing.assert_allclose(found, part / np.linalg.norm(part, axis=1, keepdims=True), atol=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_any_company(local_engine: LocalEngine) -> None:
    texts = [f"parcel {n} " + "is late again " * (n % 12) for n in range(90)]
    together = local_engine.embed(texts)
    alone = np.concatenate([local_engine.embed([text]) for text in texts[:30]])
    assert float(np.sum(together[:30] * alone, axis=1).min()) > 0.999


def test_a_model_whose_positions_are_not_embedded_is_served_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.inference.runtimes import torch as torch_runtime

    def refuse(self: Any, encoder: Any) -> None:
        raise PackingRefused("texts in one row change one another's answers")

    folder = make_model(tmp_path / "plain", "Model", ["unused"])
    packed = LocalEngine(cpu_settings(tmp_path / "one", encoder=str(folder)))
    monkeypatch.setattr(torch_runtime.PackedStates, "_require_same", refuse)
    plain = LocalEngine(cpu_settings(tmp_path / "two", encoder=str(folder)))
    texts = ["the parcel is late", "Acme raised its forecast in Rome", "a"]
    try:
        assert float(np.sum(packed.embed(texts) * plain.embed(texts), axis=1).min()) > 0.999
        kept = {path.name.rsplit("-", 1)[1] for path in (tmp_path / "two").iterdir() if "-" in path.name}
        assert kept == {"ov2", "ov2.unpackable"}
        assert not any("packed" in path.name for path in (tmp_path / "two").iterdir())
    finally:
        packed.close()
        plain.close()
