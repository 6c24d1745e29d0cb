"""Tunes an encoder so that a question and the text that answers it lie close together.

Every other answer of a batch is pushed away (multiple negatives; Henderson et al., 2017), in mini-batches
whose gradients are cached, so that large batches fit (Gao et al., 2021). No text occurs twice in a batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import base_folder
from services.training.recipes.loop import Pace, drive, forget_checkpoints

_PARTS = (1.0, 0.5, 0.25)
"""Shares of the vector that Matryoshka training makes usable alone (Kusupati et al., 2022)."""


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version, which ENCODER can name."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import CachedMultipleNegativesRankingLoss, MatryoshkaLoss
    from sentence_transformers.training_args import BatchSamplers

    p = job.parameters
    if len(job.train) < 2:
        raise InvalidInput("There are too few pairs to set against one another.", field="datasets")
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    torch.manual_seed(job.seed)
    model = SentenceTransformer(
        str(folder), device=_device(job), trust_remote_code=False, local_files_only=True
    )
    model.max_seq_length = min(int(model.max_seq_length or 512), p["max_tokens"])
    inner: Any = CachedMultipleNegativesRankingLoss(model, mini_batch_size=p["mini_batch"])
    dim = int(model.get_sentence_embedding_dimension() or 0)
    loss = MatryoshkaLoss(model, inner, [round(dim * part) for part in _PARTS]) if p["matryoshka"] else inner
    own = {"batch_sampler": BatchSamplers.NO_DUPLICATES, "train_sampling_strategy": "random"}
    pace = Pace.of(p, job.seed, best_by="loss" if p["patience"] else "", extra=own)

    def make(arguments: Mapping[str, Any], callbacks: list[Any]) -> Any:
        known = {**arguments, "remove_unused_columns": True}
        known.pop("label_names")
        return SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(**known),
            train_dataset=columns(job.train),
            eval_dataset=columns(job.validation) if job.validation else None,
            loss=loss,
            callbacks=callbacks,
        )

    drive(make, len(job.train), bool(job.validation), pace, job.folder, watch, job.settings)
    out = job.folder / "version"
    model.save(str(out), safe_serialization=True, create_model_card=False)
    lengths = out / "sentence_bert_config.json"
    if lengths.is_file():
        told = json.loads(lengths.read_text(encoding="utf-8"))
        lengths.write_text(
            json.dumps(told | {"max_seq_length": model.max_seq_length}) + "\n", encoding="utf-8"
        )
    forget_checkpoints(job.folder)
    return out


def columns(examples: tuple[Example, ...]) -> Any:
    """anchor, positive and, where every example has one, negative."""
    from datasets import Dataset

    found = {"anchor": [e.text for e in examples], "positive": [e.second for e in examples]}
    if all(example.negative for example in examples):
        found["negative"] = [e.negative for e in examples]
    return Dataset.from_dict(found)


def _device(job: Job) -> str:
    return "cuda" if torch.cuda.is_available() and job.settings.training_device != "cpu" else "cpu"
