"""The engine as it is served, with the real default encoder."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.errors import DeadlineExceeded, ModelUnavailable, Overloaded, Unavailable
from services.inference import current, local, serving
from services.inference.conf import DEFAULT_ENCODER, InferenceSettings
from services.inference.encoder_files import find_encoder
from services.inference.loading import LoadedEncoder, load_encoder
from services.inference.local import LocalEngine
from services.inference.values import Priority, Vectors
from tests.services.inference.conftest import cpu_settings

TEXTS = [
    "",
    " ",
    "Where is my parcel?",
    "Where is my parcel? It was due on Monday and nobody answers the phone.",
    "I was charged twice for the same order.",
    "The company cut its outlook for the year after weak sales in March.",
    "Shares of the airline fell 7.3 % to $41.20 on Tuesday.",
    "UPPER CASE AND lower case",
    "naïve café — “quotes” and … dots",
    "我的包裹在哪里？",
    "央行周二意外下调利率25个基点。",
    "日本語の文章も受け付けます。",
    "Пожалуйста, верните мои деньги",
    "emoji 🙂🚀 and a zero\u200bwidth space",
    "line one\nline two\ttabbed",
    "https://example.com/orders?id=12345&sort=asc",
    "supercalifragilisticexpialidocious" * 5,
    "word " * 300,
    "a",
    "Return policies differ by region and by the kind of goods. " * 18_000,
]


def _cosines(engine: LocalEngine, texts: list[str]) -> Vectors:
    from sentence_transformers import SentenceTransformer

    folder = find_encoder(DEFAULT_ENCODER, Path("unused")).folder
    peer = SentenceTransformer(str(folder), device="cpu").encode(texts)
    cosines: Vectors = np.sum(peer * engine.embed(texts), axis=1)
    return cosines


def test_vectors_agree_with_sentence_transformers_on_every_kind_of_text(
    local_engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(TEXTS) == 20
    assert len(TEXTS[-1]) > 1_000_000
    cosines = _cosines(local_engine, TEXTS)
    assert cosines.min() >= 0.999, dict(zip((t[:30] for t in TEXTS), cosines, strict=True))


def test_vectors_have_unit_length_and_are_float32(local_engine: LocalEngine) -> None:
    vecs = local_engine.embed(TEXTS[:19])
    assert vecs.dtype == np.float32
    assert vecs.shape == (19, 384)
    np.testing.assert_allclose(np.linalg.norm(vecs, axis=1), 1.0, atol=1e-3)


def test_no_texts_give_no_vectors(local_engine: LocalEngine) -> None:
    assert local_engine.embed([]).shape == (0, 384)


def test_one_string_is_not_taken_for_many(local_engine: LocalEngine) -> None:
    with pytest.raises(TypeError):
        local_engine.embed("hello")


def test_a_text_means_the_same_alone_and_in_company(local_engine: LocalEngine) -> None:
    alone = np.concatenate([local_engine.embed([text]) for text in TEXTS[:15]])
    together = local_engine.embed(TEXTS[:15])
    assert np.sum(alone * together, axis=1).min() > 0.999


def test_a_call_in_many_pieces_keeps_its_order(
    local_engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_CHUNK_TEXTS", 3)
    in_pieces = local_engine.embed(TEXTS[:17], priority=Priority.BATCH)
    monkeypatch.undo()
    assert np.sum(in_pieces * local_engine.embed(TEXTS[:17]), axis=1).min() > 0.999


def test_fifty_threads_at_once_each_get_their_own_vector(local_engine: LocalEngine) -> None:
    texts = [f"order number {n} has not arrived" for n in range(50)]
    expected = local_engine.embed(texts)
    barrier = threading.Barrier(50)

    def ask(n: int) -> float:
        barrier.wait(30)
        vec = local_engine.embed([texts[n]], priority=Priority.INTERACTIVE)[0]
        return float(vec @ expected[n])

    with ThreadPoolExecutor(50) as pool:
        assert min(pool.map(ask, range(50))) > 0.999


def test_what_cannot_be_done_in_time_is_dropped(local_engine: LocalEngine) -> None:
    with pytest.raises(DeadlineExceeded):
        local_engine.embed(["word " * 300] * 400, deadline_s=0.05)
    assert local_engine.embed(["still there"], deadline_s=60).shape == (1, 384)


def test_a_full_queue_turns_callers_away_and_recovers(model_cache: Path, local_engine: LocalEngine) -> None:
    engine = LocalEngine(cpu_settings(model_cache, inference_queue_texts=4))
    engine.warm()

    def ask(_: int) -> bool:
        try:
            engine.embed(["word " * 200] * 4, priority=Priority.BATCH)
        except Overloaded:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(ask, range(48)))
    assert any(taken)
    assert not all(taken)
    assert engine.embed(["after the rush"]).shape == (1, 384)
    engine.close()


def test_a_closed_engine_says_so(model_cache: Path, local_engine: LocalEngine) -> None:
    engine = LocalEngine(cpu_settings(model_cache))
    assert engine.alive
    engine.warm()
    engine.close()
    assert not engine.alive
    with pytest.raises(Unavailable):
        engine.embed(["too late"])
    unused = LocalEngine(cpu_settings(model_cache))
    unused.close()
    with pytest.raises(Unavailable):
        unused.embed(["never loaded"])


def test_threads_that_ask_at_once_load_the_encoder_once(
    model_cache: Path, monkeypatch: pytest.MonkeyPatch, local_engine: LocalEngine
) -> None:
    loads = []

    def counted(settings: InferenceSettings) -> LoadedEncoder:
        loads.append(1)
        return load_encoder(settings)

    monkeypatch.setattr(serving, "load_encoder", counted)
    engine = LocalEngine(cpu_settings(model_cache))
    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(lambda _: engine.encoder().version, range(8)))
    engine.close()
    assert len(loads) == 1
    assert versions == {local_engine.encoder().version}


def test_a_load_that_failed_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def failing(settings: object) -> object:
        tries.append(1)
        raise ModelUnavailable("Check ENCODER.")

    monkeypatch.setattr(serving, "load_encoder", failing)
    engine = LocalEngine(cpu_settings(tmp_path))
    for _ in range(5):
        with pytest.raises(ModelUnavailable, match="ENCODER"):
            engine.embed(["hello"])
    assert len(tries) == 1
    monkeypatch.setattr(current, "_RETRY_LOAD_S", 0.0)
    with pytest.raises(ModelUnavailable):
        engine.embed(["hello"])
    assert len(tries) == 2
