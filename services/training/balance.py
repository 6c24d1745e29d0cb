"""How a data set is made up: rows of each label, lengths, sources, as plain numbers for a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.text.language import detect
from services.training.dataset import Example
from services.training.splitting import wording

LENGTH_BINS = (0, 25, 50, 100, 150, 200, 300, 500, 1000, 2000, 5000)
"""Characters at which the bars of the length picture begin."""


def balance(examples: Sequence[Example]) -> dict[str, Any]:
    """JSON: rows, labels, imbalance, lengths, length_quantiles, languages, sources, with_entity.

    labels, languages, sources are [{value, n}], the most frequent first; a row with several labels counts for
    each, one with none for "". imbalance is the rows of the most frequent label for one of the rarest.
    lengths are [{from, to, n}] in characters, `to` None in the last; quantiles are 5, 25, 50, 75, 95 of 100.
    """
    labels = Counter(label for example in examples for label in _labels(example))
    lengths = np.array([len(wording(example)) for example in examples], np.int64)
    counts = np.bincount(np.digitize(lengths, LENGTH_BINS) - 1, minlength=len(LENGTH_BINS))
    ends = (*LENGTH_BINS[1:], None)
    quantiles = np.percentile(lengths, (5, 25, 50, 75, 95)) if len(lengths) else np.zeros(5)
    return {
        "rows": len(examples),
        "labels": _listed(labels),
        "imbalance": round(max(labels.values()) / min(labels.values()), 2) if labels else 1.0,
        "lengths": [
            {"from": start, "to": end, "n": int(n)}
            for start, end, n in zip(LENGTH_BINS, ends, counts, strict=True)
        ],
        "length_quantiles": [int(value) for value in quantiles],
        "languages": _listed(Counter(example.language or detect(wording(example)) for example in examples)),
        "sources": _listed(Counter(example.source for example in examples)),
        "with_entity": sum(example.entity is not None for example in examples),
    }


def _labels(example: Example) -> tuple[str, ...]:
    if example.label:
        return (example.label,)
    return example.labels or tuple(dict.fromkeys(span.label for span in example.spans)) or ("",)


def _listed(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"value": v, "n": n} for v, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
