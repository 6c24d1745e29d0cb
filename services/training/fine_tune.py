"""★ From labelled examples to a model version: read this file to know what a training run does.

dataset -> split -> recipe -> evaluate -> register. Each call is one room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.engine import Engine
from services.inference.features import Features, featurise
from services.inference.heads import TextHead, head_tensors, logits, predict
from services.inference.values import EncoderInfo, Priority, Vectors
from services.registry import manifest as registry
from services.registry.manifest import DataSource, Manifest
from services.training.augment import agreeing_wholes, joined_headlines
from services.training.dataset import Example, fingerprint
from services.training.evaluation import Evaluation, evaluate
from services.training.order import NamedSet
from services.training.recipes import text_head
from services.training.recipes.text_head import TextHeadRecipe
from services.training.splitting import held_out

HELD_OUT_SHARE = 0.12
Embed = Callable[[list[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Trained:
    """A head fitted on all examples, and what the same recipe reached on rows held out of its training."""

    head: TextHead
    validation: Evaluation
    recipe: TextHeadRecipe
    encoder: EncoderInfo
    seed: int


def fine_tune(
    examples: Sequence[Example],
    labels: tuple[str, ...],
    engine: Engine,
    *,
    recipe: TextHeadRecipe | None = None,
    seed: int = 0,
) -> Trained:
    """Hold some examples out, fit on the rest, calibrate and evaluate on those, then fit on all of them.

    The seed decides what is held out. Raises InvalidInput when the examples do not suffice or have a
    label that is not in `labels`, and what `Engine.embed` raises.
    """
    recipe = recipe or TextHeadRecipe()
    if unknown := {example.label for example in examples} - set(labels):
        raise InvalidInput(f"Unknown label: {min(unknown)[:40]}.", field="label")
    embed = _remembered(engine)
    held = held_out([example.text for example in examples], HELD_OUT_SHARE, seed)
    checked = [example for example, out in zip(examples, held, strict=True) if out]
    learned = [example for example, out in zip(examples, held, strict=True) if not out]

    trial = _fit(learned, labels, embed, recipe, seed)
    features, truth = _features(checked, embed, recipe), _indices(checked, labels)
    temperatures = text_head.calibrate(logits(trial, features), truth, features.towards)
    validation = evaluate(predict(replace(trial, temperatures=temperatures), features), truth, labels)
    head = replace(_fit(examples, labels, embed, recipe, seed), temperatures=temperatures)
    return Trained(head, validation, recipe, engine.encoder(), seed)


def register(
    trained: Trained, task: str, languages: tuple[str, ...], sets: Sequence[NamedSet], folder: Path
) -> Manifest:
    """Write the head and where it comes from; the manifest. Raises StorageFailed; the old one then stands."""
    tensors = head_tensors(trained.head)
    sources = tuple(DataSource(s.name, s.licence, len(s.examples), fingerprint(s.examples)) for s in sets)
    manifest = Manifest(
        task=task,
        version=registry.content_version(task, trained.encoder.version, tensors),
        base_name=trained.encoder.name,
        base_version=trained.encoder.version,
        labels=trained.head.labels,
        languages=languages,
        recipe=trained.recipe.name,
        parameters=trained.recipe.parameters(),
        metrics=trained.validation.metrics("validation_"),
        data=sources,
        seed=trained.seed,
    )
    return registry.write(folder, manifest, tensors)


def _fit(
    examples: Sequence[Example], labels: tuple[str, ...], embed: Embed, recipe: TextHeadRecipe, seed: int
) -> TextHead:
    """The recipe on these examples and what `augment` makes of them."""
    joined = round(recipe.joined_share * sum(example.entity is not None for example in examples))
    more = [*examples, *agreeing_wholes(examples), *joined_headlines(examples, joined, seed)]
    return text_head.fit(_features(more, embed, recipe), _indices(more, labels), labels, recipe)


def _features(examples: Sequence[Example], embed: Embed, recipe: TextHeadRecipe) -> Features:
    return featurise([(example.text, example.entity) for example in examples], embed, recipe.space)


def _indices(examples: Sequence[Example], labels: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([labels.index(example.label) for example in examples], np.int64)


def _remembered(engine: Engine) -> Embed:
    """The engine's `embed`, each wording asked for once in a run."""
    known: dict[str, Vectors] = {}

    def embed(texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, engine.embed(new, priority=Priority.BATCH), strict=True))
        return np.stack([known[text] for text in texts])

    return embed
