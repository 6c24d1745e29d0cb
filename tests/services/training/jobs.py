"""Jobs on models made on the spot, and a Watch that remembers what it was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.inference.fake import FakeEngine
from services.training.conf import TrainingSettings
from services.training.dataset import Example
from services.training.recipes import RECIPES, Job, whole
from tests.services.inference.tiny_models import write_tokenizer

SETTINGS = {"training_precision": "fp32", "training_device": "cpu"}


class Remembering:
    """What a run said, in order; `stop_at` stops it at that step, `stop` at any time."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stages: list[str] = []
        self.lines: list[str] = []
        self.curves: dict[str, list[float]] = defaultdict(list)
        self.done = 0
        self.stop_at = stop_at

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def progress(self, done: int, total: int) -> None:
        self.done = done

    def point(self, curve: str, step: int, value: float) -> None:
        self.curves[curve].append(value)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def stopped(self) -> bool:
        return self.stop_at is not None and self.done >= self.stop_at


def tiny_base(folder: Path, layers: int = 2) -> Path:
    """An encoder with random weights that learns readily."""
    import torch
    from transformers import BertConfig, BertModel

    write_tokenizer(folder)
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        BertModel(config).save_pretrained(folder)
    return folder


def job(
    recipe: str,
    folder: Path,
    train: Sequence[Example],
    validation: Sequence[Example] = (),
    *,
    base: Path | str = "",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    **parameters: Any,
) -> Job:
    """What a recipe is given, with the recipe's other parameters as by default."""
    labels = {e.label for e in train if e.label} | {one for e in train for one in e.labels}
    labels |= {span.label for e in train for span in e.spans}
    return Job(
        task="mood",
        train=tuple(train),
        validation=tuple(validation),
        labels=tuple(sorted(labels)),
        languages=("en",),
        parameters=whole(RECIPES[recipe], parameters),
        base=str(base),
        seed=seed,
        folder=folder,
        settings=TrainingSettings(**{**SETTINGS, "training_runs_dir": folder, **(settings or {})}),
        engine=FakeEngine(),
    )
