"""Fine-tunes a transformer to mark names in texts: begin, inside, outside (BIO), one label a token.

Long texts are cut into pieces by the tokenizer; a span that a cut goes through is marked on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import IGNORED, Padded, base_folder, open_model, open_tokenizer
from services.training.recipes.loop import Pace, forget_checkpoints, run_loop
from services.training.recipes.text_classifier import save, with_lora


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version."""
    from transformers import AutoModelForTokenClassification

    p = job.parameters
    kinds = job.labels
    if not kinds:
        raise InvalidInput("No example has a marked name: there is nothing to learn.", field="spans")
    labels = ("O", *(f"{prefix}-{kind}" for kind in kinds for prefix in ("B", "I")))
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    tokenizer = open_tokenizer(folder)
    torch.manual_seed(job.seed)
    model = open_model(
        AutoModelForTokenClassification,
        folder,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
    )
    if p["method"] == "lora":
        model = with_lora(model, "TOKEN_CLS", p["lora_rank"], p["lora_alpha"])
    run_loop(
        model,
        rows_of(job.train, tokenizer, labels, p["max_tokens"]),
        rows_of(job.validation, tokenizer, labels, p["max_tokens"]),
        Padded(int(tokenizer.pad_token_id or 0)),
        Pace.of(
            p, job.seed, best_by="loss" if p["patience"] else "", head_rate=max(1e-3, p["learning_rate"])
        ),
        job.folder,
        watch,
        job.settings,
        metrics=token_metrics,
    )
    out = job.folder / "version"
    save(model, tokenizer, out, labels, folder, p["max_tokens"])
    forget_checkpoints(job.folder)
    return out


def rows_of(
    examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], max_tokens: int
) -> list[dict[str, Any]]:
    """Token ids and a label for each token; special tokens do not count."""
    rows = []
    for example in examples:
        found = tokenizer(
            example.text,
            truncation=True,
            max_length=max_tokens,
            return_offsets_mapping=True,
            return_overflowing_tokens=True,
        )
        for ids, offsets in zip(found["input_ids"], found["offset_mapping"], strict=True):
            rows.append({"input_ids": ids, "labels": marks(example, offsets, labels)})
    return rows


def marks(example: Example, offsets: Sequence[tuple[int, int]], labels: Sequence[str]) -> list[int]:
    """The label of each token by where it lies; IGNORED for special tokens."""
    found = []
    for start, end in offsets:
        if end <= start:
            found.append(IGNORED)
            continue
        span = next((s for s in example.spans if s.start < end and start < s.end), None)
        if span is None:
            found.append(0)
        else:
            found.append(labels.index(f"{'B' if start <= span.start else 'I'}-{span.label}"))
    return found


def token_metrics(found: Any) -> dict[str, float]:
    """Share of tokens told right, and F1 of tokens inside names."""
    logits = found.predictions[-1] if isinstance(found.predictions, tuple) else found.predictions
    said, truth = np.asarray(logits).argmax(-1), np.asarray(found.label_ids)
    counted = truth != IGNORED
    said, truth = said[counted], truth[counted]
    hits = int(((said == truth) & (truth > 0)).sum())
    return {
        "accuracy": float((said == truth).mean()) if len(truth) else 0.0,
        "token_f1": 2 * hits / max(1, int((said > 0).sum() + (truth > 0).sum())),
    }
