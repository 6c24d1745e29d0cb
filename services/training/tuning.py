"""Which parameters serve best: a search that gives up early on poor ones, and K-fold cross-validation.

Neither ever sees the test part. A trial is a run of the recipe on the training part, judged by the curve it
shows on the validation part; a fold is one on all other folds, judged on the one left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job, RecipeInfo, whole
from services.training.splitting import folds

Score = Callable[[Job, Path], float]
"""How good the files of a version are on the job's validation part, higher is better."""


@dataclass(frozen=True, slots=True)
class Range:
    """Values a parameter may take: from `least` to `most`, drawn evenly over their logarithm when `log`."""

    least: float
    most: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt: `score` None when it was given up early."""

    number: int
    parameters: Mapping[str, Any]
    score: float | None


@dataclass(frozen=True, slots=True)
class Search:
    """All attempts in order, and the parameters of the best."""

    trials: tuple[Trial, ...]
    best: Mapping[str, Any]
    best_score: float


class Pruned(Exception):
    """A trial that is not worth going on with."""


class Judging:
    """A Watch that hands a curve to the search and ends trials that fall behind."""

    def __init__(self, inner: Watch, trial: Any, curve: str) -> None:
        self._inner, self._trial, self._curve = inner, trial, curve

    def stage(self, name: str) -> None:
        """Passed on."""
        self._inner.stage(name)

    def progress(self, done: int, total: int) -> None:
        """Passed on."""
        self._inner.progress(done, total)

    def line(self, text: str) -> None:
        """Passed on."""
        self._inner.line(text)

    def stopped(self) -> bool:
        """Passed on."""
        return self._inner.stopped()

    def point(self, curve: str, step: int, value: float) -> None:
        """Raises Pruned when the trial is behind the median of those before it."""
        self._inner.point(f"trial {self._trial.number} {curve}", step, value)
        if curve == self._curve:
            self._trial.report(value, step)
            if self._trial.should_prune():
                raise Pruned


def search(
    recipe: RecipeInfo,
    job: Job,
    space: Mapping[str, Range | Sequence[Any]],
    trials: int,
    score: Score,
    watch: Watch,
    *,
    curve: str = "validation_macro_f1",
) -> Search:
    """The best parameters of `trials` draws (TPE with median pruning; Akiba et al., 2019).

    Raises InvalidInput for a parameter the recipe does not have, and what the recipe raises.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if unknown := set(space) - {parameter.name for parameter in recipe.parameters}:
        raise InvalidInput(f"The recipe {recipe.name} has no parameter {min(unknown)}.", field=min(unknown))
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=job.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    done: list[Trial] = []

    def attempt(trial: Any) -> float:
        given = {name: _drawn(trial, name, values) for name, values in space.items()}
        folder = job.folder / f"trial-{trial.number}"
        tried = replace(job, parameters=whole(recipe, {**job.parameters, **given}), folder=folder)
        try:
            found = score(tried, recipe.fit(tried, Judging(watch, trial, curve)))
        except Pruned:
            done.append(Trial(trial.number, given, None))
            raise optuna.TrialPruned from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        done.append(Trial(trial.number, given, found))
        watch.line(f"Trial {trial.number}: {found:.4f} with {given}")
        watch.progress(len(done), trials)
        return found

    study.optimize(attempt, n_trials=trials)
    return Search(tuple(done), dict(study.best_params), float(study.best_value))


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The score of each fold, their mean, and their standard deviation."""

    scores: tuple[float, ...]
    mean: float
    deviation: float


def cross_validate(
    recipe: RecipeInfo, job: Job, examples: Sequence[Example], k: int, score: Score, watch: Watch
) -> CrossValidation:
    """K runs, each judged on the fold it did not see. Raises InvalidInput for too few texts."""
    fold = folds(examples, k, job.seed)
    scores = []
    for number in range(k):
        folder = job.folder / f"fold-{number}"
        part = replace(
            job,
            train=tuple(e for e, f in zip(examples, fold, strict=True) if f != number),
            validation=tuple(e for e, f in zip(examples, fold, strict=True) if f == number),
            folder=folder,
        )
        scores.append(score(part, recipe.fit(part, watch)))
        watch.line(f"Fold {number + 1} of {k}: {scores[-1]:.4f}")
        shutil.rmtree(folder, ignore_errors=True)
    return CrossValidation(tuple(scores), float(np.mean(scores)), float(np.std(scores, ddof=1)))


def _drawn(trial: Any, name: str, values: Range | Sequence[Any]) -> Any:
    if not isinstance(values, Range):
        return trial.suggest_categorical(name, list(values))
    if values.whole:
        return trial.suggest_int(name, int(values.least), int(values.most), log=values.log)
    return trial.suggest_float(name, values.least, values.most, log=values.log)
