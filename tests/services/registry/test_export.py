"""An exported package answers as the original does, without Trefoil, and says what each variant lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import Conflict, InvalidInput, ModelUnavailable
from services.registry.export import Exported, Samples, export
from services.registry.manifest import SHIPPED
from services.registry.store import ModelStore
from tests.services.inference.tiny_models import WORDS, make_adapter, make_model
from tests.services.registry.stores import TASK, local_store

LABELS = ("late", "lost", "other")
TEXTS = tuple(" ".join(WORDS[at % 7 : at % 7 + 2 + at % 5]) for at in range(24))


def by_transformers(folder: Path, kind: str, texts: Sequence[str], base: Path | None = None) -> list[Any]:
    """The logits transformers (and peft) itself gives, one text at a time."""
    import tokenizers
    import torch
    import transformers

    model = getattr(transformers, kind).from_pretrained(base or folder, **({"num_labels": 3} if base else {}))
    if base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder)
    tokenizer = tokenizers.Tokenizer.from_file(str((base or folder) / "tokenizer.json"))
    ids = [torch.tensor([tokenizer.encode(text).ids]) for text in texts]
    with torch.no_grad():
        return [model.eval()(input_ids=one).logits[0] for one in ids]


def predict(package: Path, model: str, *texts: str) -> list[dict[str, Any]]:
    """The package's own program, in a folder and a process of its own, without the product."""
    done = subprocess.run(
        [sys.executable, "-I", str(package / "predict.py"), "--model", model, *texts],
        cwd=package,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def added(tmp_path: Path, folder: Path) -> ModelStore:
    store = local_store(tmp_path)
    store.add(TASK, "v1", folder)
    return store


def by_name(done: list[Exported]) -> dict[str, Exported]:
    return {one.file: one for one in done}


def test_a_classifier_is_exported_in_every_form_and_measured(tmp_path: Path) -> None:
    import torch

    folder = make_model(tmp_path / "made", "ForSequenceClassification", LABELS)
    (folder / "calibration.json").write_text('{"temperature": 2.0}')
    logits = by_transformers(folder, "AutoModelForSequenceClassification", TEXTS)
    truth = tuple(LABELS[int(row.argmax())] for row in logits)
    package = tmp_path / "package"
    done = by_name(export(added(tmp_path, folder), TASK, "v1", package, Samples(TEXTS, truth)))
    assert set(done) == {f"{v}.{end}" for v in ("plain", "pruned", "int8") for end in ("onnx", "xml")}
    for end in ("onnx", "xml"):
        plain, small = done[f"plain.{end}"], done[f"int8.{end}"]
        assert (plain.accuracy, plain.loss, plain.agreement, plain.time_ratio) == (1.0, 0.0, 1.0, 1.0)
        assert small.bytes < plain.bytes * 0.75
        assert small.agreement >= 0.85
        pruned = done[f"pruned.{end}"]
        assert pruned.loss == pytest.approx(1.0 - (pruned.accuracy or 0.0), abs=1e-3)
        expected = torch.softmax(logits[0] / 2.0, -1).numpy()
        (found,) = predict(package, f"plain.{end}", TEXTS[0])
        assert found["label"] == truth[0]
        np.testing.assert_allclose(list(found["probs"].values()), expected, atol=0.01)
    assert json.loads((package / "labels.json").read_text()) == list(LABELS)
    assert len(json.loads((package / "measured.json").read_text())) == 6


def test_a_tagger_and_an_encoder_are_exported(tmp_path: Path) -> None:
    tags = ["O", "B-ORG", "I-ORG"]
    folder = make_model(tmp_path / "tagger", "ForTokenClassification", tags)
    store = added(tmp_path, folder)
    done = export(store, TASK, "v1", tmp_path / "names", Samples(TEXTS), kinds=("onnx",), variants=("plain",))
    assert [(one.file, one.agreement, one.accuracy) for one in done] == [("plain.onnx", 1.0, None)]
    text = "Acme raised its forecast"
    (found,) = predict(tmp_path / "names", "plain.onnx", text)
    (logits,) = by_transformers(folder, "AutoModelForTokenClassification", [text])
    said = logits.argmax(-1)[1:-1]
    assert [token[3] for token in found["tokens"]] == [tags[int(k)] for k in said]
    assert [token[2] for token in found["tokens"]] == text.split()

    store.add("embed", "e1", make_model(tmp_path / "encoder", "Model", ["unused"]))
    done = export(store, "embed", "e1", tmp_path / "vectors", Samples(TEXTS), variants=("plain", "int8"))
    assert all(one.agreement > 0.98 for one in done)
    one, other = (predict(tmp_path / "vectors", f"plain.{end}", text)[0]["vector"] for end in ("onnx", "xml"))
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(one, other, atol=0.02)


def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    import torch

    base = make_model(tmp_path / "base", "Model", ["unused"])
    folder = make_adapter(tmp_path / "adapter", base, LABELS)
    store = added(tmp_path, folder)
    export(store, TASK, "v1", tmp_path / "p", Samples(TEXTS[:1]), kinds=("openvino",), variants=("plain",))
    (found,) = predict(tmp_path / "p", "plain.xml", TEXTS[3])
    (logits,) = by_transformers(folder, "AutoModelForSequenceClassification", [TEXTS[3]], base)
    np.testing.assert_allclose(list(found["probs"].values()), torch.softmax(logits, -1).numpy(), atol=0.01)
    with pytest.raises(ModelUnavailable, match="base model"):
        export(store, TASK, "v1", tmp_path / "q", Samples(TEXTS), find_base=lambda name: tmp_path / "none")


def test_what_cannot_be_exported_is_refused_with_a_remedy_and_leaves_nothing(tmp_path: Path) -> None:
    store = added(tmp_path, make_model(tmp_path / "made", "ForSequenceClassification", LABELS))
    store.add("sentiment", "head", SHIPPED / "sentiment")
    with pytest.raises(InvalidInput, match="Train the task with the recipe text_classifier") as caught:
        export(store, "sentiment", "head", tmp_path / "p", Samples(TEXTS))
    assert caught.value.field == "version"
    with pytest.raises(InvalidInput) as caught:
        export(store, TASK, "v1", tmp_path / "p", Samples(()))
    assert caught.value.field == "texts"
    with pytest.raises(InvalidInput) as caught:
        export(store, TASK, "v1", tmp_path / "p", Samples(TEXTS, ("late",)))
    assert caught.value.field == "labels"
    (tmp_path / "there").mkdir()
    with pytest.raises(Conflict, match="there exists already"):
        export(store, TASK, "v1", tmp_path / "there", Samples(TEXTS))
    assert not (tmp_path / "p").exists()
    assert not list(tmp_path.glob("*.part"))
