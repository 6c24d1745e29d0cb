"""Models that write (or guess hidden words) against their base: how surprised each is by what was right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.inference.model_files import version_of
from services.training import gate
from services.training.dataset import Example
from services.training.judging import Case, Judged, told
from services.training.order import Watch
from services.training.recipes import generator, masking, seq2seq
from services.training.recipes.batches import Padded, base_folder, open_model, open_tokenizer

_MOST_ROWS = 500
_SHAPING = ("config.json", "tokenizer.json")


def judge(case: Case, watch: Watch) -> Judged:
    """Perplexity on the test part; the gate compares each row's surprise with that of the base."""
    base = base_folder(case.job.base or case.engine.encoder().name, case.recipe.base_setting)
    test = case.test[:_MOST_ROWS]
    ours = surprises(case, case.made, test)
    watch.stage("baseline")
    theirs = surprises(case, base, test)
    watch.stage("gate")
    verdict = gate.judge_scores(-ours, -theirs, least_gain=case.order.least_gain, seed=case.order.seed)
    metrics, before = figures(ours), figures(theirs)
    report = {"metrics": metrics, "live": before, "gate": told(verdict)}
    version = version_of(base, base.name, case.job.settings.training_runs_dir / ".base", _SHAPING)
    shown = {**metrics, "base_perplexity": before["perplexity"]}
    return Judged(shown, report, verdict, version, base.name, version)


def surprises(case: Case, folder: Path, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Mean negative log-likelihood of each row, nats a token: float64 (n,)."""
    import transformers

    most = case.job.parameters["max_tokens"]
    tokenizer = open_tokenizer(folder)
    pad_id = int(tokenizer.pad_token_id or 0)
    by_kind: dict[str, tuple[Any, Callable[..., Any], Any, Any]] = {
        "generator": (
            transformers.AutoModelForCausalLM,
            generator.answer_loss,
            lambda: generator.rows_of(examples, tokenizer, most),
            Padded(pad_id),
        ),
        "rewriter": (
            transformers.AutoModelForSeq2SeqLM,
            seq2seq.rewrite_loss,
            lambda: seq2seq.rows_of(examples, tokenizer, most),
            seq2seq.Both(pad_id),
        ),
        "base": (
            transformers.AutoModelForMaskedLM,
            masking.masked_loss,
            lambda: [
                {"input_ids": tokenizer(e.text, truncation=True, max_length=most)["input_ids"]}
                for e in examples
            ],
            None,
        ),
    }
    kind, loss_of, rows, collate = by_kind[case.recipe.serves]
    torch.manual_seed(case.order.seed)  # a head that the base lacks is drawn, and the same tokens are hidden
    model = open_model(kind, folder).eval()
    if collate is None:
        collate = masking.Masked(tokenizer, case.job.parameters["mask_share"], case.order.seed)
    with torch.inference_mode():
        return np.array([float(loss_of(model, collate([row]))[0]) for row in rows()], np.float64)


def figures(surprise: NDArray[np.float64]) -> dict[str, float]:
    """The mean, and the perplexity it makes."""
    mean = float(surprise.mean())
    return {
        "rows": float(len(surprise)),
        "loss": round(mean, 4),
        "perplexity": round(math.exp(min(mean, 50.0)), 4),
    }
