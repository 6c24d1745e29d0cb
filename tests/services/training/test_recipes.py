"""Every recipe on the Trainer: it learns what the examples teach, and what it writes can be served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import InvalidInput
from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine
from services.inference.values import ChatMessage, Finished, Sampling
from services.training.dataset import Example, Span
from services.training.recipes import RECIPES, whole
from tests.services.inference.tiny import LINES, make_tiny_generator
from tests.services.training.jobs import Remembering, job, tiny_base

GOOD = ("refund raised", "Acme raised", "bank raised its forecast", "Borealis raised delivery")
BAD = ("parcel late", "delivery is late", "Acme is late in Rome", "the bank is late")
MOODS = [Example(text, None, "good") for text in GOOD * 8] + [Example(text, None, "bad") for text in BAD * 8]
CHECKED = [Example("forecast raised", None, "good"), Example("refund is late", None, "bad")] * 4


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights."""
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


def fell(curve: list[float], to: float = 1.0) -> bool:
    """Whether the last third of a curve is below that share of its first third."""
    third = max(1, len(curve) // 3)
    return sum(curve[-third:]) < to * sum(curve[:third])


def learned(
    recipe: str,
    folder: Path,
    rows: list[Example],
    base: Path,
    checked: int,
    to: float = 1.0,
    **parameters: Any,
) -> Path:
    """What the recipe makes of the rows, the first few of which check it; its loss fell to that share."""
    watch = Remembering()
    made = RECIPES[recipe].fit(job(recipe, folder, rows, rows[:checked], base=base, **parameters), watch)
    assert fell(watch.curves["loss"], to)
    return made


def served(task: str, folder: Path, tmp_path: Path, **settings: str) -> LocalEngine:
    """The product's engine with the recipe's files as the task's model."""
    return LocalEngine(
        InferenceSettings(
            task_models=f"{task}={folder}", inference_runtime="torch", model_cache_dir=tmp_path, **settings
        )
    )


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_classifier_learns_and_is_served(base: Path, tmp_path: Path, method: str) -> None:
    watch = Remembering()
    made = RECIPES["text_classifier"].fit(
        job(
            "text_classifier",
            tmp_path / "run",
            MOODS,
            CHECKED,
            base=base,
            method=method,
            epochs=8,
            learning_rate=5e-3,
            batch_size=8,
        ),
        watch,
    )
    assert fell(watch.curves["loss"])
    assert watch.curves["validation_macro_f1"]
    assert json.loads((made / "calibration.json").read_text())["temperature"] > 0
    assert not (tmp_path / "run" / "checkpoints").exists()
    engine = served("mood", made, tmp_path)
    try:
        told = engine.classify("mood", [("Acme raised", None), ("parcel late", None)])
    finally:
        engine.close()
    assert told.labels == ("bad", "good")
    assert list(told.probs.argmax(1)) == [1, 0]


def test_several_labels_a_text(base: Path, tmp_path: Path) -> None:
    rows = [
        Example("bank raised", labels=("bank", "up")),
        Example("parcel late", labels=("post",)),
        Example("bank late", labels=("bank",)),
        Example("parcel raised", labels=("post", "up")),
    ] * 12
    made = RECIPES["text_classifier"].fit(
        job(
            "text_classifier",
            tmp_path / "run",
            rows,
            rows[:4],
            base=base,
            epochs=10,
            learning_rate=5e-3,
            batch_size=8,
        ),
        Remembering(),
    )
    engine = served("mood", made, tmp_path)
    try:
        told = engine.classify("mood", [("bank raised", None), ("parcel late", None)])
    finally:
        engine.close()
    assert not told.exclusive
    assert [tuple(np.array(told.labels)[row > 0.5]) for row in told.probs] == [("bank", "up"), ("post",)]


@pytest.mark.parametrize(
    "protection",
    [{"fgm": 0.5}, {"label_smoothing": 0.1}, {"dropout": 0.1}, {"mixing": 0.4}, {"layer_decay": 0.5}],
    ids=lambda found: next(iter(found)),
)
def test_what_protects_against_over_fitting_changes_what_is_learned(
    base: Path, tmp_path: Path, protection: dict[str, float]
) -> None:
    def losses(name: str, **parameters: float) -> list[float]:
        watch = Remembering()
        RECIPES["text_classifier"].fit(
            job(
                "text_classifier",
                tmp_path / name,
                MOODS,
                CHECKED,
                base=base,
                epochs=1,
                batch_size=8,
                learning_rate=1e-3,
                **parameters,
            ),
            watch,
        )
        return watch.curves["validation_loss"]

    with_it, without = losses("with", **protection), losses("without")
    assert np.isfinite(with_it).all()
    assert with_it != without


def test_a_few_examples_of_each_label_are_enough(base: Path, tmp_path: Path) -> None:
    few = [Example(text, None, "good") for text in GOOD] + [Example(text, None, "bad") for text in BAD]
    made = RECIPES["text_classifier"].fit(
        job(
            "text_classifier",
            tmp_path / "run",
            few,
            CHECKED,
            base=base,
            method="few_shot",
            epochs=5,
            learning_rate=5e-3,
            batch_size=8,
            pairs_each=10,
        ),
        Remembering(),
    )
    engine = served("mood", made, tmp_path)
    try:
        told = engine.classify("mood", [(e.text, e.entity) for e in few])
    finally:
        engine.close()
    assert (told.probs.argmax(1) == [told.labels.index(e.label) for e in few]).all()


def test_a_tuned_head_learns_towards_a_company_and_is_served(base: Path, tmp_path: Path) -> None:
    rows = [
        Example(f"Acme {a} Borealis {b}", who, label)
        for a, b, first, second in (("raised", "late", "good", "bad"), ("late", "raised", "bad", "good"))
        for who, label in (("Acme", first), ("Borealis", second))
    ] * 10 + MOODS
    watch = Remembering()
    made = RECIPES["tuned_head"].fit(
        job(
            "tuned_head",
            tmp_path / "run",
            rows,
            [*rows[:8], *CHECKED],
            base=base,
            members=2,
            pretrain_epochs=1,
            distil_epochs=6,
            epochs=4,
            learning_rate=3e-3,
            batch_size=16,
            lora_rank=16,
            frozen_layers=1,
            joined_share=0.0,
        ),
        watch,
    )
    assert (made / "adapter_config.json").is_file()
    assert any("members that did not see them" in line for line in watch.lines)
    engine = served("mood", made, tmp_path)
    try:
        told = engine.classify("mood", [("Acme raised Borealis late", "Acme"), ("parcel late", None)])
    finally:
        engine.close()
    assert list(told.probs.argmax(1)) == [told.labels.index("good"), told.labels.index("bad")]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_tagger_learns_names_and_is_served(base: Path, tmp_path: Path, method: str) -> None:
    rows = [
        Example(f"{start}{name} {end}", spans=(Span(len(start), len(start) + len(name), "company"),))
        for name in ("Acme", "Borealis")
        for start in ("the parcel of ", "the ", "")
        for end in ("is late", "raised its forecast")
    ] * 6 + [Example("the parcel is late"), Example("the bank raised its forecast")] * 6
    made = RECIPES["token_classifier"].fit(
        job(
            "token_classifier",
            tmp_path / "run",
            rows,
            rows[:6],
            base=base,
            method=method,
            epochs=10,
            learning_rate={"full": 5e-3, "lora": 2e-2}[method],
            batch_size=8,
        ),
        Remembering(),
    )
    engine = served("names", made, tmp_path)
    try:
        found = engine.tag("names", ["the parcel of Acme is late"])
    finally:
        engine.close()
    assert [(e.start, e.end, e.label) for e in found.entities[0]] == [(14, 18, "company")]


PAIRS = [
    Example(f"where is the {a}", second=f"{a} {b}")
    for a in ("parcel", "refund", "bank", "delivery")
    for b in ("is late", "raised its forecast", "in Rome")
]


@pytest.mark.parametrize("matryoshka", [False, True])
def test_an_encoder_is_tuned_and_can_be_named_as_encoder(
    base: Path, tmp_path: Path, matryoshka: bool
) -> None:
    made = learned(
        "embedder",
        tmp_path / "run",
        PAIRS * 2,
        base,
        checked=4,
        epochs=12,
        learning_rate=2e-3,
        batch_size=4,
        mini_batch=2,
        matryoshka=matryoshka,
    )
    engine = LocalEngine(
        InferenceSettings(encoder=str(made), inference_runtime="torch", model_cache_dir=tmp_path)
    )
    try:
        assert engine.embed(["the parcel"]).shape == (1, 32)
    finally:
        engine.close()


def test_a_reranker_is_tuned_and_can_be_named_as_reranker(base: Path, tmp_path: Path) -> None:
    told = [replace(pair, negative="bank refund Acme raised") for pair in PAIRS]
    made = learned(
        "reranker",
        tmp_path / "run",
        told,
        base,
        checked=4,
        epochs=15,
        learning_rate=2e-3,
        batch_size=8,
        negatives=1,
    )
    settings = InferenceSettings(
        encoder=str(base), reranker=str(made), inference_runtime="torch", model_cache_dir=tmp_path
    )
    engine = LocalEngine(settings)
    try:
        assert engine.rerank("where is the parcel", ["parcel is late", "bank in Rome"]).scores.shape == (2,)
    finally:
        engine.close()


async def test_a_generator_learns_the_answers_of_dialogues(tmp_path: Path) -> None:
    tiny = make_tiny_generator(tmp_path / "tiny")
    talks = [
        Example("", messages=(("user", question), ("assistant", LINES[at])))
        for at, question in enumerate(("When?", "Returns?", "Invoice?"))
    ] * 6
    made = learned(
        "generator",
        tmp_path / "run",
        talks,
        tiny,
        checked=3,
        to=0.97,
        epochs=25,
        learning_rate=2e-2,
        batch_size=6,
        lora_rank=16,
    )
    settings = InferenceSettings(generator=str(made), inference_runtime="torch", model_cache_dir=tmp_path)
    engine = LocalEngine(settings)
    try:
        events = [event async for event in engine.generate([ChatMessage("user", "When?")], Sampling(20))]
    finally:
        engine.close()
    assert isinstance(events[-1], Finished)


def test_only_the_answers_count_in_a_generators_loss(tmp_path: Path) -> None:
    from services.training.recipes.batches import IGNORED, open_tokenizer
    from services.training.recipes.generator import rows_of

    tokenizer = open_tokenizer(make_tiny_generator(tmp_path / "tiny"))
    talk = Example("", messages=(("user", "Where is my parcel?"), ("assistant", "On its way.")))
    [row] = rows_of([talk], tokenizer, 200)
    told = tokenizer.decode(
        [at for at, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED]
    )
    assert "On its way." in told
    assert "parcel" not in told


def test_masked_words_are_learned_and_the_result_is_a_base(base: Path, tmp_path: Path) -> None:
    texts = [Example(text) for text in (*GOOD, *BAD)] * 10
    made = learned(
        "pretrain",
        tmp_path / "run",
        texts,
        base,
        checked=8,
        to=0.8,
        epochs=8,
        learning_rate=3e-3,
        batch_size=16,
        mask_share=0.3,
    )
    again = RECIPES["text_classifier"].fit(
        job("text_classifier", tmp_path / "then", MOODS, CHECKED, base=made, epochs=1, batch_size=8),
        Remembering(),
    )
    assert (again / "model.safetensors").is_file()


def test_a_rewriter_learns_to_turn_texts_into_others(tmp_path: Path) -> None:
    tiny = make_rewriter(tmp_path / "tiny")
    rows = [Example(text, second=text.split()[0]) for text in (*GOOD, *BAD)] * 6
    made = learned(
        "seq2seq",
        tmp_path / "run",
        rows,
        tiny,
        checked=4,
        to=0.8,
        epochs=6,
        learning_rate=1e-2,
        batch_size=8,
    )
    assert (made / "model.safetensors").is_file()


def make_rewriter(folder: Path) -> Path:
    """A T5 of one layer with random weights."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from tests.services.inference.tiny_models import write_tokenizer

    write_tokenizer(folder)
    config = T5Config(
        vocab_size=300,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=1,
        num_heads=4,
        pad_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"epochs": "many"}, "epochs"),
        ({"epochs": float("nan")}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"method": "magic"}, "method"),
        ({"speed": 9}, "speed"),
        ({"gradient_checkpointing": "yes"}, "gradient_checkpointing"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        whole(RECIPES["text_classifier"], given)
    assert caught.value.field == field
