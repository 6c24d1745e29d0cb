"""The intent head as a run. Examples labelled OUTSIDE teach it what is about none of the intents."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from services.inference.open_set import OUTSIDE, intent_tensors
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes import intent_head as recipes
from services.training.recipes.whole_text_run import embed_of, go_on_of, kept


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput, Cancelled, what `Engine.embed` raises."""
    known = {field.name for field in fields(recipes.IntentHeadRecipe)}
    recipe = recipes.IntentHeadRecipe(**{k: v for k, v in job.parameters.items() if k in known})
    examples = [*job.train, *job.validation]
    labels = [example.label for example in examples]
    fitted = recipes.fit(
        [example.text for example in examples],
        labels,
        embed_of(job.engine, watch),
        recipe,
        seed=job.seed,
        going_on=go_on_of(watch),
    )
    own = [(row, labels[at]) for row, at in enumerate(fitted.kept) if labels[at] != OUTSIDE]
    said = fitted.left_out[[row for row, _ in own], :-1].argmax(axis=1)
    right = [fitted.head.intents[at] == label for at, (_, label) in zip(said, own, strict=True)]
    metrics = {"left_out_accuracy": float(np.mean(right))}
    watch.line(f"{len(fitted.kept)} examples kept, of {len(examples)}; setting {fitted.setting}.")
    return kept(
        job, fitted.head.labels, recipe.name, recipe.parameters(), metrics, intent_tensors(fitted.head)
    )
