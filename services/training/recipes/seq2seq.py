"""Tunes an encoder-decoder to turn one text into another: summaries, translation, rewording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import IGNORED, Padded, base_folder, open_model, open_tokenizer
from services.training.recipes.loop import Pace, leave_version, run_loop


class Both:
    """Batches of two lengths: the text, and what it becomes as `labels`."""

    def __init__(self, pad_id: int) -> None:
        self._pad = Padded(pad_id)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask (n, width) and labels (n, width of the answers)."""
        fed = self._pad([{"input_ids": row["input_ids"]} for row in rows])
        answers = self._pad([{"input_ids": row["labels"]} for row in rows])
        hidden = answers["attention_mask"] == 0
        fed["labels"] = answers["input_ids"].masked_fill(hidden, IGNORED)
        return fed


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version."""
    from transformers import AutoModelForSeq2SeqLM

    p = job.parameters
    if not job.base:
        raise InvalidInput(
            "A rewriter needs a base model: name a folder or a model of the hub.", field="base"
        )
    folder = base_folder(job.base, "base")
    tokenizer = open_tokenizer(folder)
    torch.manual_seed(job.seed)
    model = open_model(AutoModelForSeq2SeqLM, folder)
    run_loop(
        model,
        rows_of(job.train, tokenizer, p["max_tokens"]),
        rows_of(job.validation, tokenizer, p["max_tokens"]),
        Both(int(tokenizer.pad_token_id or 0)),
        Pace.of(p, job.seed, best_by="loss" if p["patience"] else ""),
        job.folder,
        watch,
        job.settings,
        loss_of=rewrite_loss,
    )
    return leave_version(model, tokenizer, job.folder)


def rows_of(examples: Sequence[Example], tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:
    """Ids of the text and of what it becomes, the end token included."""
    end = tokenizer.eos_token_id
    found = []
    for example in examples:
        ids = tokenizer(example.text, truncation=True, max_length=max_tokens)["input_ids"]
        answer = tokenizer(text_target=example.second, truncation=True, max_length=max_tokens)["input_ids"]
        if end is not None and (not answer or answer[-1] != end):
            answer = [*answer[: max_tokens - 1], end]
        found.append({"input_ids": ids, "labels": answer})
    return found


def rewrite_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean surprise at the tokens of what the texts become."""
    loss = model(**inputs).loss
    return loss, loss.detach().expand(len(inputs["input_ids"]), 1)
