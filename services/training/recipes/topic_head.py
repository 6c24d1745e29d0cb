"""The topic head: texts that have several topics or none, as news does.

Kernel ridge regression over encoder vectors (of the text and of its title) and words, one column a topic. A
score becomes a yes at a border of each topic's own, set where left-out examples give the best micro F1; a
topic too rare to set one gets the border of all. The encoder stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.grams import GramSpace, count
from services.inference.kernel_head import joined, wordings
from services.inference.topic_scores import TopicHead, probabilities
from services.inference.values import Vectors
from services.training.recipes.kernel_ridge import Material, Setting, choose, grid, head_of, solve, spread

Floats = NDArray[np.float32]
Embed = Callable[[list[str]], Vectors]

LEAST_ROWS = 10
_BORDERS = np.linspace(0.05, 0.8, 76, dtype=np.float32)
_SWEEPS = 3


@dataclass(frozen=True, slots=True)
class TopicHeadRecipe:
    """Parameters. Of `sharpness`, `word_share` and `noise` every combination is tried.

    `title_weight` is how often more the words of a title count, 0 reads no titles; `border_caution` is how
    many examples' worth of the common border a topic's own starts from. `most_tried` examples choose the
    setting; `most_support`, the latest, are kept.
    """

    space: GramSpace = field(default_factory=GramSpace)
    sharpness: tuple[float, ...] = (0.5, 1.0, 2.0)
    word_share: tuple[float, ...] = (0.5, 1.0, 2.0)
    noise: tuple[float, ...] = (0.2, 0.5)
    title_weight: int = 2
    border_caution: float = 20.0
    most_tried: int = 1200
    most_support: int = 16_000

    name: ClassVar[str] = "topic_head"

    def parameters(self) -> dict[str, Any]:
        """All of them, as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FittedTopics:
    """The head, the setting chosen, and `left_out` float32 (n_kept, k): what it says of each example it was
    not shown, as the served head does; `kept` are the examples' rows."""

    head: TopicHead
    setting: Setting
    left_out: Floats
    kept: NDArray[np.int64]


def fit(
    texts: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    embed: Embed,
    recipe: TopicHeadRecipe | None = None,
    *,
    seed: int = 0,
    going_on: Callable[[], None] = lambda: None,
) -> FittedTopics:
    """The head of these examples, which may have no label at all; deterministic by seed.

    `embed` returns float32 (n, dim); `going_on` is called between steps and may raise to end the run.
    Raises InvalidInput for fewer than ten examples, none with a label, or all with the same ones.
    """
    recipe = recipe or TopicHeadRecipe()
    names = tuple(sorted({label for given in labels for label in given}))
    _require_enough(labels, names)
    first = max(0, len(texts) - recipe.most_support)
    kept, texts = np.arange(first, len(texts)), texts[first:]
    wanted = _wanted(labels[first:], names)
    examples = Material(
        joined(embed(wordings(texts, recipe.title_weight)), recipe.title_weight),
        count(texts, recipe.space, title_weight=recipe.title_weight),
        wanted,
        np.ones(len(texts), np.float32),
    )
    settings = grid(recipe.sharpness, recipe.word_share, recipe.noise)
    some = spread(_kinds(wanted), recipe.most_tried, seed)
    setting = choose(examples.some(some), settings, recipe.space, _miss, going_on)
    going_on()
    solved = solve(examples, setting, recipe.space)
    borders = _own_borders(solved.left_out, wanted > 0, recipe.border_caution)
    heat = _heat(solved.left_out - borders, wanted)
    kernel = head_of(examples, solved, setting, recipe.space, recipe.title_weight)
    head = TopicHead(names, kernel, borders, heat)
    return FittedTopics(head, setting, probabilities(solved.left_out, borders, heat), kept)


def micro_f1(said: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """2 * hits / (said + true), over all rows and labels together; 0 when there are none."""
    total = int(said.sum() + truth.sum())
    return 2 * int((said & truth).sum()) / total if total else 0.0


def _require_enough(labels: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> None:
    if len(labels) < LEAST_ROWS:
        raise InvalidInput(
            f"There are {len(labels)} examples: give at least {LEAST_ROWS}, better some for every topic.",
            field="file",
        )
    if not names:
        raise InvalidInput("No example has a topic: label some.", field="labels")
    if len({frozenset(given) for given in labels}) < 2:
        raise InvalidInput(
            "All examples have the same topics: add texts about something else.", field="labels"
        )


def _wanted(labels: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> Floats:
    place = {name: at for at, name in enumerate(names)}
    wanted = np.zeros((len(labels), len(names)), np.float32)
    for row, given in enumerate(labels):
        for label in given:
            wanted[row, place[label]] = 1
    return wanted


def _kinds(wanted: Floats) -> NDArray[np.int64]:
    """Each row's rarest topic, so that a draw keeps all; rows without one are a kind of their own."""
    frequency = wanted.sum(axis=0)
    rarest = np.where(wanted > 0, frequency, np.inf).argmin(axis=1)
    return np.asarray(np.where(wanted.any(axis=1), rarest, wanted.shape[1]), np.int64)


def _miss(left_out: Floats, wanted: Floats) -> float:
    """One less the micro F1 at the best common border."""
    truth = wanted > 0
    return 1 - max(micro_f1(left_out >= border, truth) for border in _BORDERS[::3])


def _own_borders(raw: Floats, truth: NDArray[np.bool_], caution: float) -> Floats:
    """A border for each topic, float32 (k,): those that give the best micro F1 together, found in turn.

    The fewer examples a topic has, the nearer it stays to the common border (after SCutFBR: Yang, "A Study
    of Thresholding Strategies for Text Categorization", 2001).
    """
    common = max(_BORDERS, key=lambda border: micro_f1(raw >= border, truth))
    said = np.stack([(raw >= border).sum(axis=0) for border in _BORDERS])
    hits = np.stack([((raw >= border) & truth).sum(axis=0) for border in _BORDERS])
    at = np.full(raw.shape[1], int(np.argmin(abs(_BORDERS - common))))
    columns, positives = np.arange(raw.shape[1]), truth.sum(axis=0)
    for _ in range(_SWEEPS):
        for column in columns:
            others_said = said[at, columns].sum() - said[at[column], column]
            others_hit = hits[at, columns].sum() - hits[at[column], column]
            gain = (
                2
                * (others_hit + hits[:, column])
                / np.maximum(1, others_said + said[:, column] + positives.sum())
            )
            best = np.flatnonzero(gain >= gain.max() - 1e-12)
            at[column] = best[np.argmin(abs(_BORDERS[best] - common))]
    share = positives / (positives + caution)
    return np.asarray(share * _BORDERS[at] + (1 - share) * common, np.float32)


def _heat(beyond: Floats, wanted: Floats) -> float:
    """How steep the probabilities are at the borders, so that left-out examples are likeliest."""
    from scipy.optimize import minimize_scalar

    side = np.where(wanted > 0, beyond, -beyond)

    def surprise(log_heat: float) -> float:
        return float(np.logaddexp(0, -np.exp(log_heat) * side).mean())

    found = minimize_scalar(surprise, bounds=(0.0, 5.0), method="bounded", options={"xatol": 0.02})
    return float(np.exp(found.x))
