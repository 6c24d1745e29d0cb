"""The intent head: many labels, few examples of each, and questions that are about none of them.

Kernel ridge regression over encoder vectors and words; its widths and strength are chosen by what it says of
each example when that one is left out. Whole intents are then kept away from it, one part after another, to
learn how a question about something else looks to it. The encoder stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.grams import GramSpace, count
from services.inference.kernel_head import joined, wordings
from services.inference.open_set import OUTSIDE, IntentHead, outside, probabilities
from services.inference.values import Vectors
from services.training.recipes.border import Trials, learn_border, left_out_signs, placed
from services.training.recipes.kernel_ridge import Material, Setting, choose, grid, head_of, solve, spread

Floats = NDArray[np.float32]
Embed = Callable[[list[str]], Vectors]

LEAST_EACH = 2
_NOT_WORDS = re.compile(r"[\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class IntentHeadRecipe:
    """Parameters. Of `sharpness`, `word_share` and `noise` every combination is tried.

    `name_noise` is the noise of an intent's name as one more example of it, 0 for none; names are used only
    when left-out examples say that they help. `false_reject` is the share of questions that belong which may
    be taken for outside. `most_tried` examples choose the setting; `most_support` are kept.
    """

    space: GramSpace = field(default_factory=GramSpace)
    sharpness: tuple[float, ...] = (0.5, 1.0, 2.0)
    word_share: tuple[float, ...] = (0.1, 0.2, 0.4)
    noise: tuple[float, ...] = (0.1, 0.3)
    name_noise: float = 3.0
    false_reject: float = 0.05
    most_tried: int = 1200
    most_support: int = 16_000

    name: ClassVar[str] = "intent_head"

    def parameters(self) -> dict[str, Any]:
        """All of them, as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FittedIntents:
    """The head, the setting that was chosen, and what it says of examples left out of its training.

    `left_out` float32 (n_kept, labels) are probabilities as the served head gives them, in the order of
    `kept`, rows of the examples.
    """

    head: IntentHead
    setting: Setting
    left_out: Floats
    kept: NDArray[np.int64]


def fit(
    texts: Sequence[str],
    labels: Sequence[str],
    embed: Embed,
    recipe: IntentHeadRecipe | None = None,
    *,
    seed: int = 0,
    going_on: Callable[[], None] = lambda: None,
) -> FittedIntents:
    """The head of these examples; `labels[i]` is OUTSIDE for one that has no intent. Deterministic by seed.

    `embed` returns float32 (n, dim); `going_on` is called between steps and may raise to end the run.
    Raises InvalidInput when there are fewer than two intents or an intent has fewer than two examples.
    """
    recipe = recipe or IntentHeadRecipe()
    names = tuple(sorted(set(labels) - {OUTSIDE}))
    _require_enough(labels, names)
    index = {name: i for i, name in enumerate((*names, OUTSIDE))}
    classes = np.array([index[label] for label in labels], np.int64)
    kept = spread(classes, recipe.most_support, seed)
    texts, classes = [texts[i] for i in kept], classes[kept]
    examples = _material(texts, classes, len(names), embed, recipe)
    setting, named = _chosen(examples, classes, names, embed, recipe, seed, going_on)
    with_names = examples.with_names(named)
    going_on()
    solved = solve(with_names, setting, recipe.space)
    n = len(texts)
    heat = _heat(solved.left_out[:n], classes)
    all_classes = np.concatenate([classes, np.arange(len(with_names.rows) - n)])
    found = left_out_signs(examples.rows, with_names.rows, solved.left_out[:n], all_classes, heat)
    some = spread(classes, recipe.most_tried, seed + 1)
    trials = Trials(examples.some(some), classes[some], named, setting, recipe.space, heat)
    border = placed(learn_border(trials, seed, going_on), found[classes < len(names)], recipe.false_reject)
    head = IntentHead(
        (*names, OUTSIDE), head_of(with_names, solved, setting, recipe.space, 0), all_classes, heat, border
    )
    inside = probabilities(solved.left_out[:n, : len(names)], heat)
    out = outside(border, found)[:, None]
    return FittedIntents(head, setting, np.concatenate([inside * (1 - out), out], axis=1), kept)


def spoken(name: str) -> str:
    """An intent's name as words: "card_arrival" and "cardArrival" are "card arrival"."""
    return _NOT_WORDS.sub(" ", _CAMEL.sub(" ", name)).strip().lower() or name


def _require_enough(labels: Sequence[str], names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise InvalidInput(
            "There is one intent or none: add examples of another, there is nothing to tell apart.",
            field="label",
        )
    counts = Counter(labels)
    for name in names:
        if counts[name] < LEAST_EACH:
            raise InvalidInput(
                f"The intent {name[:60]} has one example: give it at least {LEAST_EACH}, or remove it.",
                field="label",
            )


def _material(
    texts: Sequence[str], classes: NDArray[np.int64], n_labels: int, embed: Embed, recipe: IntentHeadRecipe
) -> Material:
    wanted = np.zeros((len(texts), n_labels + 1), np.float32)
    wanted[np.arange(len(texts)), classes] = 1
    rows = joined(embed(wordings(texts, 0)), 0)
    return Material(rows, count(texts, recipe.space), wanted, np.ones(len(texts), np.float32))


def _chosen(
    examples: Material,
    classes: NDArray[np.int64],
    names: tuple[str, ...],
    embed: Embed,
    recipe: IntentHeadRecipe,
    seed: int,
    going_on: Callable[[], None],
) -> tuple[Setting, Material | None]:
    """The setting that tells left-out examples apart best, and the names if they help with it."""
    some = spread(classes, recipe.most_tried, seed)
    tried, n = examples.some(some), len(some)
    settings = grid(recipe.sharpness, recipe.word_share, recipe.noise)

    def loss(left_out: Floats, wanted: Floats) -> float:
        truth = wanted[:n].argmax(axis=1)
        return _surprise(left_out[:n], truth, _heat(left_out[:n], truth))

    setting = choose(tried, settings, recipe.space, loss, going_on)
    if recipe.name_noise <= 0:
        return setting, None
    named = _material([spoken(name) for name in names], np.arange(len(names)), len(names), embed, recipe)
    named = replace(named, noise=named.noise * recipe.name_noise / setting.noise)
    losses = [
        loss(solve(part, setting, recipe.space).left_out, part.wanted)
        for part in (tried, tried.with_names(named))
    ]
    return setting, named if losses[1] < losses[0] else None


def _heat(left_out: Floats, classes: NDArray[np.int64]) -> float:
    """What scores are multiplied by to make held-out labels likeliest (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_heat: _surprise(left_out, classes, float(np.exp(log_heat))),
        bounds=(0.0, 4.0),
        method="bounded",
        options={"xatol": 0.01},
    )
    return float(np.exp(found.x))


def _surprise(left_out: Floats, classes: NDArray[np.int64], heat: float) -> float:
    """Mean negative log-likelihood of the examples that have an intent."""
    n_labels = left_out.shape[1] - 1
    inside = classes < n_labels
    probs = probabilities(left_out[inside, :n_labels], heat)
    return float(-np.log(np.maximum(probs[np.arange(len(probs)), classes[inside]], 1e-9)).mean())
