"""Tunes a cross-encoder: question and text are read together, and one number says how well they fit.

Wrong answers are those the live encoder finds most alike without being right: the ones worth telling apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.inference.engine import Engine
from services.inference.values import Priority
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import Padded, base_folder, open_model, open_tokenizer
from services.training.recipes.loop import Pace, forget_checkpoints, run_loop
from services.training.recipes.text_classifier import save

_FIRST_OF = 50
"""Wrong answers are drawn from this many of the most alike."""


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version, which RERANKER can name."""
    from transformers import AutoModelForSequenceClassification

    p = job.parameters
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    tokenizer = open_tokenizer(folder)
    torch.manual_seed(job.seed)
    model = open_model(
        AutoModelForSequenceClassification,
        folder,
        num_labels=1,
        id2label={0: "relevance"},
        ignore_mismatched_sizes=True,
    )
    rng = np.random.default_rng(job.seed)

    def rows(examples: Sequence[Example]) -> list[dict[str, Any]]:
        found = []
        for question, text, right in paired(examples, p["negatives"], job.engine, rng):
            row = tokenizer(question, text, truncation="longest_first", max_length=p["max_tokens"])
            kept = {name: row[name] for name in ("input_ids", "token_type_ids") if name in row}
            found.append({**kept, "labels": torch.tensor(right)})
        return found

    def loss_of(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        fed = {name: one for name, one in inputs.items() if name != "labels"}
        logits = model(**fed).logits[:, 0].float()
        weight = torch.tensor(float(p["negatives"]), device=logits.device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, inputs["labels"].float(), pos_weight=weight
        )
        return loss, logits[:, None]

    run_loop(
        model,
        rows(job.train),
        rows(job.validation),
        Padded(int(tokenizer.pad_token_id or 0), types="token_type_ids" in tokenizer.model_input_names),
        Pace.of(
            p, job.seed, best_by="loss" if p["patience"] else "", head_rate=max(1e-3, p["learning_rate"])
        ),
        job.folder,
        watch,
        job.settings,
        loss_of=loss_of,
    )
    out = job.folder / "version"
    save(model, tokenizer, out, ("relevance",), folder, p["max_tokens"])
    forget_checkpoints(job.folder)
    return out


def paired(
    examples: Sequence[Example], negatives: int, engine: Engine, rng: np.random.Generator
) -> list[tuple[str, str, float]]:
    """(question, text, 1 or 0): each right answer, and wrong ones that the encoder finds alike."""
    if not examples:
        return []
    texts = list(dict.fromkeys(e.second for e in examples))
    right: dict[str, set[str]] = {}
    for example in examples:
        right.setdefault(example.text, set()).add(example.second)
    questions = engine.embed([e.text for e in examples], priority=Priority.BATCH)
    answers = engine.embed(texts, priority=Priority.BATCH)
    found = []
    for row, example in enumerate(examples):
        found.append((example.text, example.second, 1.0))
        alike = np.argsort(-(answers @ questions[row]))[:_FIRST_OF]
        wrong = [texts[at] for at in alike if texts[at] not in right[example.text]]
        if example.negative:
            found.append((example.text, example.negative, 0.0))
        drawn = rng.permutation(len(wrong))[: negatives - bool(example.negative)]
        found += [(example.text, wrong[at], 0.0) for at in drawn]
    return found
