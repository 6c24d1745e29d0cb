"""Passages by meaning and by words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import IndexMismatch, InvalidInput, StorageFailed
from services.inference.fake import FakeEngine
from services.search.fitting import fit_on_questions, fit_on_variants
from services.search.hybrid import HybridIndex, ViewWeights
from services.search.pieces import PIECE_CHARS, cut_body, cut_passage, under_question

ENGINE = FakeEngine(dim=64)

PASSAGES: dict[int, tuple[str, str, tuple[str, ...]]] = {
    10: ("Returns", "You may send it back within thirty days. We refund the price. " * 8, ()),
    20: ("Delivery", "A parcel takes five days. Islands take longer.", ("when does my parcel arrive",)),
    30: ("Lamp LM-204518", "The battery lasts eight hours and is charged by USB.", ()),
    40: ("退货政策", "请在三十天内寄回商品，运费由我们承担。", ()),
    50: ("", "Gift cards never expire.", ()),
    60: ("Opening hours of the shop", "", ()),
}


def pieces(passages: dict[int, tuple[str, str, tuple[str, ...]]]) -> dict[str, Any]:
    rows = [(key, piece) for key, parts in passages.items() for piece in cut_passage(*parts, is_faq=True)]
    return {
        "piece_ids": [1000 + at for at in range(len(rows))],
        "passage_ids": [key for key, _ in rows],
        "kinds": [piece.kind for _, piece in rows],
        "texts": [piece.text for _, piece in rows],
        "vecs": ENGINE.embed([piece.embedded for _, piece in rows]),
    }


@pytest.fixture(scope="module")
def index() -> HybridIndex:
    return HybridIndex.build(**pieces(PASSAGES), encoder_version="fake-1")


def vec(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return ENGINE.embed([text])[0]


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("can I send it back", 10),
        ("when does the parcel arrive", 20),
        ("LM-204518", 30),
        ("do gift cards expire", 50),
        ("opening hours", 60),
    ],
)
def test_the_passage_that_answers_comes_first(index: HybridIndex, query: str, passage: int) -> None:
    assert index.search(query, vec(query))[0].passage_id == passage


def test_a_chinese_question_finds_its_passage_by_words_alone(index: HybridIndex) -> None:
    hits = index.search("退货运费谁承担", None)
    assert [hit.passage_id for hit in hits] == [40]
    assert hits[0].dense == 0
    assert hits[0].score == hits[0].lexical > 0


def test_a_hit_names_the_nearest_piece_and_its_cosine(index: HybridIndex) -> None:
    built = pieces(PASSAGES)
    query = "when does my parcel arrive"
    hit = index.search(query, vec(query))[0]
    cosines = built["vecs"] @ vec(query)
    best = int(np.argmax(cosines))
    assert hit.best_piece_id == built["piece_ids"][best]
    assert built["kinds"][best] == "variant"
    assert hit.dense == pytest.approx(float(cosines.max()), abs=1e-6)


def test_every_candidate_is_scored_exactly_whichever_list_found_it(index: HybridIndex) -> None:
    built = pieces(PASSAGES)
    query = "the battery of my parcel 退货"
    for hit in index.search(query, vec(query), k=10):
        rows = [at for at, key in enumerate(built["passage_ids"]) if key == hit.passage_id]
        assert hit.dense == pytest.approx(max(float(built["vecs"][at] @ vec(query)) for at in rows), abs=1e-6)


def test_each_passage_is_returned_once_best_first(index: HybridIndex) -> None:
    hits = index.search("send parcel back days", vec("send parcel back days"), k=50)
    assert len({hit.passage_id for hit in hits}) == len(hits) == len(PASSAGES)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(index.search("send parcel back days", vec("days"), k=2)) == 2


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    empty = HybridIndex.build(
        piece_ids=[],
        passage_ids=[],
        kinds=[],
        texts=[],
        vecs=np.zeros((0, 64), dtype=np.float32),
        encoder_version="fake-1",
    )
    empty.save(tmp_path)
    for found_in in (empty, HybridIndex.load(tmp_path, "fake-1")):
        assert found_in.search("anything", vec("anything")) == []
        assert found_in.search("anything", None) == []


def test_a_question_of_nothing_but_signs_is_no_error(index: HybridIndex) -> None:
    assert index.search("?!", None) == []
    assert len(index.search("?!", vec("?!"), k=3)) == 3


def test_a_saved_index_answers_as_before(index: HybridIndex, tmp_path: Path) -> None:
    built = pieces(PASSAGES)
    weighted = HybridIndex.build(**built, encoder_version="fake-1", weights=ViewWeights(1, 2, 3, 4))
    weighted.save(tmp_path / "index")
    loaded = HybridIndex.load(tmp_path / "index", "fake-1")
    assert loaded.weights == weighted.weights
    assert len(loaded) == len(PASSAGES)
    for query in ("send it back", "LM-204518", "退货"):
        assert loaded.search(query, vec(query)) == weighted.search(query, vec(query))
    index.save(tmp_path / "index")
    assert loaded.search("send it back", vec("send it back"))[0].passage_id == 10  # its files are gone
    assert HybridIndex.load(tmp_path / "index", "fake-1").weights == ViewWeights()


def test_another_encoders_index_is_refused(index: HybridIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    with pytest.raises(IndexMismatch, match=r"fake-1.*fake-2.*Rebuild"):
        HybridIndex.load(tmp_path, "fake-2")
    with pytest.raises(IndexMismatch):
        index.search("return", np.ones(65, dtype=np.float32))


def test_a_truncated_file_is_noticed_whichever_it_is(index: HybridIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    files = [path for path in tmp_path.iterdir() if path.suffix in {".npz", ".npy", ".faiss", ".json"}]
    assert len(files) == 8
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StorageFailed, match="Rebuild"):
            HybridIndex.load(tmp_path, "fake-1")
        path.write_bytes(whole)
    assert len(HybridIndex.load(tmp_path, "fake-1")) == len(PASSAGES)


def test_cells_answer_as_a_scan_does() -> None:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(40, 64))
    vecs = centres[np.arange(3000) % 40] + draw.normal(size=(3000, 64))
    vecs = (vecs / np.linalg.norm(vecs, axis=1, keepdims=True)).astype(np.float32)
    built: dict[str, Any] = {
        "piece_ids": np.arange(3000),
        "passage_ids": np.arange(3000) // 6,
        "kinds": ["title", *["body"] * 5] * 500,
        "texts": [f"word{at % 97}" for at in range(3000)],
        "vecs": vecs,
    }
    scan = HybridIndex.build(**built, encoder_version="v")
    cells = HybridIndex.build(**built, encoder_version="v", cells_from=100)
    same = [
        scan.search(f"word{at}", vecs[at], 1) == cells.search(f"word{at}", vecs[at], 1)
        for at in range(0, 3000, 60)
    ]
    assert np.mean(same) >= 0.95


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput):
        HybridIndex.build(**pieces(PASSAGES) | {"kinds": ["body"]}, encoder_version="v")
    with pytest.raises(InvalidInput):
        ViewWeights(-1, 1, 1, 1).shares()


def noisy_knowledge(variants: int) -> dict[int, tuple[str, str, tuple[str, ...]]]:
    """Passages whose titles say nothing and whose bodies share few words with the variants."""
    draw = np.random.default_rng(3)
    made = {}
    for key in range(60):
        topic = [f"topic{key}{letter}" for letter in "abcdef"]
        asked = tuple(" ".join(draw.permutation(topic)[:3]) for _ in range(variants))
        made[key] = (f"Entry {draw.integers(99)}", "It is about " + " ".join(topic) + ".", asked)
    return made


def test_fitted_weights_rank_held_out_questions_no_worse_than_the_default() -> None:
    built = pieces(noisy_knowledge(4))
    fitted = fit_on_variants(**built)
    assert fitted != ViewWeights()
    asked = [" ".join(f"topic{key}{letter}" for letter in "ace") for key in range(60)]

    def found(weights: ViewWeights) -> float:
        index = HybridIndex.build(**built, encoder_version="v", weights=weights)
        return float(
            np.mean([index.search(q, vec(q), 1)[0].passage_id == key for key, q in enumerate(asked)])
        )

    assert found(fitted) >= found(ViewWeights())


def test_without_variants_or_questions_the_weights_are_the_default() -> None:
    built = pieces(noisy_knowledge(0))
    default = ViewWeights().shares()
    assert fit_on_variants(**built).shares() == pytest.approx(default)
    index = HybridIndex.build(**built, encoder_version="v")
    nobody = fit_on_questions(index, ["gone"], vec("gone")[None, :], [999])
    assert nobody.shares() == pytest.approx(default)


def test_questions_with_known_answers_move_the_weights() -> None:
    passages = noisy_knowledge(0)
    index = HybridIndex.build(**pieces(passages), encoder_version="v")
    asked = [body for _, body, _ in passages.values()]
    fitted = fit_on_questions(index, asked, ENGINE.embed(asked), list(passages))
    assert fitted.question < ViewWeights().question  # titles that say nothing lose their weight


def test_a_body_is_cut_into_whole_sentences_and_an_answer_stands_under_its_question() -> None:
    body = "One sentence here. " * 40 + "\n\n- an item\n" + "long" * 200
    parts = list(cut_body(body))
    assert all(0 < len(part) <= PIECE_CHARS for part in parts)
    assert "".join("".join(parts).split()) == "".join(body.split())
    assert parts[0].endswith("here.")
    cut = cut_passage("Title", "Body.", ("variant?", "  "), is_faq=True)
    assert [(piece.kind, piece.text) for piece in cut] == [
        ("title", "Title"),
        ("body", "Body."),
        ("variant", "variant?"),
    ]
    assert cut[1].embedded == under_question("Title", "Body.") == "Title\nBody."
    assert cut_passage("Title", "Body.", is_faq=False)[1].embedded == "Body."
    assert cut_passage(" ", "", is_faq=True) == []


def test_a_question_held_out_is_searched_as_if_it_were_no_variant(tmp_path: Path) -> None:
    """What leaving a variant out at search time says is what an index built without it says."""
    query = PASSAGES[20][2][0]
    without = PASSAGES | {20: (*PASSAGES[20][:2], ())}
    HybridIndex.build(**pieces(PASSAGES), encoder_version="fake-1").save(tmp_path / "index")
    loaded = HybridIndex.load(tmp_path / "index", "fake-1")
    lesser = HybridIndex.build(**pieces(without), encoder_version="fake-1")
    held_out = {hit.passage_id: hit for hit in loaded.search(query.upper(), vec(query), held_out=True)}
    expected = {hit.passage_id: hit for hit in lesser.search(query, vec(query))}
    assert held_out.keys() == expected.keys()
    assert held_out[20].dense == pytest.approx(expected[20].dense, abs=1e-6)
    assert held_out[20].lexical == pytest.approx(expected[20].lexical, abs=0.03)  # its idfs stay
    assert held_out[20].score == pytest.approx(expected[20].score, abs=0.01)
    assert loaded.search(query, vec(query))[0].dense == pytest.approx(1.0, abs=1e-5)
    assert loaded.passage_ids.tolist() == sorted(PASSAGES)


def test_a_question_that_is_nobodys_variant_is_searched_as_ever(index: HybridIndex) -> None:
    query = "can I send it back"
    assert index.search(query, vec(query), held_out=True) == index.search(query, vec(query))
