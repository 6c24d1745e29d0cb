"""Classifiers, taggers, rerankers, adapters, generators: loaded from folders or the registry, and served."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.errors import InvalidInput, ModelUnavailable
from services.inference.current import LOOK_EVERY_S
from services.inference.local import LocalEngine
from services.inference.values import ChatMessage, Delta, Finished, Sampling
from services.inference.writing import write
from services.registry.store import ModelStore
from services.storage import Storage
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.tiny import make_tiny_generator
from tests.services.inference.tiny_models import make_adapter, make_model

LABELS = ("late", "lost", "other")
TEXTS = ["the parcel is late", "Acme raised its forecast in Rome", "", "delivery of the refund " * 40]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
Make = Callable[..., LocalEngine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """`make(task_models="topics=/folder")`: an engine with models of the test's own, one batch at a time."""
    made: list[LocalEngine] = []

    def _make(store: ModelStore | None = None, **settings: Any) -> LocalEngine:
        options = {"inference_threads": 1, **settings}
        made.append(LocalEngine(cpu_settings(tmp_path / "cache", **options), store=store))
        return made[-1]

    yield _make
    for engine in made:
        engine.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A small encoder of two layers."""
    return make_model(tmp_path / "base", "Model", ["unused"])


def by_transformers(folder: Path, texts: list[Any], kind: str = "AutoModelForSequenceClassification") -> Any:
    """The logits transformers itself gives, one text at a time."""
    import transformers

    model = getattr(transformers, kind).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        parts = text if isinstance(text, tuple) else (text,)
        given = tokenizer(*parts, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            rows.append(model(**given).logits[0].numpy())
    return rows


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_classifier_answers_what_transformers_answers_with_its_calibration(
    make: Make, tmp_path: Path, runtime: str
) -> None:
    folder = make_model(tmp_path / "topics", "ForSequenceClassification", LABELS)
    (folder / "calibration.json").write_text(json.dumps({"temperature": 2.5}))
    scores = make(task_models=f"topics={folder}", inference_runtime=runtime).classify(
        "topics", [(text, None) for text in TEXTS]
    )
    expected = torch.softmax(torch.tensor(np.stack(by_transformers(folder, TEXTS))) / 2.5, -1).numpy()
    assert scores.labels == LABELS
    np.testing.assert_allclose(scores.probs, expected, atol=0.02)
    np.testing.assert_allclose(scores.probs.sum(axis=1), 1, atol=1e-5)


def test_a_classifier_of_pairs_reads_both_texts_apart(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "towards", "ForSequenceClassification", LABELS)
    pairs = [("Acme raised its forecast", "Acme"), ("the parcel is late", "Borealis")]
    scores = make(task_models=f"towards={folder}").classify("towards", [*pairs, ("the bank", None)])
    expected = torch.softmax(
        torch.tensor(np.stack(by_transformers(folder, [*pairs, "the bank"]))), -1
    ).numpy()
    np.testing.assert_allclose(scores.probs, expected, atol=0.02)


def test_labels_that_do_not_exclude_one_another_have_probabilities_of_their_own(
    make: Make, tmp_path: Path
) -> None:
    folder = make_model(
        tmp_path / "many", "ForSequenceClassification", LABELS, problem_type="multi_label_classification"
    )
    scores = make(task_models=f"many={folder}").classify("many", [(TEXTS[0], None)])
    assert not scores.exclusive
    expected = torch.sigmoid(torch.tensor(by_transformers(folder, TEXTS[:1])[0])).numpy()
    np.testing.assert_allclose(scores.probs[0], expected, atol=0.02)


def test_a_cross_encoder_ranks_as_transformers_does(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "cross", "ForSequenceClassification", ["relevant"])
    query = "is the refund late"
    found = make(reranker=str(folder)).rerank(query, TEXTS[:3])
    expected = torch.sigmoid(
        torch.tensor(np.stack(by_transformers(folder, [(query, text) for text in TEXTS[:3]])))
    ).numpy()[:, 0]
    np.testing.assert_allclose(found.scores, expected, atol=0.02)
    assert found.version.startswith("cross-")


def test_without_a_cross_encoder_the_words_of_the_query_look_for_theirs(local_engine: LocalEngine) -> None:
    texts = ["Our shop is in Rome.", "Refunds are paid within five days.", "Delivery is free from 50 EUR."]
    found = local_engine.rerank("How long do refunds take?", texts)
    assert int(found.scores.argmax()) == 1
    assert found.version.startswith("late-")
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert local_engine.rerank("anything", []).scores.shape == (0,)


def test_a_tagger_reads_long_texts_whole_and_says_where_its_entities_lie(make: Make, tmp_path: Path) -> None:
    labels = ["O", "B-ORG", "I-ORG"]
    folder = make_model(tmp_path / "names", "ForTokenClassification", labels)
    engine = make(task_models=f"names={folder}")
    long = "Acme raised its forecast in Rome " * 60
    found = engine.tag("names", ["the 🙂 bank of Acme is late", "", long])
    assert len(found.entities) == 3
    assert found.entities[1] == ()
    assert found.entities[2][-1].end > len(long) - 200
    starts = [entity.start for entity in found.entities[2]]
    assert starts == sorted(starts)
    for text, entities in zip(["the 🙂 bank of Acme is late", "", long], found.entities, strict=True):
        for entity in entities:
            assert text[entity.start : entity.end].strip() == text[entity.start : entity.end] != ""
            assert entity.label == "ORG"
            assert 0 < entity.score <= 1


def test_adapters_of_several_tasks_share_one_base_and_are_merged(
    make: Make, base: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folders = {
        "one": make_adapter(tmp_path / "one", base, ("a", "b")),
        "two": make_adapter(tmp_path / "two", base, LABELS, seed=9),
    }
    engine = make(task_models=",".join(f"{task}={folder}" for task, folder in folders.items()))
    for task, folder in folders.items():
        scores = engine.classify(task, [(TEXTS[0], None)])
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(scores.labels))
        adapted = PeftModel.from_pretrained(model, folder).eval()
        given = AutoTokenizer.from_pretrained(base)(TEXTS[0], return_tensors="pt")
        with torch.no_grad():
            expected = torch.softmax(adapted(**given).logits[0], -1).numpy()
        np.testing.assert_allclose(scores.probs[0], expected, atol=0.02)
        assert "+" in scores.version  # the adapter's own, and its base's
    assert engine.classify("one", [(TEXTS[0], None)]).labels == ("a", "b")


def test_a_promoted_version_takes_over_and_rolling_back_brings_the_old_one_again(
    make: Make, tmp_path: Path
) -> None:
    store = ModelStore(Storage(str(tmp_path / "files"), tmp_path / "fetched"))
    for seed in (1, 2):
        folder = make_model(tmp_path / f"v{seed}", "ForSequenceClassification", LABELS, seed=seed)
        store.add("topics", f"v{seed}", folder)
    store.promote("topics", "v1", NOW)
    engine = make(store)

    def served() -> str:
        return engine.classify("topics", [(TEXTS[0], None)]).version

    first = served()
    store.promote("topics", "v2", NOW)
    current = engine._models.task("topics", "classifier")
    current.look()
    second = served()
    assert first.split("-")[0] == "v1"
    assert second.split("-")[0] == "v2"
    assert LOOK_EVERY_S < 5
    store.roll_back("topics", NOW)
    current.look()
    assert served() == first


def test_a_version_whose_file_was_changed_is_not_served_and_the_old_one_stands(
    make: Make, tmp_path: Path
) -> None:
    store = ModelStore(Storage(str(tmp_path / "files"), tmp_path / "fetched"))
    store.add("topics", "v1", make_model(tmp_path / "v1", "ForSequenceClassification", LABELS, seed=1))
    store.add("topics", "v2", make_model(tmp_path / "v2", "ForSequenceClassification", LABELS, seed=2))
    weights = tmp_path / "files/models/topics/versions/v2/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    store.promote("topics", "v1", NOW)
    engine = make(store)
    before = engine.classify("topics", [(TEXTS[0], None)])
    with pytest.raises(ModelUnavailable, match=r"v2 is missing or was changed: model\.safetensors"):
        store.promote("topics", "v2", NOW)
    assert engine.classify("topics", [(TEXTS[0], None)]).version == before.version


def test_a_folder_with_a_pickle_is_refused_by_what_it_is(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "pickled", "ForSequenceClassification", LABELS)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match="weights as a pickle"):
        make(task_models=f"topics={folder}").classify("topics", [("the bank", None)])
    with pytest.raises(InvalidInput, match="pickle"):
        ModelStore(Storage(str(tmp_path / "files"), tmp_path / "fetched")).add("topics", "v1", folder)


def test_truncated_weights_are_refused_and_the_next_request_works(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "cut", "ForSequenceClassification", LABELS)
    whole = make_model(tmp_path / "whole", "ForSequenceClassification", LABELS)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    engine = make(task_models=f"cut={folder},whole={whole}")
    with pytest.raises(ModelUnavailable, match="cut do not load"):
        engine.classify("cut", [("the bank", None)])
    assert engine.classify("whole", [("the bank", None)]).probs.shape == (1, 3)


def test_code_beside_a_model_is_never_run(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "coded", "ForSequenceClassification", LABELS)
    mark = tmp_path / "was-run"
    (folder / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "modeling_own.Own", "AutoModelForSequenceClassification": "modeling_own.Own"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": auto}))
    with pytest.raises(ModelUnavailable):
        make(task_models=f"coded={folder}").classify("coded", [("the bank", None)])
    assert not mark.exists()


@pytest.mark.parametrize("task", ["nothing", "", "../../etc", "a" * 500])
def test_a_task_nobody_serves_is_refused_with_the_setting_to_set(make: Make, task: str) -> None:
    with pytest.raises(ModelUnavailable, match="TASK_MODELS"):
        make().classify(task, [("the bank", None)])


def test_a_model_of_another_kind_is_refused(make: Make, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "names", "ForTokenClassification", ["O", "B-ORG"])
    with pytest.raises(ModelUnavailable, match="names is not a classifier"):
        make(task_models=f"names={folder}").classify("names", [("the bank", None)])


def test_what_is_served_is_listed_without_loading_it(make: Make, tmp_path: Path) -> None:
    engine = make(task_models=f"topics={tmp_path}", generator="house/writer")
    listed = {model.task: model for model in engine.models()}
    assert {"embed", "rerank", "topics", "sentiment", "generate"} <= set(listed)
    assert not any(model.loaded for model in listed.values())


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator's folder."""
    return make_tiny_generator(tmp_path_factory.mktemp("writer") / "house-writer")


ASK = (ChatMessage("system", "Answer briefly."), ChatMessage("user", "Where is my parcel?"))


def test_a_text_comes_in_pieces_and_says_how_it_ended(make: Make, writer: Path) -> None:
    engine = make(generator=str(writer))

    async def read() -> list[Any]:
        async with aclosing(engine.generate(ASK, Sampling(max_tokens=12))) as events:
            return [event async for event in events]

    events = asyncio.run(read())
    *deltas, end = events
    assert all(isinstance(event, Delta) for event in deltas)
    assert isinstance(end, Finished)
    assert end.completion_tokens <= 12
    assert (end.reason == "length") == (end.completion_tokens == 12)
    assert write(engine, ASK, Sampling(max_tokens=12))[0] == "".join(event.text for event in deltas)


def test_what_is_written_is_what_transformers_writes(make: Make, writer: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(writer)
    model = AutoModelForCausalLM.from_pretrained(writer).eval()
    turns = [{"role": message.role, "content": message.content} for message in ASK]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    found = model.generate(ids, max_new_tokens=20, do_sample=False)
    expected = tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)
    text, _ = write(make(generator=str(writer)), ASK, Sampling(max_tokens=20))
    assert text.strip("\ufffd") == expected.strip("\ufffd")


def test_the_same_seed_draws_the_same_text_and_another_another(make: Make, writer: Path) -> None:
    engine = make(generator=str(writer))

    def drawn(seed: int) -> str:
        return write(engine, ASK, Sampling(max_tokens=30, temperature=1.0, top_p=0.9, seed=seed))[0]

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_a_reader_that_leaves_stops_the_writing(make: Make, writer: Path) -> None:
    engine = make(generator=str(writer), generator_concurrency=1)

    async def leave() -> None:
        async with aclosing(
            engine.generate(ASK, Sampling(max_tokens=400, temperature=1.0, seed=1))
        ) as events:
            async for _ in events:
                break

    for _ in range(3):
        asyncio.run(leave())
    assert (
        write(engine, ASK, Sampling(max_tokens=2))[1].completion_tokens <= 2
    )  # the one writer is free again


def test_a_deadline_ends_the_text_with_an_event_or_an_error(make: Make, writer: Path) -> None:
    engine = make(generator=str(writer))

    async def read() -> list[Any]:
        asked = engine.generate(ASK, Sampling(max_tokens=400, temperature=1.0, seed=1), deadline_s=0.0)
        async with aclosing(asked) as events:
            return [event async for event in events]

    with pytest.raises(Exception, match="not finished in time"):
        asyncio.run(read())


def test_weights_that_are_not_numbers_end_in_a_typed_error(make: Make, writer: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(writer, tmp_path / "broken")
    tensors = load_file(tmp_path / "broken/model.safetensors")
    tensors = {name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}
    save_file(tensors, tmp_path / "broken/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Exception, match="not finite"):
        write(make(generator=str(tmp_path / "broken")), ASK, Sampling(max_tokens=9))


def test_messages_longer_than_the_model_reads_are_refused_by_the_field(make: Make, writer: Path) -> None:
    with pytest.raises(InvalidInput, match="this model reads 512") as caught:
        write(make(generator=str(writer)), [ChatMessage("user", "word " * 2000)])
    assert caught.value.field == "messages"


def test_without_a_generator_the_setting_is_named(make: Make) -> None:
    with pytest.raises(ModelUnavailable, match="set GENERATOR"):
        write(make(), ASK)
