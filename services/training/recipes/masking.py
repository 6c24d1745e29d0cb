"""Masked-language modelling: hide some tokens, have the model say what they were (Devlin et al., 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from services.inference.encoder_files import EncoderFiles
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import IGNORED, Padded, open_model, open_tokenizer
from services.training.recipes.bottom import fix
from services.training.recipes.loop import Pace, forget_checkpoints, run_loop


class Masked:
    """Batches with tokens hidden: of the chosen ones 80 % become the mask, 10 % another word, 10 % stay."""

    def __init__(self, tokenizer: Any, share: float, seed: int) -> None:
        self._pad = Padded(int(tokenizer.pad_token_id or 0))
        self._special = torch.tensor(sorted(set(tokenizer.all_special_ids)))
        self._mask, self._words = int(tokenizer.mask_token_id), len(tokenizer)
        self._share = share
        self._draw = torch.Generator().manual_seed(seed)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask, and labels (n, width) that are set at hidden places only."""
        fed = self._pad([{"input_ids": row["input_ids"]} for row in rows])
        ids = fed["input_ids"]
        usable = fed["attention_mask"].bool() & ~torch.isin(ids, self._special)
        drawn = torch.rand(ids.shape, generator=self._draw)
        chosen = usable & (drawn < self._share)
        fed["labels"] = torch.where(chosen, ids, IGNORED)
        how = torch.rand(ids.shape, generator=self._draw)
        words = torch.randint(0, self._words, ids.shape, generator=self._draw)
        ids = torch.where(chosen & (how < 0.8), self._mask, ids)
        fed["input_ids"] = torch.where(chosen & (how >= 0.8) & (how < 0.9), words, ids)
        return fed


def masked_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean surprise at the hidden places; only those go through the vocabulary layer, the large one."""
    labels = inputs["labels"]
    hidden = model.base_model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
    ).last_hidden_state
    chosen = labels != IGNORED
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)
    if head is None:
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[chosen]
    else:
        logits = head(hidden[chosen])
    wanted = labels[chosen]
    if not len(wanted):
        return hidden.sum() * 0.0, torch.zeros((len(labels), 1), device=labels.device)
    loss = torch.nn.functional.cross_entropy(logits.float(), wanted)
    return loss, loss.detach().expand(len(labels), 1)


def learn_masked_words(
    ids: Sequence[Sequence[int]], files: EncoderFiles, folder: Path, epochs: float, job: Job, watch: Watch
) -> None:
    """An encoder that has read these texts, its embeddings as they were, left in `folder`; once a job."""
    from transformers import AutoModelForMaskedLM

    if (folder / "config.json").is_file():
        return
    torch.manual_seed(job.seed)
    model = open_model(AutoModelForMaskedLM, files.folder)
    fix(model.base_model, job.parameters.get("frozen_layers", 0))
    pace = Pace(
        epochs=epochs,
        batch_size=64,
        learning_rate=3e-4,
        weight_decay=0.01,
        evaluations=2,
        seed=job.seed,
    )
    collate = Masked(open_tokenizer(files.folder), 0.15, job.seed)
    rows = [{"input_ids": list(one)} for one in ids]
    run_loop(model, rows, None, collate, pace, folder, watch, job.settings, loss_of=masked_loss)
    model.base_model.save_pretrained(folder, safe_serialization=True)
    forget_checkpoints(folder)
