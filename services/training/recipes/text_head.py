"""The text head: multinomial logistic regression over encoder vectors and hashed words.

The encoder stays as it is, so training takes a minute on a laptop. Rare classes weigh more in the loss,
and the temperatures are set on rows the head has not seen, so that its probabilities mean what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.features import Features, HashSpace
from services.inference.heads import TextHead

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Step = Callable[[int, float, Callable[[], TextHead]], None]
"""Told after every step: its number, the mean loss of a row, and a way to the head as it is then."""

_LEAST_CALIBRATED = 50


@dataclass(frozen=True, slots=True)
class TextHeadRecipe:
    """Parameters. The `*_scale` say how readily each block of features is used: its prior's width.

    `rare_class_power` 0 weighs all rows alike, 1 all classes; `strength` is the inverse of the L2 penalty;
    `max_steps` of L-BFGS, which ends the fit before the rarest words are learned by heart; `joined_share` is
    the number of joined headlines (`services.training.augment`) for each example towards a company.
    """

    space: HashSpace = field(default_factory=HashSpace)
    strength: float = 0.3
    rare_class_power: float = 0.8
    max_steps: int = 40
    joined_share: float = 0.2
    vector_scale: float = 0.1
    words_scale: float = 4.0
    pieces_scale: float = 2.0
    around_scale: float = 6.0

    name: ClassVar[str] = "text_head"

    def parameters(self) -> dict[str, Any]:
        """All of them, as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Scaling:
    """How raw features become standardised ones, so that the fit can be folded back to raw ones."""

    mean: Floats
    width: Floats
    hashed: Floats
    dim: int


def fit(
    features: Features,
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    recipe: TextHeadRecipe,
    step: Step | None = None,
) -> TextHead:
    """The head that fits the rows best under the recipe's penalty; deterministic; temperatures 1.

    `truth` are label indices (n,). Raises InvalidInput when fewer than two classes have rows, and what `step`
    raises.
    """
    counts = np.bincount(truth, minlength=len(labels))
    if (counts > 0).sum() < 2:
        raise InvalidInput("All examples have one label: there is nothing to tell apart.", field="label")
    scaling = _scaling(features, recipe)
    dense = _standardised(features.dense, scaling)
    hashed = features.hashed.multiply(scaling.hashed[None, :]).tocsr().astype(np.float32)
    row_weights = (counts.mean() / counts[truth]) ** recipe.rare_class_power
    row_weights = (row_weights / row_weights.mean()).astype(np.float32)

    def head(weights: Floats, bias: Floats) -> TextHead:
        return _folded(weights, bias, scaling, labels, recipe)

    def told(n: int, loss: float, weights: Floats, bias: Floats) -> None:
        if step is not None:
            step(n, loss, lambda: head(weights, bias))

    return head(*_minimise(dense, hashed, truth, len(labels), row_weights, recipe, told))


def calibrate(logit: Floats, truth: NDArray[np.int64], towards: NDArray[np.bool_]) -> tuple[float, float]:
    """The temperatures (of whole texts, towards a company), .2 to 5, that make held-out labels likeliest.

    Guo et al., 2017. A kind with too few rows to tell gets the temperature of all rows together.
    """
    overall = _temperature(logit, truth)
    kinds = (~towards, towards)
    whole, about = (
        _temperature(logit[rows], truth[rows]) if rows.sum() >= _LEAST_CALIBRATED else overall
        for rows in kinds
    )
    return whole, about


def _temperature(logit: Floats, truth: NDArray[np.int64]) -> float:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows = np.arange(len(truth))

    def surprise(log_temperature: float) -> float:
        scaled = logit.astype(np.float64) / np.exp(log_temperature)
        return float(-log_softmax(scaled, axis=1)[rows, truth].mean())

    found = minimize_scalar(surprise, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def _scaling(features: Features, recipe: TextHeadRecipe) -> _Scaling:
    """Means and widths of the vectors' columns; those about a company over the rows that ask about one."""
    dense, dim = features.dense, (features.dense.shape[1] - 1) // 3
    mean = np.zeros(3 * dim, np.float32)
    width = np.ones(3 * dim, np.float32)
    towards = features.towards
    for columns, rows in ((slice(0, dim), np.ones_like(towards)), (slice(dim, 3 * dim), towards)):
        if rows.any():
            mean[columns] = dense[rows, columns].mean(axis=0)
            width[columns] = (dense[rows, columns].std(axis=0) + 1e-6) / recipe.vector_scale
    blocks = (
        (recipe.space.words, recipe.words_scale),
        (recipe.space.pieces, recipe.pieces_scale),
        (recipe.space.around, recipe.around_scale),
    )
    hashed = np.concatenate([np.full(buckets, scale, np.float32) for buckets, scale in blocks])
    return _Scaling(mean, width, hashed, dim)


def _standardised(dense: Floats, scaling: _Scaling) -> Floats:
    """Columns about a company stay zero in the rows that ask about none."""
    out = dense.copy()
    out[:, :-1] = (dense[:, :-1] - scaling.mean) / scaling.width
    out[:, scaling.dim : -1] *= dense[:, -1:]
    return out


def _minimise(
    dense: Floats,
    hashed: csr_matrix,
    truth: NDArray[np.int64],
    n_labels: int,
    row_weights: Floats,
    recipe: TextHeadRecipe,
    told: Callable[[int, float, Floats, Floats], None],
) -> tuple[Floats, Floats]:
    """Weighted cross-entropy plus an L2 penalty (the bias goes free), by L-BFGS from zero.

    On one core: the products are so small that handing them out costs several times what they do.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    n, n_dense = dense.shape
    n_columns = n_dense + hashed.shape[1]
    wanted = np.eye(n_labels, dtype=np.float32)[truth]
    turned = hashed.T.tocsr()
    rows = np.arange(n)
    steps = 0

    def parted(flat: Doubles) -> tuple[Floats, Floats]:
        flat32 = flat.astype(np.float32)
        return flat32[:-n_labels].reshape(n_columns, n_labels), flat32[-n_labels:]

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights, bias = parted(flat)
        logit = dense @ weights[:n_dense] + hashed @ weights[n_dense:] + bias
        logit -= logit.max(axis=1, keepdims=True)
        grown = np.exp(logit)
        total = grown.sum(axis=1, keepdims=True)
        surprise = np.log(total[:, 0]) - logit[rows, truth]
        value = float(row_weights @ surprise) + float((weights**2).sum()) / (2 * recipe.strength)
        slope = (grown / total - wanted) * row_weights[:, None]
        towards = np.concatenate([dense.T @ slope, turned @ slope]) + weights / recipe.strength
        return value, np.concatenate([towards.ravel(), slope.sum(axis=0)]).astype(np.float64)

    def after_step(intermediate_result: OptimizeResult) -> None:
        nonlocal steps
        steps += 1
        told(steps, intermediate_result.fun / n, *parted(intermediate_result.x))

    start = np.zeros((n_columns + 1) * n_labels)
    options = {"maxiter": recipe.max_steps, "maxcor": 6}
    with threadpool_limits(1, user_api="blas"):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options, callback=after_step)
    return parted(found.x)


def _folded(
    weights: Floats, bias: Floats, scaling: _Scaling, labels: tuple[str, ...], recipe: TextHeadRecipe
) -> TextHead:
    """The same function of the raw features: scales go into the weights, means into the intercepts."""
    n_dense, dim = 3 * scaling.dim + 1, scaling.dim
    dense = weights[:n_dense].copy()
    dense[:-1] /= scaling.width[:, None]
    shift = scaling.mean[:, None] * dense[:-1]
    dense[-1] -= shift[dim:].sum(axis=0)
    return TextHead(
        labels=labels,
        space=recipe.space,
        dense=dense,
        hashed=weights[n_dense:] * scaling.hashed[:, None],
        bias=bias - shift[:dim].sum(axis=0),
    )
