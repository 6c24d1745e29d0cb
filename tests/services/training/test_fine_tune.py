"""A run learns what is there, is refused where nothing is, and says where its version came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.errors import InvalidInput
from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine
from services.registry.store import ModelStore
from services.storage import Storage
from services.training.dataset import Example, Span, fingerprint
from services.training.fine_tune import train
from services.training.order import Cancelled, NamedSet, Order, Outcome
from tests.services.inference.tiny import LINES, make_tiny_generator
from tests.services.training.headlines import headlines
from tests.services.training.jobs import Remembering, tiny_base

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HEAD = Order(task="mood", recipe="text_head", test_share=0.25)


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The serving encoder of the test: small, made on the spot."""
    base = tiny_base(tmp_path / "tiny")
    for name, value in {
        "ENCODER": str(base),
        "INFERENCE_RUNTIME": "torch",
        "MODEL_CACHE_DIR": str(tmp_path / "cache"),
        "TRAINING_PRECISION": "fp32",
        "TRAINING_RUNS_DIR": str(tmp_path / "runs"),
    }.items():
        monkeypatch.setenv(name, value)
    return base


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An empty registry."""
    return ModelStore(Storage(str(tmp_path / "store"), tmp_path / "store-cache"))


def run(
    order: Order,
    examples: Sequence[Example],
    store: ModelStore,
    folder: Path,
    watch: Remembering | None = None,
) -> Outcome:
    """One run on one set."""
    sets = [NamedSet("Headlines", "CC0", tuple(examples))]
    return train(order, sets, store=store, folder=folder, watch=watch or Remembering(), now=NOW)


def test_a_run_says_what_it_does_and_leaves_a_version_with_its_lineage(
    encoder: Path, store: ModelStore, tmp_path: Path
) -> None:
    watch, examples = Remembering(), headlines(400)
    made = run(HEAD, examples, store, tmp_path / "run", watch)
    assert watch.stages == ["split", "train", "evaluate", "baseline", "gate", "register"]
    assert made.metrics["accuracy"] > 0.9
    assert store.live("mood") is None
    record = store.lineage("mood", made.version)
    [source] = record.data
    assert (source.name, source.licence, source.rows) == ("Headlines", "CC0", 400)
    assert source.fingerprint == fingerprint(examples)
    assert record.recipe == "text_head"
    assert record.parameters["strength"] == 0.3
    assert record.gate is not None
    assert record.gate.passed == made.passed
    assert record.hardware.cores > 0
    assert record.split["test"] + record.split["validation"] + record.split["train"] == 400
    assert "Headlines" in (store.open("mood", made.version) / "README.md").read_text()
    assert set(made.report) >= {"per_class", "confusion", "reliability", "baseline", "robustness", "gate"}
    json.dumps(dict(made.report), allow_nan=False)


def test_settings_are_searched_first_and_the_best_is_trained(
    encoder: Path, store: ModelStore, tmp_path: Path
) -> None:
    watch = Remembering()
    made = run(replace(HEAD, trials=3), headlines(200), store, tmp_path / "run", watch)
    assert watch.stages[:3] == ["split", "search", "train"]
    told = next(line for line in watch.lines if line.startswith("Best of 3"))
    record = store.lineage("mood", made.version)
    assert f"strength {record.parameters['strength']:.3g}" in told
    assert record.parameters["trials"] == 3


def test_the_same_order_makes_the_same_split_and_the_same_figures(
    encoder: Path, store: ModelStore, tmp_path: Path
) -> None:
    """Not the same bits: which texts share a batch of the encoder is a matter of time."""
    one, two = (run(HEAD, headlines(300), store, tmp_path / name) for name in ("one", "two"))
    assert store.lineage("mood", one.version).split == store.lineage("mood", two.version).split
    assert one.report["confusion"] == two.report["confusion"]
    assert one.metrics == pytest.approx(two.metrics, abs=2e-3)


def test_a_better_version_may_take_the_place_of_the_live_one_and_shuffled_labels_may_not(
    encoder: Path, store: ModelStore, tmp_path: Path
) -> None:
    few = run(HEAD, headlines(24), store, tmp_path / "few")
    store.promote("mood", few.version, NOW)
    more = run(HEAD, headlines(500, seed=1), store, tmp_path / "more")
    assert more.passed, more.reasons
    assert more.report["live_version"].startswith(few.version)
    control = Order(task="mood", recipe="text_head", test_share=0.25, shuffle_labels=True)
    shuffled = run(control, headlines(500, seed=1), store, tmp_path / "shuffled")
    assert not shuffled.passed
    assert store.lineage("mood", shuffled.version).parameters["shuffle_labels"] is True


def test_what_is_promoted_answers(encoder: Path, store: ModelStore, tmp_path: Path) -> None:
    made = run(HEAD, headlines(300), store, tmp_path / "run")
    store.promote("mood", made.version, NOW)
    engine = LocalEngine(
        InferenceSettings(
            encoder=str(encoder), inference_runtime="torch", model_cache_dir=tmp_path / "cache"
        ),
        store=store,
    )
    try:
        told = engine.classify("mood", [("Zennor plunges on mining", None)])
    finally:
        engine.close()
    assert told.version.startswith(made.version)
    assert told.labels[told.probs[0].argmax()] == "negative"


def test_a_run_that_is_stopped_adds_nothing(encoder: Path, store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run(HEAD, headlines(100), store, tmp_path / "run", Remembering(stop_at=0))
    assert store.tasks() == []


def test_a_tagger_is_judged_by_whole_names(encoder: Path, store: ModelStore, tmp_path: Path) -> None:
    names = ("Acme", "Borealis", "bank")
    rows = [
        Example(f"{start} {name} {end}", spans=(Span(len(start) + 1, len(start) + 1 + len(name), "company"),))
        for name in names
        for start in ("the parcel of", "refund the", "late delivery of", "its forecast the")
        for end in ("is late", "raised its forecast", "in Rome", "parcel refund")
    ]
    order = Order(
        task="names",
        recipe="token_classifier",
        base=str(encoder),
        parameters={"method": "full", "epochs": 2, "learning_rate": 3e-3, "batch_size": 8},
        test_share=0.5,
    )
    made = run(order, rows, store, tmp_path / "run")
    assert made.metrics["names"] == made.metrics["rows"] > 10
    assert 0 <= made.metrics["f1"] <= 1
    assert made.metrics["baseline_f1"] == 1.0
    assert not made.passed


def test_an_encoder_is_judged_by_where_the_right_text_comes(
    encoder: Path, store: ModelStore, tmp_path: Path
) -> None:
    rows = [
        Example(f"{a} {b} {c}", second=f"the {a} raised {b} {c}")
        for a in ("parcel", "refund", "bank", "delivery", "forecast")
        for b in ("Acme", "Borealis", "Rome", "late", "its")
        for c in ("of", "is", "in", "parcel", "raised")
    ]
    order = Order(
        task="search",
        recipe="embedder",
        parameters={"epochs": 6, "learning_rate": 2e-3, "batch_size": 8, "mini_batch": 4},
        test_share=0.7,
    )
    made = run(order, rows, store, tmp_path / "run")
    assert set(made.metrics) >= {"recall_at_1", "recall_at_5", "mrr", "ndcg_at_10"}
    assert made.report["live"]["rows"] == made.metrics["rows"]


def test_a_generator_is_judged_by_its_surprise(encoder: Path, store: ModelStore, tmp_path: Path) -> None:
    talks = [
        Example("", messages=(("user", f"{one} {other} {question}"), ("assistant", LINES[kind])))
        for kind, question in enumerate(("When?", "Returns?", "Invoice?"))
        for one in ("Good morning", "Hello", "Please", "Sorry", "One thing")
        for other in ("dear people", "to all", "support", "there")
    ]
    order = Order(
        task="assistant",
        recipe="generator",
        base=str(make_tiny_generator(tmp_path / "generator")),
        parameters={"epochs": 6, "learning_rate": 2e-2, "batch_size": 8, "lora_rank": 16},
        test_share=0.5,
    )
    made = run(order, talks, store, tmp_path / "run")
    assert made.metrics["perplexity"] < made.metrics["base_perplexity"]
    assert made.passed, made.reasons


@pytest.mark.parametrize(
    ("order", "examples", "field"),
    [
        (Order("mood", "magic"), headlines(50), "recipe"),
        (Order("mood", "text_head", {"strength": -1}), headlines(50), "strength"),
        (Order("mood", "text_head"), headlines(3), "datasets"),
        (Order("mood", "text_head"), [Example(f"a {n}", None, "one") for n in range(20)], "datasets"),
        (Order("mood", "text_head", split="time"), headlines(50), "time"),
    ],
    ids=["no such recipe", "wrong parameter", "three rows", "one label", "no times"],
)
def test_what_cannot_be_done_is_named(
    encoder: Path,
    store: ModelStore,
    tmp_path: Path,
    order: Order,
    examples: list[Example],
    field: str,
) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(order, examples, store, tmp_path / "run")
    assert caught.value.field == field
