"""Fine-tunes any transformer to tell labels: whole, through LoRA, or from a few examples of each.

A row towards a company is read as a pair, text and company. What is written is what transformers itself
reads (an adapter for LoRA), with a temperature taken from the validation part beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.heads import softmax
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job, few_shot
from services.training.recipes.adapters import plain_adapter
from services.training.recipes.batches import Padded, base_folder, named, open_model, open_tokenizer
from services.training.recipes.loop import Pace, forget_checkpoints, run_loop
from services.training.recipes.more import enlarged
from services.training.recipes.text_head import calibrate

Floats = NDArray[np.float32]
_LORA_TARGETS = "all-linear"
_HEADS = ["classifier", "score"]


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput, ModelFailed, Cancelled, StorageFailed."""
    if job.parameters["method"] == "few_shot":
        return few_shot.fit(job, watch)
    from transformers import AutoModelForSequenceClassification

    p = job.parameters
    many = any(example.labels for example in job.train)
    if len(job.labels) < 2:
        raise InvalidInput("All examples have one label: there is nothing to tell apart.", field="label")
    folder = base_folder(job.base or job.engine.encoder().name, "ENCODER")
    tokenizer = open_tokenizer(folder)
    torch.manual_seed(job.seed)
    model = open_model(
        AutoModelForSequenceClassification,
        folder,
        p["dropout"],
        num_labels=len(job.labels),
        id2label=dict(enumerate(job.labels)),
        label2id={label: at for at, label in enumerate(job.labels)},
        problem_type="multi_label_classification" if many else "single_label_classification",
        ignore_mismatched_sizes=True,
    )
    if p["method"] == "lora":
        model = with_lora(model, "SEQ_CLS", p["lora_rank"], p["lora_alpha"])
    learned = enlarged(job.train, p["augment_share"], job)
    rows = rows_of(learned, tokenizer, job.labels, many, p["max_tokens"])
    checked = rows_of(job.validation, tokenizer, job.labels, many, p["max_tokens"])
    pad = Padded(int(tokenizer.pad_token_id or 0), types="token_type_ids" in tokenizer.model_input_names)
    run_loop(
        model,
        rows,
        checked,
        pad,
        Pace.of(
            p, job.seed, best_by="macro_f1" if p["patience"] else "", head_rate=max(1e-3, p["learning_rate"])
        ),
        job.folder,
        watch,
        job.settings,
        metrics=metrics_of(job.labels, many),
        loss_of=loss_of(rows, len(job.labels), many, p),
    )
    watch.stage("calibrate")
    out = job.folder / "version"
    save(model, tokenizer, out, job.labels, folder, p["max_tokens"])
    if checked and not many:
        logits = logits_of(model, checked, pad, len(job.labels))
        truth = np.array([row["labels"] for row in checked], np.int64)
        temperature = calibrate(logits, truth, np.zeros(len(truth), np.bool_))[0]
        (out / "calibration.json").write_text(json.dumps({"temperature": round(temperature, 4)}) + "\n")
    forget_checkpoints(job.folder)
    return out


def with_lora(model: Any, kind: str, rank: int, alpha: float) -> Any:
    """The model with LoRA matrices at every linear layer (Hu et al., 2021); the rest is fixed."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type=kind,  # type: ignore[arg-type]
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        target_modules=_LORA_TARGETS,
        exclude_modules=_HEADS if kind.endswith("_CLS") else None,  # kept whole
    )
    return get_peft_model(model, config)


def rows_of(
    examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], many: bool, max_tokens: int
) -> list[dict[str, Any]]:
    """What the loop takes."""
    rows = []
    for example in examples:
        second = {} if example.entity is None else {"text_pair": example.entity}
        found = tokenizer(example.text, truncation="longest_first", max_length=max_tokens, **second)
        label: Any = labels.index(example.label) if not many else 0
        if many:
            label = torch.tensor([float(one in example.labels) for one in labels])
        row = {"input_ids": found["input_ids"], "labels": label}
        if "token_type_ids" in found:
            row["token_type_ids"] = found["token_type_ids"]
        rows.append(row)
    return rows


def loss_of(rows: Sequence[dict[str, Any]], n_labels: int, many: bool, p: Any) -> Any:
    """Cross-entropy with rare classes weighed up and labels smoothed, on mixed examples where asked for.

    Mixing: two texts' word vectors and labels, in shares drawn from a Beta (Zhang et al., 2018).
    """
    from services.training.recipes.tuned_head import class_weights

    truth = np.zeros(0, np.int64) if many else np.array([row["labels"] for row in rows], np.int64)
    weights = None if many else class_weights(truth, n_labels, p["rare_class_power"])
    mixing, smoothing = p["mixing"], p["label_smoothing"]

    def cost(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if many:
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
        return torch.nn.functional.cross_entropy(
            logits,
            labels,
            weight=None if weights is None else weights.to(logits.device),
            label_smoothing=smoothing,
        )

    def loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        fed = {name: one for name, one in inputs.items() if name != "labels"}
        if not mixing or not model.training:
            logits = model(**fed).logits.float()
            return cost(logits, inputs["labels"]), logits
        share = float(np.random.beta(mixing, mixing))
        other = torch.randperm(len(inputs["labels"]), device=inputs["labels"].device)
        vectors = model.get_input_embeddings()(fed.pop("input_ids"))
        fed["attention_mask"] = torch.maximum(fed["attention_mask"], fed["attention_mask"][other])
        logits = model(inputs_embeds=share * vectors + (1 - share) * vectors[other], **fed).logits.float()
        loss = share * cost(logits, inputs["labels"]) + (1 - share) * cost(logits, inputs["labels"][other])
        return loss, logits

    return loss


def metrics_of(labels: Sequence[str], many: bool) -> Any:
    """What the loop shows after each evaluation."""
    from services.training.evaluation import evaluate

    def metrics(found: Any) -> dict[str, float]:
        logits = found.predictions[-1] if isinstance(found.predictions, tuple) else found.predictions
        logits, truth = np.asarray(logits, np.float32), np.asarray(found.label_ids)
        if many:
            said, wanted = logits > 0, truth > 0.5
            hits = (said & wanted).sum()
            return {"micro_f1": float(2 * hits / max(1, said.sum() + wanted.sum()))}
        shown = evaluate(softmax(logits), truth.astype(np.int64), tuple(labels))
        return {"macro_f1": shown.macro_f1, "accuracy": shown.accuracy}

    return metrics


def logits_of(model: Any, rows: Sequence[dict[str, Any]], pad: Padded, n_labels: int) -> Floats:
    """float32 (n, n_labels), in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]["input_ids"]))
    out = np.zeros((len(rows), n_labels), np.float32)
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            fed = pad([{k: v for k, v in rows[at].items() if k != "labels"} for at in part])
            out[part] = model(**{k: v.to(device) for k, v in fed.items()}).logits.float().cpu().numpy()
    return out


def save(model: Any, tokenizer: Any, out: Path, labels: Sequence[str], base: Path, max_tokens: int) -> None:
    """The folder that `services.inference.model_files` reads: safetensors, tokenizer, labels.

    An adapter names its base as it is named in settings, never by where it lies on this machine, and has
    no tokenizer of its own. Its weights are kept in float16.
    """
    model.save_pretrained(out, safe_serialization=True)
    adapter = out / "adapter_config.json"
    if adapter.is_file():
        plain_adapter(out, named(base))
        told = {
            "id2label": dict(enumerate(labels)),
            "problem_type": getattr(model.config, "problem_type", None),
        }
        (out / "config.json").write_text(json.dumps(told, indent=1) + "\n")
        return
    tokenizer.model_max_length = max(1, min(int(tokenizer.model_max_length), max_tokens))
    tokenizer.save_pretrained(out)
