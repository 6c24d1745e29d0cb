"""Which parameters serve best: a search that gives up early on poor ones, and K-fold cross-validation.

Neither ever sees the test part. A trial is a run of the recipe on the training part, judged by the curve it
shows on the validation part; a fold is one on all other folds, judged on the one left out.
"""

from __future__ import annotations

import json
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
CURVE = "validation_macro_f1"
JOURNAL, SETTLED = "search.journal", "search.json"
"""What a search leaves in its job's folder: after a kill it goes on, and is not done twice."""


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
        self.last: float | None = None

    def stage(self, name: str) -> None:
        """Nothing: all of it is the search."""

    def progress(self, done: int, total: int) -> None:
        """Nothing: the trials are counted, not their steps."""

    def line(self, text: str) -> None:
        """Passed on."""
        self._inner.line(text)

    def stopped(self) -> bool:
        """Passed on."""
        return self._inner.stopped()

    def point(self, curve: str, step: int, value: float) -> None:
        """Raises Pruned when the trial is behind the median of those before it."""
        if curve == self._curve:
            self.last = value
            self._inner.point(f"{curve} · {self._trial.number + 1}", step, value)
            self._trial.report(value, step)
            if self._trial.should_prune():
                raise Pruned


def search(
    recipe: RecipeInfo,
    job: Job,
    space: Mapping[str, Range | Sequence[Any]],
    trials: int,
    score: Score | None,
    watch: Watch,
    *,
    curve: str = CURVE,
    journal: Path | None = None,
) -> Search:
    """The best parameters of `trials` draws (TPE with median pruning; Akiba et al., 2019).

    Without `score` a trial counts as much as the last point of its `curve`. `journal` is a file that keeps
    what was tried: with it a search that was killed goes on after its last whole trial.
    Raises InvalidInput for a parameter the recipe does not have and for a recipe without that curve, and
    what the recipe raises.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if unknown := set(space) - {parameter.name for parameter in recipe.parameters}:
        raise InvalidInput(f"The recipe {recipe.name} has no parameter {min(unknown)}.", field=min(unknown))
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=job.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        storage=None if journal is None else _kept(journal),
        study_name=job.task,
        load_if_exists=True,
    )

    def attempt(trial: Any) -> float:
        given = {name: _drawn(trial, name, values) for name, values in space.items()}
        folder = job.folder / f"trial-{trial.number}"
        tried = replace(job, parameters=whole(recipe, {**job.parameters, **given}), folder=folder)
        judging, nth = Judging(watch, trial, curve), len(_over(study)) + 1
        try:
            made = recipe.fit(tried, judging)
            found = judging.last if score is None else score(tried, made)
        except Pruned:
            watch.line(f"Trial {nth} of {trials}: given up, with {told(given)}")
            raise optuna.TrialPruned from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            watch.progress(nth, trials)
        if found is None:
            raise InvalidInput(
                f"The recipe {recipe.name} shows no {curve} while it learns, so settings cannot be compared: "
                "try none (0).",
                field="trials",
            )
        watch.line(f"Trial {nth} of {trials}: {found:.4f} with {told(given)}")
        return found

    before = len(_over(study))
    watch.progress(before, trials)
    if before < trials:
        study.optimize(attempt, n_trials=trials - before)
    done = tuple(
        Trial(one.number, dict(one.params), one.value if one.state.name == "COMPLETE" else None)
        for one in _over(study)
    )
    return Search(done, dict(study.best_params), float(study.best_value))


def usual_space(recipe: RecipeInfo, parameters: Mapping[str, Any]) -> dict[str, Range]:
    """What is worth trying of a recipe's parameters, around the values given."""
    around: dict[str, Range] = {}
    for parameter in recipe.parameters:
        if parameter.name not in _USUAL:
            continue
        least, most, log = _USUAL[parameter.name](float(parameters[parameter.name]))
        least = least if parameter.least is None else max(least, parameter.least)
        most = most if parameter.most is None else min(most, parameter.most)
        if least < most:
            around[parameter.name] = Range(least, most, log=log)
    return around


_USUAL: Mapping[str, Callable[[float], tuple[float, float, bool]]] = {
    "learning_rate": lambda value: (value / 4, value * 4, True),
    "epochs": lambda value: (max(1.0, value / 2), value * 2, False),
    "layer_decay": lambda value: (0.7, 1.0, False),
    "label_smoothing": lambda value: (0.0, 0.15, False),
    "rare_class_power": lambda value: (0.0, 1.0, False),
    "strength": lambda value: (value / 10, value * 10, True),
}
"""Ranges by the parameter's name, around its value."""


def settle(recipe: RecipeInfo, job: Job, trials: int, watch: Watch) -> dict[str, Any]:
    """The job's parameters with the best found in so many trials; done once a job, also over kills.

    Raises InvalidInput on `trials` for a recipe that has nothing to try, and what `search` raises.
    """
    kept = job.folder / SETTLED
    if kept.is_file():
        return whole(recipe, json.loads(kept.read_text("utf-8")))
    space = usual_space(recipe, job.parameters)
    if not space:
        raise InvalidInput(
            f"The recipe {recipe.name} has no settings that are searched: try none (0).", field="trials"
        )
    job.folder.mkdir(parents=True, exist_ok=True)
    found = search(recipe, job, space, trials, None, watch, journal=job.folder / JOURNAL)
    best = whole(recipe, {**job.parameters, **found.best})
    watch.line(f"Best of {len(found.trials)}: {found.best_score:.4f} with {told(found.best)}")
    kept.write_text(json.dumps(best), "utf-8")
    return best


def told(given: Mapping[str, Any]) -> str:
    """Parameters as a line of a log has them."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in given.items()
    )


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


def _kept(journal: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def _over(study: Any) -> list[Any]:
    """The trials that came to their end or were given up; not those that died with their process."""
    return [trial for trial in study.trials if trial.state.name in {"COMPLETE", "PRUNED"}]
