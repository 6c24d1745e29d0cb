"""Goes on with a model's first lesson, on the company's own texts: guess the hidden words."""

from __future__ import annotations

from pathlib import Path

import torch

from services.errors import InvalidInput
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import base_folder, open_model, open_tokenizer
from services.training.recipes.loop import Pace, leave_version, run_loop
from services.training.recipes.masking import Masked, masked_loss


def fit(job: Job, watch: Watch) -> Path:
    """Train; a folder with the model, which any recipe takes as `base`."""
    from transformers import AutoModelForMaskedLM

    p = job.parameters
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    tokenizer = open_tokenizer(folder)
    if tokenizer.mask_token_id is None:
        raise InvalidInput(f"The base {folder.name} has no mask token; choose one like BERT.", field="base")
    torch.manual_seed(job.seed)
    model = open_model(AutoModelForMaskedLM, folder, p.get("dropout", 0.0))

    def rows(texts: list[str]) -> list[dict[str, list[int]]]:
        found = tokenizer(texts, truncation=True, max_length=p["max_tokens"])["input_ids"] if texts else []
        return [{"input_ids": ids} for ids in found]

    run_loop(
        model,
        rows([e.text for e in job.train]),
        rows([e.text for e in job.validation]),
        Masked(tokenizer, p["mask_share"], job.seed),
        Pace.of(p, job.seed, best_by="loss" if p["patience"] else ""),
        job.folder,
        watch,
        job.settings,
        loss_of=masked_loss,
    )
    return leave_version(model, tokenizer, job.folder)
