"""A search finds what serves better and gives up on what does not; folds say how sure a score is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.errors import InvalidInput
from services.training.order import Watch
from services.training.recipes import RECIPES, Job, RecipeInfo, whole
from services.training.tuning import Range, cross_validate, search, settle, usual_space
from tests.services.training.headlines import headlines
from tests.services.training.jobs import Remembering, job

HEAD = RECIPES["text_head"]
EXAMPLES = headlines(120)


class Curved(RecipeInfo):
    """A recipe whose curve and score are best at a strength of 1."""

    def fit(self, job: Job, watch: Watch) -> Path:
        """Shows the curve; trains nothing."""
        quality = 1 - abs(job.parameters["strength"] - 1)
        for step in range(5):
            watch.point("validation_macro_f1", step, quality)
        job.folder.mkdir(parents=True)
        return job.folder


CURVED = Curved(
    HEAD.name, HEAD.title, HEAD.description, HEAD.shapes, HEAD.serves, HEAD.module, HEAD.parameters
)


def test_the_best_parameters_are_found_and_poor_trials_given_up(tmp_path: Path) -> None:
    watch = Remembering()
    found = search(
        CURVED,
        job("text_head", tmp_path, EXAMPLES),
        {"strength": Range(0.1, 3.0)},
        20,
        lambda one, folder: 1 - abs(one.parameters["strength"] - 1),
        watch,
    )
    assert found.best["strength"] == pytest.approx(1, abs=0.25)
    assert found.best_score == max(trial.score for trial in found.trials if trial.score is not None)
    assert any(trial.score is None for trial in found.trials)
    assert len(found.trials) == 20
    assert list(tmp_path.iterdir()) == []


class Killed(Exception):
    """Stands for the end of the process in the middle of a search."""


class Mortal(Remembering):
    """Dies in the fourth trial."""

    def point(self, curve: str, step: int, value: float) -> None:
        super().point(curve, step, value)
        if curve.endswith(" · 4"):
            raise Killed


def test_a_search_that_was_killed_goes_on_and_is_not_done_again(tmp_path: Path) -> None:
    asked = job("text_head", tmp_path / "run", EXAMPLES)
    with pytest.raises(Killed):
        settle(CURVED, asked, 8, Mortal())
    watch = Remembering()
    best = settle(CURVED, asked, 8, watch)
    assert len([line for line in watch.lines if line.startswith("Trial")]) == 5
    assert best["strength"] != asked.parameters["strength"]
    assert abs(best["strength"] - 1) < abs(asked.parameters["strength"] - 1)
    again = Remembering()
    assert settle(CURVED, asked, 8, again) == best
    assert again.lines == []


def test_what_is_tried_lies_around_what_is_given_and_within_what_the_recipe_allows() -> None:
    space = usual_space(HEAD, {**whole(HEAD, {}), "strength": 5e-4, "rare_class_power": 0.5})
    assert space["strength"] == Range(1e-4, 5e-3, log=True)
    assert space["rare_class_power"] == Range(0.0, 1.0)


def test_a_recipe_without_settings_or_without_a_curve_says_so(tmp_path: Path) -> None:
    bare = replace(CURVED, parameters=())
    with pytest.raises(InvalidInput, match="no settings") as caught:
        settle(bare, replace(job("text_head", tmp_path, EXAMPLES), parameters={}), 2, Remembering())
    assert caught.value.field == "trials"
    with pytest.raises(InvalidInput, match="shows no"):
        search(CURVED, job("text_head", tmp_path, EXAMPLES), {"strength": Range(0.1, 3)}, 1, None,
               Remembering(), curve="validation_loss")  # fmt: skip


def test_a_parameter_the_recipe_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        search(
            HEAD, job("text_head", tmp_path, EXAMPLES), {"speed": [1, 2]}, 2, lambda *_: 0.0, Remembering()
        )
    assert caught.value.field == "speed"


def test_each_fold_is_judged_by_a_run_that_did_not_see_it(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    def score(one: Job, folder: Path) -> float:
        assert (folder / "manifest.json").is_file()
        told = {example.text for example in one.validation}
        assert not told & {example.text for example in one.train}
        seen.append(told)
        return float(len(seen))

    found = cross_validate(HEAD, job("text_head", tmp_path, EXAMPLES), EXAMPLES, 3, score, Remembering())
    assert found.scores == (1.0, 2.0, 3.0)
    assert (found.mean, found.deviation) == (2.0, 1.0)
    assert set.union(*seen) == {example.text for example in EXAMPLES}
