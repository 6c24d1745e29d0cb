"""From a few examples of each label: draw alike ones together, then one layer on the vectors.

Contrastive pairs make much of little (Tunstall et al., 2022): from n examples come n times `pairs_each`
comparisons. What is written is an encoder of its own with a layer on it (`services.inference.tuned`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.errors import InvalidInput
from services.inference.encoder_files import find_encoder
from services.inference.features import HashSpace
from services.inference.tuned import ENCODER, SCALE, TunedHead, tensors_of, wordings
from services.registry import manifest as registry
from services.registry.manifest import Manifest
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import base_folder
from services.training.recipes.embedder import _device
from services.training.recipes.loop import Pace, drive, forget_checkpoints
from services.training.recipes.text_head import calibrate

_STRENGTH = 10.0


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput for labels with fewer than two examples."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import CosineSimilarityLoss

    p = job.parameters
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    torch.manual_seed(job.seed)
    model = SentenceTransformer(
        str(folder), device=_device(job), trust_remote_code=False, local_files_only=True
    )
    model.max_seq_length = min(int(model.max_seq_length or 512), p["max_tokens"])
    pairs = compared(job.train, p["pairs_each"], job.seed)
    pace = Pace.of(p, job.seed, evaluations=1, extra={"train_sampling_strategy": "random"})

    def make(arguments: Mapping[str, Any], callbacks: list[Any]) -> Any:
        from datasets import Dataset

        known = {**arguments, "remove_unused_columns": True}
        known.pop("label_names")
        return SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(**known),
            train_dataset=Dataset.from_dict(pairs),
            loss=CosineSimilarityLoss(model),
            callbacks=callbacks,
        )

    drive(make, len(pairs["label"]), False, pace, job.folder, watch, job.settings)
    watch.stage("calibrate")
    out = job.folder / "version"
    model.save(str(out / ENCODER), safe_serialization=True, create_model_card=False)
    _write(job, model, out)
    forget_checkpoints(job.folder)
    return out


def compared(examples: Sequence[Example], each: int, seed: int) -> dict[str, list[Any]]:
    """sentence1, sentence2 and label (1 for one label, 0 for two), half and half, `each` an example."""
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[int]] = {}
    for at, example in enumerate(examples):
        by_label.setdefault(example.label, []).append(at)
    if len(by_label) < 2 or max(map(len, by_label.values())) < 2:
        raise InvalidInput(
            "few_shot needs two labels at least, and two examples of one of them.", field="datasets"
        )
    _, texts = wordings([(e.text, e.entity) for e in examples])
    found: dict[str, list[Any]] = {"sentence1": [], "sentence2": [], "label": []}
    for at, example in enumerate(examples):
        same = [other for other in by_label[example.label] if other != at]
        others = [other for label, rows in by_label.items() if label != example.label for other in rows]
        for number in range(each):
            alike = bool(same) and number % 2 == 0
            drawn = int(rng.choice(same if alike else others))
            found["sentence1"].append(texts[at])
            found["sentence2"].append(texts[drawn])
            found["label"].append(float(alike))
    return found


def _write(job: Job, model: Any, out: Path) -> None:
    """A layer on the tuned vectors, its temperature, and the manifest."""
    from sklearn.linear_model import LogisticRegression

    def vectors(examples: Sequence[Example]) -> Any:
        _, texts = wordings([(e.text, e.entity) for e in examples])
        return SCALE * model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    truth = np.array([job.labels.index(e.label) for e in job.train], np.int64)
    layer = LogisticRegression(C=_STRENGTH / SCALE**2, max_iter=1000, class_weight="balanced")
    layer.fit(vectors(job.train), truth)
    n = len(job.labels)
    dense = np.zeros((model.get_sentence_embedding_dimension(), n), np.float32)
    bias = np.full(n, -30.0, np.float32)
    if len(layer.classes_) == 2:
        dense[:, layer.classes_[0]], dense[:, layer.classes_[1]] = -layer.coef_[0] / 2, layer.coef_[0] / 2
        bias[layer.classes_] = [-layer.intercept_[0] / 2, layer.intercept_[0] / 2]
    else:
        dense[:, layer.classes_] = layer.coef_.T
        bias[layer.classes_] = layer.intercept_
    temperatures = (1.0, 1.0)
    if job.validation:
        logits = (vectors(job.validation) @ dense + bias).astype(np.float32)
        wanted = np.array([job.labels.index(e.label) for e in job.validation], np.int64)
        towards = np.array([e.entity is not None for e in job.validation], np.bool_)
        temperatures = calibrate(logits, wanted, towards)
    space = HashSpace()
    head = TunedHead(
        job.labels, space, dense, np.zeros(n, np.float32), np.empty((0, n), np.float32), bias, temperatures
    )
    files = find_encoder(str(out / ENCODER), job.settings.training_runs_dir / ".base")
    tensors = tensors_of(head)
    sizes = {"words": space.words, "pieces": space.pieces, "around": space.around}
    manifest = Manifest(
        task=job.task,
        version=registry.content_version(job.task, files.version, tensors),
        base_name=ENCODER,
        base_version=files.version,
        labels=job.labels,
        languages=job.languages,
        recipe="few_shot",
        parameters={**job.parameters, "space": sizes},
        metrics={},
        data=(),
        seed=job.seed,
    )
    registry.write(out, manifest, tensors)
