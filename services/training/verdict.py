"""What the gate says of a challenger: passed or not, by how much, and why, in words an auditor understands.

A reason is kept as a code with its numbers, so that it can be shown in any language; the English is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SENTENCES = {
    "better": "{metric} went from {before:.3f} ({against}) to {after:.3f} on {n} rows. The gain of "
    "{gain:+.3f} lies between {low:+.3f} and {high:+.3f} (certainty: 95 %), above the {least:.3f} that "
    "is asked for.",
    "not_better": "{metric} went from {before:.3f} ({against}) to {after:.3f} on {n} rows. The gain of "
    "{gain:+.3f} lies between {low:+.3f} and {high:+.3f} (certainty: 95 %): that it is above {least:.3f} "
    "is not proven.",
    "class_falls": "F1 of “{label}” falls by {fall:.3f} ({low:+.3f} to {high:+.3f}, {n} rows); at most "
    "{margin:.3f} is allowed.",
    "no_class_falls": "No class loses more than {margin:.3f} of its F1; the largest change for the worse is "
    "{worst:+.3f}.",
    "chance": "Its answers fit the labels no better than the same answers dealt out at random "
    "(p = {p:.3f}, below {level} is asked for): it has learned nothing that these rows show.",
    "beyond_chance": "Its answers fit the labels better than the same answers dealt out at random "
    "(p = {p:.3f}).",
    "too_few_rows": "There are {n} rows to compare on; at least {least} are needed.",
    "not_finite": "Rows of the challenger's answers that are not numbers: {n}.",
}
"""What each code says, in English, for `str.format`."""
METRIC_NAMES = {"macro_f1": "Macro F1", "accuracy": "Accuracy", "micro_f1": "Micro F1", "score": "The score"}
OPPONENTS = {
    "live": "the live version",
    "baseline": "the TF-IDF baseline",
    "majority": "the most frequent class",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a code of SENTENCES and its values: numbers, labels, codes of metrics and opponents."""

    code: str
    values: Mapping[str, float | int | str] = field(default_factory=dict)

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, in English or as `translate` says it."""
        words = dict(self.values)
        for name, known in (("metric", METRIC_NAMES), ("against", OPPONENTS)):
            if name in words:
                words[name] = translate(known[str(words[name])])
        return translate(SENTENCES[self.code]).format(**words)


@dataclass(frozen=True, slots=True)
class ClassChange:
    """How the F1 of one label changes, with its 95 % interval, and the rows that have the label."""

    change: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`gain` is challenger minus opponent, with its 95 % interval; over the sternest opponent of several."""

    passed: bool
    gain: float
    low: float
    high: float
    class_changes: Mapping[str, ClassChange]
    reasons: tuple[Reason, ...]
    n: int

    def sentences(self) -> tuple[str, ...]:
        """The reasons in English."""
        return tuple(reason.text() for reason in self.reasons)
