"""The topic head as a run; the examples are learned in the order of their times."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from services.inference.topic_scores import topic_tensors
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes import topic_head as recipes
from services.training.recipes.whole_text_run import embed_of, go_on_of, kept


def fit(job: Job, watch: Watch) -> Path:
    """Train; the folder of the version. Raises InvalidInput, Cancelled, what `Engine.embed` raises."""
    known = {field.name for field in fields(recipes.TopicHeadRecipe)}
    recipe = recipes.TopicHeadRecipe(**{k: v for k, v in job.parameters.items() if k in known})
    examples = sorted((*job.train, *job.validation), key=lambda example: example.time)
    labels = [example.labels for example in examples]
    fitted = recipes.fit(
        [example.text for example in examples],
        labels,
        embed_of(job.engine, watch),
        recipe,
        seed=job.seed,
        going_on=go_on_of(watch),
    )
    truth = np.array([[name in labels[at] for name in fitted.head.labels] for at in fitted.kept])
    metrics = {"left_out_micro_f1": recipes.micro_f1(fitted.left_out >= 0.5, truth)}
    watch.line(f"{len(fitted.kept)} examples kept, of {len(examples)}; setting {fitted.setting}.")
    return kept(
        job, fitted.head.labels, recipe.name, recipe.parameters(), metrics, topic_tensors(fitted.head)
    )
