"""★ From labelled examples to a model version: read this file to know what a training run does.

examples -> split -> search, if asked for -> recipe -> judge (live version, baseline, gate) -> lineage, card
-> registry.
Each call is one room. The version is in the store when the run ends; it serves when somebody promotes it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from services.conf import load
from services.errors import Conflict, InvalidInput
from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine
from services.registry import card, lineage
from services.registry.lineage import GateResult, Lineage
from services.registry.manifest import DataSource
from services.registry.store import ModelStore
from services.training import judging
from services.training.conf import TrainingSettings
from services.training.dataset import Example, fingerprint
from services.training.judging import Case, Judged
from services.training.order import NamedSet, Order, Outcome, Watch
from services.training.recipes import RECIPES, Job, RecipeInfo, whole
from services.training.recipes.version_files import version_name
from services.training.splitting import Parts, split
from services.training.tuning import settle

LEAST_ROWS = 10


def train(
    order: Order,
    sets: Sequence[NamedSet],
    *,
    store: ModelStore,
    folder: Path,
    watch: Watch,
    now: datetime,
    against_live: bool = True,
) -> Outcome:
    """One run, start to finish; the same folder resumes what was interrupted.

    Without `against_live` it is held against the baselines only, as if nothing served yet.

    Raises InvalidInput (order or examples; `field` says what), Cancelled, ModelFailed, ModelUnavailable,
    StorageFailed. Nothing is added to the store unless the run comes to its end.
    """
    watch.stage("split")
    recipe, parameters = chosen(order)
    examples = usable(sets, recipe, order)
    parts = split(examples, order)
    watch.line(
        f"{len(parts.train)} rows to learn, {len(parts.validation)} to tune, {len(parts.test)} to judge."
    )
    learned = [examples[at] for at in parts.train]
    tuned = [examples[at] for at in parts.validation]
    if order.shuffle_labels:
        learned, tuned = shuffled(learned, order.seed), shuffled(tuned, order.seed + 1)
    settings = load(InferenceSettings)
    engine = LocalEngine(settings, store=store)
    try:
        job = Job(
            task=order.task,
            train=tuple(learned),
            validation=tuple(tuned),
            labels=labels_of(examples),
            languages=order.languages,
            parameters=parameters,
            base=order.base or (settings.encoder if recipe.base_setting != "GENERATOR" else ""),
            seed=order.seed,
            folder=folder,
            settings=load(TrainingSettings),
            engine=engine,
        )
        if order.trials:
            watch.stage("search")
            job = replace(job, parameters=settle(recipe, job, order.trials, watch))
        watch.stage("train")
        made = recipe.fit(job, watch)
        watch.stage("evaluate")
        case = Case(
            order, recipe, job, made, tuple(examples[at] for at in parts.test), settings, engine, against_live
        )
        judged = judging.judge(case, watch)
    finally:
        engine.close()
    watch.stage("register")
    version = register(order, sets, job, judged, made, parts, store, now)
    return Outcome(version, judged.metrics, judged.report, judged.verdict.passed, judged.verdict.sentences())


def chosen(order: Order) -> tuple[RecipeInfo, dict[str, Any]]:
    """The order's recipe and all its parameters. Raises InvalidInput."""
    if order.recipe not in RECIPES:
        raise InvalidInput(
            f"There is no recipe {order.recipe[:60]!r}; there are {', '.join(RECIPES)}.", field="recipe"
        )
    recipe = RECIPES[order.recipe]
    return recipe, whole(recipe, order.parameters)


def usable(sets: Sequence[NamedSet], recipe: RecipeInfo, order: Order) -> tuple[Example, ...]:
    """The examples of all sets. Raises InvalidInput when they cannot be learned from."""
    examples = tuple(example for one in sets for example in one.examples)
    if len(examples) < LEAST_ROWS:
        raise InvalidInput(
            f"There are {len(examples)} examples; a run needs at least {LEAST_ROWS}, better some hundreds. "
            "Label or import more.",
            field="datasets",
        )
    if recipe.serves == "classifier" and len(labels_of(examples)) < 2:
        raise InvalidInput(
            "All examples have one label: there is nothing to tell apart. Add examples of another label.",
            field="datasets",
        )
    return examples


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Every label that occurs, by name."""
    found = {example.label for example in examples if example.label}
    found |= {label for example in examples for label in example.labels}
    return tuple(sorted(found | {span.label for example in examples for span in example.spans}))


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same texts with one another's answers: what a control run learns from."""
    dealt = list(examples)
    random.Random(seed).shuffle(dealt)
    return [
        replace(one, label=other.label, labels=other.labels, second=other.second, spans=())
        for one, other in zip(examples, dealt, strict=True)
    ]


def register(
    order: Order,
    sets: Sequence[NamedSet],
    job: Job,
    judged: Judged,
    made: Path,
    parts: Parts,
    store: ModelStore,
    now: datetime,
) -> str:
    """Lineage and card beside the files, and the folder into the store; the version's name."""
    version = version_name(order.task, made)
    verdict = judged.verdict
    record = Lineage(
        task=order.task,
        version=version,
        base_name=judged.base_name,
        base_version=judged.base_version,
        data=tuple(DataSource(s.name, s.licence, len(s.examples), fingerprint(s.examples)) for s in sets),
        recipe=order.recipe,
        parameters={**job.parameters, "shuffle_labels": order.shuffle_labels, "trials": order.trials},
        metrics=judged.metrics,
        intervals=judged.intervals,
        seed=order.seed,
        commit=lineage.commit(),
        hardware=lineage.hardware(),
        software=lineage.software(),
        trained_at=now.isoformat(),
        split={
            "kind": order.split,
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        gate=GateResult(
            verdict.passed,
            verdict.sentences(),
            round(verdict.gain, 4),
            round(verdict.low, 4),
            round(verdict.high, 4),
        ),
        parent=judged.live_version,
        languages=order.languages,
        labels=job.labels,
    )
    lineage.write(made, record)
    card.write(made, record, judged.report)
    with suppress(Conflict):  # an earlier attempt at this run came this far
        store.add(order.task, version, made)
    return version
