"""The tuned head: an encoder that learned the task, a layer on its vectors, and words beside it.

masked words (perhaps) -> members, each on its folds -> one that learns labels and the members' answers
-> words beside it -> how much each counts, and temperatures, on the validation part -> LoRA form -> files.

The members' answers are taken for rows they were not trained on, so that a wrong label is contradicted by
those who never saw it, and what is taught on is doubt as well as certainty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.encoder_files import EncoderFiles, find_encoder
from services.inference.features import HashSpace
from services.inference.heads import softmax
from services.inference.tokenising import Tokeniser
from services.inference.tuned import SCALE, TunedHead, tensors_of, wordings
from services.registry import manifest as registry
from services.registry.manifest import Manifest
from services.training.augment import agreeing_wholes, joined_headlines
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job, words_layer
from services.training.recipes.adapters import extract_lora, plain_adapter
from services.training.recipes.batches import Padded, named, open_model
from services.training.recipes.bottom import Passing, SetAside, fix, states
from services.training.recipes.loop import Pace, run_loop
from services.training.recipes.masking import learn_masked_words
from services.training.recipes.more import enlarged
from services.training.splitting import folds

Floats = NDArray[np.float32]
VERSION = "version"
_NOT_IN_LORA = ("embeddings", "pooler", "LayerNorm.weight")
"""What the LoRA form cannot hold stays as it is."""
_TAUGHT = 0.5
"""The share of the taught answers in the loss of a model that has both a label and an answer."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples as a tuned encoder reads them: ids, label indices, and whether a company is asked about."""

    examples: tuple[Example, ...]
    ids: list[list[int]]
    truth: NDArray[np.int64]
    towards: NDArray[np.float32]
    states: list[torch.Tensor] | None = None

    def features(self, soft: Floats | None = None) -> list[dict[str, Any]]:
        """What the loop takes; `soft` float32 (n, n_labels), NaN rows have no answer to learn from."""
        return [
            {
                "input_ids": ids,
                "labels": int(label),
                "towards": float(flag),
                **({} if soft is None else {"soft": soft[at].tolist()}),
                **({} if self.states is None else {"states": self.states[at]}),
            }
            for at, (ids, label, flag) in enumerate(zip(self.ids, self.truth, self.towards, strict=True))
        ]


class Tuned(torch.nn.Module):
    """ids, mask int64 (n, width), towards (n,) -> logits float32 (n, n_labels)."""

    aside: SetAside | None
    nudged: Passing | None

    def __init__(self, encoder: Any, dim: int, n_labels: int, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(dim, n_labels)
        self.head_towards = torch.nn.Parameter(torch.zeros(n_labels))
        self.pooling = pooling
        object.__setattr__(self, "nudged", None)  # not a part of its own
        object.__setattr__(self, "aside", None)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)

    def set_aside(self, count: int) -> None:
        """From here on the lower layers' answers are given, not computed."""
        aside = SetAside(self.encoder, count).__enter__()
        object.__setattr__(self, "aside", aside)
        object.__setattr__(self, "nudged", aside.last)

    def whole(self) -> None:
        """The lower layers are there again."""
        if self.aside is not None:
            self.aside.__exit__()
        object.__setattr__(self, "aside", None)
        object.__setattr__(self, "nudged", None)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        towards: torch.Tensor,
        states: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The layer on the normalised vector, as `services.inference.tuned` computes it.

        `states` (n, width, dim), with the lower layers set aside, are what they would say.
        """
        if self.aside is not None:
            self.aside.last.put = states
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        if self.pooling == "cls":
            vec = hidden[:, 0]
        else:
            kept = attention_mask.unsqueeze(-1).float()
            vec = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)
        vec = torch.nn.functional.normalize(vec, dim=1) * SCALE
        found: torch.Tensor = self.head(vec) + towards[:, None].float() * self.head_towards
        return found


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput, ModelFailed, Cancelled, StorageFailed."""
    p = job.parameters
    files = find_encoder(job.base or job.engine.encoder().name, job.settings.training_runs_dir / ".base")
    more = (
        *agreeing_wholes(job.train),
        *joined_headlines(
            job.train, round(p["joined_share"] * sum(e.entity is not None for e in job.train)), job.seed
        ),
    )
    more = (*more, *enlarged(job.train, p["augment_share"], job)[len(job.train) :])
    parts = (job.train, more, job.validation)
    train, extra, checked = (rows_of(part, job.labels, files, p["max_tokens"]) for part in parts)
    if len(set(train.truth)) < 2:
        raise InvalidInput("All examples have one label: there is nothing to tell apart.", field="label")
    start = job.folder / "masked"
    if p["pretrain_epochs"]:
        learn_masked_words([*train.ids], files, start, p["pretrain_epochs"], job, watch)
    begin = start if p["pretrain_epochs"] else files.folder
    if p["frozen_layers"]:
        train, extra, checked = _with_states((train, extra, checked), begin, p["frozen_layers"], watch)
    soft = _taught(job, train, extra, files, begin, watch) if p["members"] > 1 else None
    both = joined(train, extra)
    epochs = p["distil_epochs"] if soft is not None and p["distil_epochs"] else p["epochs"]
    model = _member(job, both, checked, files, begin, "final", epochs, job.seed, watch, soft)
    watch.stage("calibrate")
    model.whole()
    model.cpu()
    if p["full"]:
        model.encoder = extract_lora(model.encoder, files.folder, p["lora_rank"])
    return _write(job, model, files, train, extra, checked)


def _with_states(parts: Sequence[Rows], begin: Path, count: int, watch: Watch) -> list[Rows]:
    """The rows with what the lower layers say of them."""
    from transformers import AutoModel

    encoder = open_model(AutoModel, begin)
    found = states(encoder, count, [ids for part in parts for ids in part.ids])
    watch.line(f"The lower {count} layers have read {len(found)} texts.")
    ends = np.cumsum([0, *(len(part.ids) for part in parts)])
    return [replace(part, states=found[a:b]) for part, a, b in zip(parts, ends, ends[1:], strict=False)]


def rows_of(examples: Sequence[Example], labels: Sequence[str], files: EncoderFiles, max_tokens: int) -> Rows:
    """The examples, read."""
    tokenise = Tokeniser(files.folder / "tokenizer.json", min(files.max_tokens, max_tokens), files.lowercase)
    _, texts = wordings([(e.text, e.entity) for e in examples])
    truth = np.array([labels.index(e.label) for e in examples], np.int64)
    flags = np.array([e.entity is not None for e in examples], np.float32)
    return Rows(tuple(examples), tokenise(texts) if texts else [], truth, flags)


def joined(one: Rows, other: Rows) -> Rows:
    """One after the other."""
    return Rows(
        one.examples + other.examples,
        one.ids + other.ids,
        np.concatenate([one.truth, other.truth]),
        np.concatenate([one.towards, other.towards]),
        None if one.states is None or other.states is None else one.states + other.states,
    )


def answers(model: Tuned, rows: Rows, batch: int = 64) -> Floats:
    """The model's logits, float32 (n, n_labels)."""
    pad = Padded(0)
    order = np.argsort([len(ids) for ids in rows.ids], kind="stable")
    out = np.zeros((len(rows.ids), model.head.out_features), np.float32)
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            fed = pad(
                [
                    {"input_ids": rows.ids[at], "towards": float(rows.towards[at])}
                    | ({} if model.aside is None or rows.states is None else {"states": rows.states[at]})
                    for at in part
                ]
            )
            out[part] = model(**{name: one.to(device) for name, one in fed.items()}).float().cpu().numpy()
    return out


def _taught(job: Job, train: Rows, extra: Rows, files: EncoderFiles, begin: Path, watch: Watch) -> Floats:
    """Each row's answer by the members that did not see it, together with words' answer: (n, n_labels).

    Made-up rows (`extra`) come from rows that members saw; they have no answer (NaN).
    """
    kept = job.folder / "soft.npy"
    if kept.is_file():
        found: Floats = np.load(kept)
        return found
    n_labels = len(job.labels)
    by_encoder, by_words = (np.full((len(train.ids), n_labels), np.nan, np.float32) for _ in range(2))
    fold = folds(train.examples, job.parameters["members"], job.seed)
    for number in range(job.parameters["members"]):
        out, seen = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        rest, held = some(train, seen), some(train, out)
        watch.line(f"Member {number + 1} of {job.parameters['members']}: {len(seen)} rows.")
        model = _member(
            job,
            rest,
            held,
            files,
            begin,
            f"member-{number}",
            job.parameters["epochs"],
            job.seed + number,
            watch,
        )
        by_encoder[out] = answers(model, held)
        by_words[out] = words_layer.frozen_answers(rest.examples, held.examples, job)
    weights = words_layer.stack(by_encoder, by_words, train.truth)
    soft = softmax(weights[0] * by_encoder + weights[1] * by_words)
    right = {
        "encoder": float((by_encoder.argmax(1) == train.truth).mean()),
        "words": float((by_words.argmax(1) == train.truth).mean()),
        "together": float((soft.argmax(1) == train.truth).mean()),
    }
    watch.line("Rows told right by members that did not see them: " + json.dumps(right))
    whole = np.concatenate([soft, np.full((len(extra.ids), n_labels), np.nan, np.float32)])
    np.save(kept, whole)
    return np.asarray(whole, np.float32)


def some(rows: Rows, at: NDArray[np.int64]) -> Rows:
    """The rows with these numbers."""
    return Rows(
        tuple(rows.examples[i] for i in at),
        [rows.ids[i] for i in at],
        rows.truth[at],
        rows.towards[at],
        None if rows.states is None else [rows.states[i] for i in at],
    )


def _member(
    job: Job,
    rows: Rows,
    checked: Rows,
    files: EncoderFiles,
    begin: Path,
    name: str,
    epochs: float,
    seed: int,
    watch: Watch,
    soft: Floats | None = None,
) -> Tuned:
    """One training run, or what an earlier attempt at this job left of it."""
    from transformers import AutoModel

    p = job.parameters
    torch.manual_seed(seed)
    encoder = open_model(AutoModel, begin, p["dropout"])
    model = Tuned(encoder, files.dim, len(job.labels), files.pooling)
    if p["frozen_layers"]:
        fix(encoder, p["frozen_layers"])
        model.set_aside(p["frozen_layers"])
    if p["full"]:
        for part, parameter in encoder.named_parameters():
            if any(word in part for word in _NOT_IN_LORA):
                parameter.requires_grad_(False)
    else:
        from peft import LoraConfig, get_peft_model

        model.encoder = get_peft_model(
            encoder,
            LoraConfig(
                r=p["lora_rank"],
                lora_alpha=p["lora_alpha"],
                target_modules=["query", "key", "value", "dense"],
            ),
        )
    done = job.folder / f"{name}.safetensors"
    if done.is_file():
        from safetensors.torch import load_model

        load_model(model, done)
        return model
    pace = Pace(
        epochs=epochs,
        batch_size=p["batch_size"],
        learning_rate=p["learning_rate"],
        head_rate=max(1e-3, p["learning_rate"]),
        weight_decay=p["weight_decay"],
        warmup_share=p["warmup_share"],
        layer_decay=p["layer_decay"],
        fgm=p["fgm"],
        accumulation=p["accumulation"],
        gradient_checkpointing=p["gradient_checkpointing"],
        patience=p["patience"],
        best_by="macro_f1" if p["patience"] else "",
        seed=seed,
    )
    weights = class_weights(rows.truth, len(job.labels), p["rare_class_power"])
    run_loop(
        model,
        rows.features(soft),
        checked.features(
            None if soft is None else np.full((len(checked.ids), len(job.labels)), np.nan, np.float32)
        ),
        Padded(0),
        pace,
        job.folder / name,
        watch,
        job.settings,
        metrics=_metrics(job.labels),
        loss_of=_loss(weights, p["label_smoothing"]),
    )
    from safetensors.torch import save_model

    save_model(model, str(done))
    return model


def class_weights(truth: NDArray[np.int64], n_labels: int, power: float) -> torch.Tensor:
    """float32 (n_labels,): rare classes count more; 1 on average over the rows."""
    counts = np.maximum(np.bincount(truth, minlength=n_labels), 1)
    weights = (counts.mean() / counts) ** power
    return torch.tensor(weights / weights[truth].mean(), dtype=torch.float32)


def _loss(weights: torch.Tensor, smoothing: float) -> Any:
    def loss_of(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        labels, soft = inputs["labels"], inputs.get("soft")
        logits = model(
            inputs["input_ids"], inputs["attention_mask"], inputs["towards"], inputs.get("states")
        ).float()
        each = torch.nn.functional.cross_entropy(
            logits, labels, weight=weights.to(logits.device), label_smoothing=smoothing, reduction="none"
        )
        if soft is not None:
            known = ~torch.isnan(soft[:, 0])
            target = torch.nan_to_num(soft)
            taught = -(target * logits.log_softmax(1) * weights.to(logits.device)).sum(1)
            each = torch.where(known, (1 - _TAUGHT) * each + _TAUGHT * taught, each)
        return each.mean(), logits

    return loss_of


def _metrics(labels: Sequence[str]) -> Any:
    from services.training.evaluation import evaluate

    def metrics(found: Any) -> dict[str, float]:
        logits = found.predictions[-1] if isinstance(found.predictions, tuple) else found.predictions
        truth = found.label_ids[0] if isinstance(found.label_ids, tuple) else found.label_ids
        shown = evaluate(softmax(np.asarray(logits, np.float32)), np.asarray(truth), tuple(labels))
        return {"macro_f1": shown.macro_f1, "accuracy": shown.accuracy}

    return metrics


def _write(job: Job, model: Tuned, files: EncoderFiles, train: Rows, extra: Rows, checked: Rows) -> Path:
    """Words beside the encoder, how much they count, temperatures; the version's files."""
    space = HashSpace()
    n_labels = len(job.labels)
    by_encoder = answers(model, checked)
    hashed_weights = np.empty((0, n_labels), np.float32)
    bias = model.head.bias.detach().numpy().astype(np.float32)
    counts = 1.0
    if job.parameters["words"]:
        layer = words_layer.fit_words(joined(train, extra).examples, job.labels, space)
        by_words = words_layer.word_answers(layer, checked.examples)
        weights = words_layer.stack(by_encoder, by_words, checked.truth)
        counts = float(weights[1] / weights[0]) if weights[0] > 0 else 0.0
        hashed_weights = (counts * layer.hashed).astype(np.float32)
        bias = bias + counts * layer.bias
        by_encoder = by_encoder + counts * by_words
    temperatures = words_layer.temperatures(by_encoder, checked.truth, checked.towards > 0)
    head = TunedHead(
        labels=job.labels,
        space=space,
        dense=np.ascontiguousarray(model.head.weight.detach().numpy().T.astype(np.float32)),
        towards=model.head_towards.detach().numpy().astype(np.float32),
        hashed=hashed_weights,
        bias=np.asarray(bias, np.float32),
        temperatures=temperatures,
    )
    folder = job.folder / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    model.encoder.save_pretrained(folder, safe_serialization=True)
    plain_adapter(folder, named(files.folder))
    tensors = tensors_of(head)
    adapter = registry.content_version(job.task, files.version, _adapter_tensors(folder))
    manifest = Manifest(
        task=job.task,
        version=registry.content_version(job.task, adapter, tensors),
        base_name=named(files.folder),
        base_version=files.version,
        labels=job.labels,
        languages=job.languages,
        recipe="tuned_head",
        parameters={
            **job.parameters,
            "space": {"words": space.words, "pieces": space.pieces, "around": space.around},
        },
        metrics={"words_count": round(counts, 4)},
        data=(),
        seed=job.seed,
    )
    registry.write(folder, manifest, tensors)
    return folder


def _adapter_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load_file

    return load_file(folder / "adapter_model.safetensors")
