"""What every recipe on Hugging Face's Trainer shares: one loop that can be watched, stopped and resumed.

A run that was killed goes on from its last whole checkpoint; one that runs out of memory goes on with half
the batch and twice the accumulation, so that the same examples make a step; a loss that is no number ends
the run by name. Multi-GPU (torchrun), mixed precision and gradient checkpointing are the Trainer's own.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from services.errors import ModelFailed, StorageFailed
from services.logs import get_logger
from services.training.conf import TrainingSettings
from services.training.order import Cancelled, Watch

log = get_logger(__name__)
Features = Sequence[Mapping[str, Any]]
Metrics = Callable[[Any], dict[str, float]]
_EMBEDDINGS = ("word_embeddings", "embed_tokens", "shared", "wte")


@dataclass(frozen=True, slots=True)
class Pace:
    """How a loop goes. `batch_size` examples make a step, in parts of `batch_size / accumulation`.

    `layer_decay` below 1 lets lower layers learn more slowly: each layer's rate is that times the one above.
    `fgm` is the length of the adversarial step on the word embeddings, 0 for none (Miyato et al., 2017).
    `patience` evaluations without a better `best_by` end the loop; the best state is kept. `head_rate` is the
    learning rate of parameters whose name begins with "head".
    """

    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 2e-4
    head_rate: float = 0.0
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    schedule: str = "linear"
    layer_decay: float = 1.0
    fgm: float = 0.0
    accumulation: int = 1
    gradient_checkpointing: bool = False
    evaluations: int = 4
    patience: int = 0
    best_by: str = ""
    seed: int = 0
    max_steps: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Any], seed: int, **others: Any) -> Pace:
        """From a recipe's parameters; those of other names are left out."""
        known = {name: parameters[name] for name in cls.__dataclass_fields__ if name in parameters}
        return cls(**{**known, "seed": seed, **others})


class Told(TrainerCallback):
    """Tells the Watch and obeys it."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.was_stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Progress; a person who wants the run to stop is heard after any step."""
        self.watch.progress(state.global_step, state.max_steps)
        if self.watch.stopped():
            self.was_stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Curves. Raises ModelFailed when the loss is no number any more."""
        for name, value in (logs or {}).items():
            curve = {"eval_loss": "validation_loss"}.get(name, name.replace("eval_", "validation_"))
            if name in {"loss", "eval_loss"} and not math.isfinite(float(value)):
                raise ModelFailed(
                    f"The loss is not a number any more at step {state.global_step}: nothing learned since "
                    "the last checkpoint can be used. Lower learning_rate, or set TRAINING_PRECISION=fp32."
                )
            timed = name.endswith("_per_second") or name == "eval_runtime"
            if name in {"loss", "learning_rate"} or (name.startswith("eval_") and not timed):
                self.watch.point(curve, state.global_step, float(value))


class Loop(Trainer):
    """The Trainer with layer-wise rates and adversarial steps.

    `loss_of(model, inputs)` gives loss and logits; without it the model's own loss counts.
    """

    def __init__(self, *args: Any, pace: Pace, loss_of: Any = None, **kwargs: Any) -> None:
        self.pace = pace
        self.loss_of = loss_of
        super().__init__(*args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The recipe's own loss where it has one."""
        if self.loss_of is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss, logits = self.loss_of(model, inputs)
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """With `fgm`, the gradient is that of the examples and of the same ones with nudged embeddings.

        The nudge goes to what the table of word embeddings gives out, so it works where the table is frozen;
        each text is moved by `fgm` along its own gradient.
        """
        table = (getattr(model, "nudged", None) or _table(model)) if self.pace.fgm else None
        if table is None:
            return super().training_step(model, inputs, num_items_in_batch)
        given: list[torch.Tensor] = []

        def watched(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            found = output if output.requires_grad else output.detach().requires_grad_(True)
            found.retain_grad()
            given.append(found)
            return found

        hook = table.register_forward_hook(watched)
        try:
            loss = super().training_step(model, dict(inputs), num_items_in_batch)
        finally:
            hook.remove()
        gradient = given[0].grad if given else None
        if gradient is None or not torch.isfinite(gradient).all():
            return loss
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None]
        step = self.pace.fgm * gradient / length
        hook = table.register_forward_hook(lambda module, args, output: output + step.to(output.dtype))
        try:
            super().training_step(model, dict(inputs), num_items_in_batch)
        finally:
            hook.remove()
        return loss

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """AdamW with each layer's own rate, no decay on vectors, and a rate of its own for the head."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(rates(self.model, self.pace), fused=True)
        return self.optimizer


def rates(model: Any, pace: Pace) -> list[dict[str, Any]]:
    """Parameter groups: name -> learning rate and weight decay, alike ones together."""
    layers = 1 + max(
        (at for name, _ in model.named_parameters() if (at := _layer(name)) is not None), default=0
    )
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.split(".")[0] in {"head", "classifier", "score"} or ".modules_to_save." in name:
            rate = pace.head_rate or pace.learning_rate
        elif (at := _layer(name)) is not None:
            rate = pace.learning_rate * pace.layer_decay ** (layers - 1 - at)
        elif "embedding" in name or any(part in name for part in _EMBEDDINGS):
            rate = pace.learning_rate * pace.layer_decay**layers
        else:
            rate = pace.learning_rate
        decay = pace.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def run_loop(
    model: Any,
    train: Features,
    validation: Features | None,
    collate: Any,
    pace: Pace,
    folder: Path,
    watch: Watch,
    settings: TrainingSettings,
    *,
    metrics: Metrics | None = None,
    loss_of: Any = None,
) -> dict[str, list[float]]:
    """Train `model` in place, to its best state when `best_by` is set; what it logged, by name.

    Raises Cancelled (a checkpoint is kept, the same folder goes on), ModelFailed (no number, or no memory
    even for one example), StorageFailed (the disk is full).
    """

    def make(arguments: Mapping[str, Any], callbacks: list[TrainerCallback]) -> Trainer:
        return Loop(
            model=model,
            args=TrainingArguments(**arguments),
            train_dataset=list(train),
            eval_dataset=list(validation) if validation else None,
            data_collator=collate,
            compute_metrics=metrics,
            callbacks=callbacks,
            pace=pace,
            loss_of=loss_of,
        )

    return drive(make, len(train), bool(validation), pace, folder, watch, settings)


def drive(
    make: Callable[[Mapping[str, Any], list[TrainerCallback]], Trainer],
    rows: int,
    evaluates: bool,
    pace: Pace,
    folder: Path,
    watch: Watch,
    settings: TrainingSettings,
) -> dict[str, list[float]]:
    """The loop over any of the Trainer's kin; `make` is given the arguments and the callbacks."""
    parts = max(1, pace.accumulation)
    while True:
        told = Told(watch)
        loop = make(_arguments(pace, parts, folder, settings, evaluates, rows), [told, *_stopping(pace)])
        loop.remove_callback(PrinterCallback)
        try:
            _train(loop, folder, watch)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _no_memory(error):
                raise
            if parts * 2 > pace.batch_size:
                raise ModelFailed(
                    "There is not enough memory for one example: set max_tokens lower, choose a smaller "
                    "base, or run on another machine."
                ) from error
            parts *= 2
            at_once = max(1, pace.batch_size // parts)
            watch.line(f"Out of memory: going on with {at_once} examples at a time.")
            del loop
            _free()
            continue
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise StorageFailed(
                "The disk is full: the run's last whole checkpoint is kept. Free space and resume the run."
            ) from error
        if told.was_stopped:
            raise Cancelled("The run was stopped; it can go on from its last checkpoint.")
        return _history(loop.state.log_history)


def precision(settings: TrainingSettings) -> tuple[str, bool]:
    """("bf16" | "fp16" | "fp32", on a CPU?). bf16 is chosen where matrix products are faster in it."""
    cpu = settings.training_device == "cpu" or not torch.cuda.is_available()
    if settings.training_precision != "auto":
        return settings.training_precision, cpu
    if cpu:
        fast = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
        return ("bf16" if fast else "fp32"), True
    return ("bf16" if torch.cuda.is_bf16_supported() else "fp16"), False


def _arguments(
    pace: Pace, parts: int, folder: Path, settings: TrainingSettings, evaluates: bool, rows: int
) -> dict[str, Any]:
    kind, cpu = precision(settings)
    if settings.training_threads:
        torch.set_num_threads(settings.training_threads)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    steps = pace.max_steps or max(1, math.ceil(rows / pace.batch_size * pace.epochs))
    every = max(1, steps // max(1, pace.evaluations))
    best = bool(pace.best_by) and evaluates
    found: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "per_device_train_batch_size": max(1, pace.batch_size // parts),
        "per_device_eval_batch_size": max(1, 64 // parts),
        "gradient_accumulation_steps": parts,
        "num_train_epochs": pace.epochs,
        "max_steps": pace.max_steps or -1,
        "learning_rate": pace.learning_rate,
        "lr_scheduler_type": pace.schedule,
        "warmup_steps": max(1, round(steps * pace.warmup_share)) if pace.warmup_share else 0,
        "weight_decay": pace.weight_decay,
        "max_grad_norm": 1.0,
        "bf16": kind == "bf16",
        "fp16": kind == "fp16",
        "use_cpu": cpu,
        "gradient_checkpointing": pace.gradient_checkpointing,
        "logging_steps": max(1, steps // 100),
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": best,
        "metric_for_best_model": pace.best_by or None,
        "greater_is_better": not pace.best_by.endswith("loss") if best else None,
        "seed": pace.seed,
        "data_seed": pace.seed,
        "train_sampling_strategy": "group_by_length" if rows > pace.batch_size else "random",
        "remove_unused_columns": False,
        "dataloader_pin_memory": not cpu,
        "disable_tqdm": True,
        "report_to": settings.reporters,
        "label_names": ["labels"],
        "log_level": "error",
    }
    return {**found, **pace.extra}


def _train(loop: Any, folder: Path, watch: Watch) -> None:
    """From the newest checkpoint that is whole; one that cannot be read is put aside and said so."""
    while True:
        newest = last_checkpoint(folder)
        try:
            if newest is not None:
                watch.line(f"Going on from {newest.name}.")
            loop.train(resume_from_checkpoint=str(newest) if newest else None)
            return
        except (ModelFailed, Cancelled, torch.OutOfMemoryError):
            raise
        except Exception as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            if newest is None or full or _no_memory(error):
                raise
            if loop.state.global_step > int(newest.name.rsplit("-", 1)[1]):
                raise  # it was read, and went on
            watch.line(f"{newest.name} cannot be read ({type(error).__name__}); the one before it is used.")
            shutil.rmtree(newest)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose files are all there; half-written ones are removed."""
    found = [path for path in (folder / "checkpoints").glob("checkpoint-*") if path.name[11:].isdigit()]
    for path in sorted(found, key=lambda path: -int(path.name[11:])):
        if _whole(path):
            return path
        shutil.rmtree(path, ignore_errors=True)
    return None


def forget_checkpoints(folder: Path) -> None:
    """What a finished run needs no more."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def leave_version(model: Any, tokenizer: Any, folder: Path) -> Path:
    """The folder of the version: all of the model, and its tokenizer. The checkpoints are removed."""
    out = folder / "version"
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    forget_checkpoints(folder)
    return out


def _whole(path: Path) -> bool:
    """Whether the state, the weights and the optimizer can be opened; the state is written last."""
    import json

    from safetensors import SafetensorError, safe_open

    weights = list(path.rglob("*.safetensors"))
    try:
        json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        for file in weights:
            with safe_open(file, "pt") as opened:
                opened.keys()
        torch.load(path / "optimizer.pt", map_location="meta", weights_only=True)
    except (OSError, ValueError, SafetensorError, RuntimeError, EOFError, KeyError) as error:
        log.warning("checkpoint_not_whole", name=path.name, error=type(error).__name__)
        return False
    except Exception as error:  # what a damaged archive may raise is not listed anywhere
        log.warning("checkpoint_not_whole", name=path.name, error=type(error).__name__)
        return False
    return bool(weights)


def _stopping(pace: Pace) -> list[Any]:
    if not pace.patience or not pace.best_by:
        return []
    from transformers import EarlyStoppingCallback

    return [EarlyStoppingCallback(early_stopping_patience=pace.patience)]


def _history(logged: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for entry in logged:
        for name, value in entry.items():
            if isinstance(value, int | float):
                found.setdefault(name, []).append(float(value))
    return found


def _no_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate" in words


def _free() -> None:
    import gc

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _layer(name: str) -> int | None:
    """The number of the layer a parameter belongs to: "encoder.layer.3.attention…" -> 3."""
    parts = name.split(".")
    for before, at in pairwise(parts):
        if before in {"layer", "layers", "h", "block"} and at.isdigit():
            return int(at)
    return None


def _table(model: Any) -> Any:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and any(part in name for part in _EMBEDDINGS):
            return module
    return None
