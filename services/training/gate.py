"""May a challenger take the place of the version that serves? Judged on rows that neither was trained on.

The gain has to be surer than chance: the 95 % interval of the paired bootstrap lies above `least_gain`, no
class may fall by more than a margin, and the challenger must know the labels better than its own answers
dealt out at random do (which a model trained on shuffled labels does not). Where nothing serves yet, it has
to beat a TF-IDF baseline and the most frequent class. Every reason is kept as a code with its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.training.resampling import (
    ROUNDS,
    Bools,
    Doubles,
    Ints,
    Metric,
    grouped,
    interval,
    label_f1s,
    one_hot,
    resampled,
    scored,
    tally,
)
from services.training.verdict import ClassChange, Reason, Verdict

Floats = NDArray[np.float32]

LEAST_ROWS = 20
"""Fewer rows than this prove nothing, however they come out."""
CHANCE_ROUNDS = 999
CHANCE_LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class _Duel:
    """The figures of the challenger against one opponent."""

    against: str
    before: float
    after: float
    low: float
    high: float
    classes: Mapping[str, ClassChange]

    @property
    def gain(self) -> float:
        return self.after - self.before


def judge(
    challenger: Floats,
    live: Floats | None,
    truth: Ints | Bools,
    labels: Sequence[str],
    *,
    baseline: Floats | None = None,
    metric: Metric = "macro_f1",
    least_gain: float = 0.0,
    class_margin: float = 0.03,
    seed: int = 0,
    rounds: int = ROUNDS,
    thresholds: Floats | float = 0.5,
    live_thresholds: Floats | float = 0.5,
    groups: Ints | None = None,
) -> Verdict:
    """Challenger and live version over the same rows: `probs` float32 (n, n_labels), `truth` int (n,).

    A bool `truth` (n, n_labels) is of labels that do not exclude one another; a label is then said from its
    threshold on, a number or float32 (n_labels,); the baseline's are .5. Without a live version (None) the
    challenger must beat `baseline` (if given) and the most frequent class. `groups` (n,) names rows that
    belong together. Raises ValueError when shapes do not fit, or for accuracy of a bool `truth`.
    """
    many = truth.ndim == 2
    if many and metric == "accuracy":
        raise ValueError("accuracy is for labels that exclude one another")
    if any(p is not None and p.shape != (len(truth), len(labels)) for p in (challenger, live, baseline)):
        raise ValueError("probabilities, truth and labels are of different sizes")
    n = len(truth)
    if wrong := int((~np.isfinite(challenger)).any(axis=1).sum()):
        return _refused(Reason("not_finite", {"n": wrong}), n)
    if n < LEAST_ROWS:
        return _refused(Reason("too_few_rows", {"n": n, "least": LEAST_ROWS}), n)
    wanted = np.asarray(truth, np.bool_) if many else one_hot(np.asarray(truth, np.int64), len(labels))
    said = _said(challenger, thresholds, many)
    others = {"live": _said(live, live_thresholds, many)} if live is not None else {}
    if live is None:
        if baseline is not None:
            others["baseline"] = _said(baseline, 0.5, many)
        others["majority"] = np.tile(np.arange(len(labels)) == wanted.sum(0).argmax(), (n, 1))
    duels = [
        _duel(name, said, other, wanted, labels, metric, seed, rounds, groups)
        for name, other in others.items()
    ]
    reasons = [_gain_reason(duel, least_gain, metric, n) for duel in duels]
    if live is not None:
        reasons += _class_reasons(duels[0], class_margin)
    p = _chance(said, wanted, metric, seed, many)
    chance = {"p": p, "level": CHANCE_LEVEL}
    reasons.append(Reason("beyond_chance" if p < CHANCE_LEVEL else "chance", chance))
    sternest = min(duels, key=lambda duel: duel.low)
    return _verdict(sternest, reasons, n)


def judge_scores(
    challenger: Doubles,
    live: Doubles,
    *,
    least_gain: float = 0.0,
    seed: int = 0,
    rounds: int = ROUNDS,
    groups: Ints | None = None,
) -> Verdict:
    """The same for figures of a row (nDCG of a query, minus the surprise of a text): float (n,).

    Raises ValueError when the two are of different lengths.
    """
    if challenger.shape != live.shape or challenger.ndim != 1:
        raise ValueError("both need one score for each row")
    n = len(challenger)
    if wrong := int((~np.isfinite(challenger)).sum()):
        return _refused(Reason("not_finite", {"n": wrong}), n)
    if n < LEAST_ROWS:
        return _refused(Reason("too_few_rows", {"n": n, "least": LEAST_ROWS}), n)
    units = np.stack([challenger - live, np.ones(n)], axis=1).astype(np.float32)
    sums = resampled(units if groups is None else grouped(units, groups), seed, rounds)
    low, high = interval(sums[:, 0] / sums[:, 1])
    duel = _Duel("live", float(live.mean()), float(challenger.mean()), low, high, {})
    return _verdict(duel, [_gain_reason(duel, least_gain, "score", n)], n)


def _verdict(duel: _Duel, reasons: Sequence[Reason], n: int) -> Verdict:
    passed = all(reason.code in ("better", "no_class_falls", "beyond_chance") for reason in reasons)
    return Verdict(passed, duel.gain, duel.low, duel.high, duel.classes, tuple(reasons), n)


def _refused(reason: Reason, n: int) -> Verdict:
    return Verdict(False, 0.0, 0.0, 0.0, {}, (reason,), n)


def _said(probs: Floats, thresholds: Floats | float, many: bool) -> Bools:
    if many:
        return np.asarray(probs >= thresholds, np.bool_)
    return one_hot(probs.argmax(axis=1).astype(np.int64), probs.shape[1])


def _duel(
    against: str,
    said: Bools,
    other: Bools,
    wanted: Bools,
    labels: Sequence[str],
    metric: Metric,
    seed: int,
    rounds: int,
    groups: Ints | None,
) -> _Duel:
    units = np.concatenate([tally(said, wanted), tally(other, wanted)], axis=1)
    ours, theirs = np.split(units.sum(axis=0, dtype=np.float64), 2)
    sums = resampled(units if groups is None else grouped(units, groups), seed, rounds)
    our_sums, their_sums = np.split(sums, 2, axis=1)
    low, high = interval(scored(our_sums, metric) - scored(their_sums, metric))
    changes, drawn = label_f1s(ours) - label_f1s(theirs), label_f1s(our_sums) - label_f1s(their_sums)
    asked = wanted.sum(axis=0)
    classes = {
        label: ClassChange(float(changes[k]), *interval(drawn[:, k]), int(asked[k]))
        for k, label in enumerate(labels)
        if asked[k]
    }
    return _Duel(against, float(scored(theirs, metric)), float(scored(ours, metric)), low, high, classes)


def _gain_reason(duel: _Duel, least_gain: float, metric: str, n: int) -> Reason:
    numbers: dict[str, float | int | str] = {
        "metric": metric,
        "against": duel.against,
        "before": duel.before,
        "after": duel.after,
        "gain": duel.gain,
        "low": duel.low,
        "high": duel.high,
        "least": least_gain,
        "n": n,
    }
    return Reason("better" if duel.low > least_gain else "not_better", numbers)


def _class_reasons(duel: _Duel, margin: float) -> list[Reason]:
    falling = [(label, c) for label, c in duel.classes.items() if c.change < -margin]
    if not falling:
        worst = min((c.change for c in duel.classes.values()), default=0.0)
        return [Reason("no_class_falls", {"margin": margin, "worst": min(worst, 0.0)})]
    return [
        Reason(
            "class_falls",
            {"label": label, "fall": -c.change, "low": c.low, "high": c.high, "n": c.n, "margin": margin},
        )
        for label, c in sorted(falling, key=lambda item: item[1].change)
    ]


def _chance(said: Bools, wanted: Bools, metric: Metric, seed: int, many: bool) -> float:
    """The share of random deals of the same answers that fit the labels as well (permutation test).

    Of labels that exclude one another the tables of such deals are drawn, not the deals themselves.
    """
    reached = float(scored(tally(said, wanted).sum(axis=0, dtype=np.float64), metric))
    asked, given = wanted.sum(axis=0), said.sum(axis=0)
    if many:
        rng = np.random.default_rng(seed)
        hits = np.stack(
            [(said & wanted[rng.permutation(len(wanted))]).sum(axis=0) for _ in range(CHANCE_ROUNDS)]
        )
    else:
        from scipy.stats import random_table

        hits = random_table(given, asked, seed=seed).rvs(size=CHANCE_ROUNDS).diagonal(axis1=1, axis2=2)
    sums = np.concatenate([hits, *(np.tile(x, (CHANCE_ROUNDS, 1)) for x in (asked, given))], axis=1)
    as_good = int((scored(sums.astype(np.float64), metric) >= reached - 1e-12).sum())
    return (1 + as_good) / (1 + CHANCE_ROUNDS)
