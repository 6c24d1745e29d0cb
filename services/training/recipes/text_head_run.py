"""The text head as a run: fit on the training part, calibrate on the validation part, then fit on both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.inference.engine import Engine
from services.inference.features import Features, featurise
from services.inference.heads import TextHead, head_tensors, logits, softmax
from services.inference.values import Priority, Vectors
from services.registry import manifest as registry
from services.registry.manifest import Manifest
from services.training.augment import agreeing_wholes, joined_headlines
from services.training.dataset import Example
from services.training.evaluation import evaluate
from services.training.order import Cancelled, Watch
from services.training.recipes import Job, text_head
from services.training.recipes.text_head import Step, TextHeadRecipe

Embed = Callable[[list[str]], Vectors]
SoFar = Callable[[], TextHead]
_CHUNK = 512


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput, Cancelled, what `Engine.embed` raises."""
    recipe = TextHeadRecipe(**{name: value for name, value in job.parameters.items() if name != "words"})
    embed = _remembered(job.engine, watch)
    head = fitted(job.train, job.validation, job.labels, embed, recipe, job.seed, watch)
    folder = job.folder / "version"
    tensors = head_tensors(head)
    encoder = job.engine.encoder()
    manifest = Manifest(
        task=job.task,
        version=registry.content_version(job.task, encoder.version, tensors),
        base_name=encoder.name,
        base_version=encoder.version,
        labels=job.labels,
        languages=job.languages,
        recipe=recipe.name,
        parameters=recipe.parameters(),
        metrics={},
        data=(),
        seed=job.seed,
    )
    registry.write(folder, manifest, tensors)
    return folder


def fitted(
    train: Sequence[Example],
    validation: Sequence[Example],
    labels: tuple[str, ...],
    embed: Embed,
    recipe: TextHeadRecipe,
    seed: int,
    watch: Watch,
) -> TextHead:
    """A head fitted on both parts, its temperatures taken from a trial that saw the first alone.

    Curves: loss, validation_loss and validation_macro_f1 of the trial, final_loss of the fit on both.
    """
    if not validation:
        return _fit(train, labels, embed, recipe, seed, _plain(watch, "loss", recipe))
    features, truth = _features(validation, embed, recipe), _indices(validation, labels)
    on_step = _plain(watch, "loss", recipe)

    def on_trial(step: int, loss: float, so_far: SoFar) -> None:
        on_step(step, loss, so_far)
        probs = softmax(logits(so_far(), features))
        likely = probs[np.arange(len(truth)), truth]
        watch.point("validation_loss", step, float(-np.log(np.maximum(likely, 1e-12)).mean()))
        watch.point("validation_macro_f1", step, evaluate(probs, truth, labels).macro_f1)

    trial = _fit(train, labels, embed, recipe, seed, on_trial)
    temperatures = text_head.calibrate(logits(trial, features), truth, features.towards)
    on_both = _plain(watch, "final_loss", recipe)
    both = _fit([*train, *validation], labels, embed, recipe, seed, on_both)
    return replace(both, temperatures=temperatures)


def _plain(watch: Watch, curve: str, recipe: TextHeadRecipe) -> Step:
    """Every step as a point of a curve and as progress, with an ear for a stop."""

    def told(step: int, loss: float, so_far: SoFar) -> None:
        if watch.stopped():
            raise Cancelled("The run was stopped.")
        watch.point(curve, step, loss)
        watch.progress(step, recipe.max_steps)

    return told


def _fit(
    examples: Sequence[Example],
    labels: tuple[str, ...],
    embed: Embed,
    recipe: TextHeadRecipe,
    seed: int,
    step: Step,
) -> TextHead:
    """The recipe on these examples and what `augment` makes of them."""
    joined = round(recipe.joined_share * sum(example.entity is not None for example in examples))
    more = [*examples, *agreeing_wholes(examples), *joined_headlines(examples, joined, seed)]
    return text_head.fit(_features(more, embed, recipe), _indices(more, labels), labels, recipe, step)


def _features(examples: Sequence[Example], embed: Embed, recipe: TextHeadRecipe) -> Features:
    return featurise([(example.text, example.entity) for example in examples], embed, recipe.space)


def _indices(examples: Sequence[Example], labels: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([labels.index(example.label) for example in examples], np.int64)


def _remembered(engine: Engine, watch: Watch) -> Embed:
    """The engine's `embed`, each wording asked for once in a run, with progress and an ear for a stop."""
    known: dict[str, Vectors] = {}

    def embed(texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), _CHUNK):
            if watch.stopped():
                raise Cancelled("The run was stopped.")
            part = new[start : start + _CHUNK]
            known.update(zip(part, engine.embed(part, priority=Priority.BATCH), strict=True))
            watch.progress(min(start + _CHUNK, len(new)), len(new))
        return np.stack([known[text] for text in texts])

    return embed
