"""Which examples are held out, so that nothing held out was seen in training under another coat.

All rows of one text, and of texts that are nearly the same, stay on one side: copies of a headline with
another number or link would otherwise be learned by heart and counted as understanding. Who is drawn
depends on texts and seed, so that rows that are added later leave most others where they were.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.training.copies import SAME_FROM as SAME_FROM
from services.training.copies import copies as copies
from services.training.copies import joined_by
from services.training.dataset import Example
from services.training.order import Order

_LISTED = 20
_LEAST_FOR_A_SHARE = 4
_TOO_FEW = "There are too few different texts to hold some out."


@dataclass(frozen=True, slots=True)
class Parts:
    """Which rows are learned from, which steer the training, and which only the end is judged by.

    Row numbers from 0, in order; each row is in one part. `validation` is empty only when no share was asked.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def split(examples: Sequence[Example], order: Order) -> Parts:
    """The parts of the examples, by the order's kind of split, its shares and its seed.

    stratified: each label has about the same share in each part; a row with several counts for its rarest.
    time: the latest are tested on, those before them validate; copies go by the earliest of them.
    group: like stratified, and rows of one `group` are never parted.
    Raises InvalidInput: rows lack a usable time (`extra` has `rows`, at most twenty, counted from 1), or a
    part would be left empty.
    """
    groups = copies([wording(example) for example in examples])
    if order.split == "group":
        groups = joined_by(groups, [example.group for example in examples])
    if order.split == "time":
        strata = [_by_time(examples, groups)]
    else:
        strata = _by_label(examples, groups, order.seed)
    test, validation = _taken(strata, (order.test_share, order.validation_share))
    held = set(test) | set(validation)
    train = tuple(row for row in range(len(examples)) if row not in held)
    if not train or not test or (order.validation_share > 0 and not validation):
        raise InvalidInput(_TOO_FEW, field="file")
    return Parts(train, tuple(sorted(validation)), tuple(sorted(test)))


def folds(examples: Sequence[Example], k: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, int64 (n,), 0 to k - 1: labels spread evenly, copies together.

    Raises InvalidInput when there are fewer groups of copies than folds.
    """
    strata = _by_label(examples, copies([wording(example) for example in examples]), seed)
    if k < 2 or sum(map(len, strata)) < k:
        raise InvalidInput(f"There are too few different texts for {k} folds.", field="folds")
    fold = np.zeros(len(examples), np.int64)
    filled = [0] * k
    for stratum in strata:
        of_stratum = [0] * k
        for rows in stratum:
            least = min(range(k), key=lambda f: (of_stratum[f], filled[f]))
            fold[rows] = least
            of_stratum[least] += len(rows)
            filled[least] += len(rows)
    return fold


def wording(example: Example) -> str:
    """What two examples have in common when they are copies: the text, or all that is said in a dialogue."""
    return "\n".join(content for _, content in example.messages) or example.text


def held_out(texts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """A mask over rows with these texts: True for about `share` of them, whole groups of copies at a time.

    Which groups are drawn depends on their texts and the seed, not on the order of the rows.
    Raises InvalidInput when a side would be left empty.
    """
    groups = copies(texts)
    drawn = sorted(_members(groups), key=lambda rows: _draw(min(texts[r] for r in rows), seed))
    mask = np.zeros(len(texts), np.bool_)
    wanted = round(share * len(texts))
    for rows in drawn:
        if mask.sum() >= wanted:
            break
        mask[rows] = True
    if mask.all() or not mask.any():
        raise InvalidInput("There are too few different texts to hold some out.", field="file")
    return mask


def _members(groups: Iterable[int]) -> list[list[int]]:
    """The rows of each group."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[int(group)].append(row)
    return list(members.values())


def _by_label(examples: Sequence[Example], groups: NDArray[np.int64], seed: int) -> list[list[list[int]]]:
    """Groups of copies as their texts and the seed draw them, the rarest label's first."""
    told = [_labels(example) for example in examples]
    counts = Counter(label for labels in told for label in labels)
    strata: dict[str, list[tuple[bytes, list[int]]]] = defaultdict(list)
    for rows in _members(groups):
        labels = {label for row in rows for label in told[row]}
        rarest = min(labels, key=lambda label: (counts[label], label), default="")
        strata[rarest].append((_draw(min(wording(examples[row]) for row in rows), seed), rows))
    return [
        [rows for _, rows in sorted(strata[label], key=lambda drawn: drawn[0])]
        for label in sorted(strata, key=lambda label: (counts[label], label))
    ]


def _labels(example: Example) -> set[str]:
    return {example.label, *example.labels, *(span.label for span in example.spans)} - {""}


def _by_time(examples: Sequence[Example], groups: NDArray[np.int64]) -> list[list[int]]:
    """Groups of copies, those whose first row is the latest first."""
    times = [_time(example.time) for example in examples]
    if lacking := [row for row, time in enumerate(times, 1) if time is None]:
        listed = ", ".join(map(str, lacking[:_LISTED]))
        raise InvalidInput(
            f"A split by time needs a time in every row; {len(lacking)} have none, among them row {listed}.",
            field="time",
            rows=lacking[:_LISTED],
        )
    known = [time for time in times if time is not None]
    return sorted(_members(groups), key=lambda rows: min(known[row] for row in rows), reverse=True)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _taken(strata: Sequence[Sequence[list[int]]], shares: Sequence[float]) -> list[list[int]]:
    """From the front of each stratum, about those shares of its rows; whole groups, never the last of them.

    A stratum of a few groups gives one for each share, so that its label can be judged at all.
    """
    parts: list[list[int]] = [[] for _ in shares]
    for stratum in strata:
        total = sum(map(len, stratum))
        quotas = [share * total for share in shares]
        if len(stratum) >= _LEAST_FOR_A_SHARE:
            quotas = [max(quota, 0.5) if quota else 0.0 for quota in quotas]
        taken = [0] * len(shares)
        for rows in stratum[:-1]:
            for at, quota in enumerate(quotas):
                if taken[at] + len(rows) / 2 <= quota:
                    parts[at] += rows
                    taken[at] += len(rows)
                    break
    return parts


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{text}".encode(), digest_size=16).digest()
