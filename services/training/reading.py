"""A file of examples, as people make them: CSV or JSONL in any usual encoding, every wrong line named.

Rows come one at a time, so that a million of them need little memory; `read` puts them together and says
what is wrong with the file as a whole. Columns it does not know are left out, and listed.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.errors import InvalidInput
from services.training.dataset import Example, Shape
from services.training.formats import Layout, layout_of, raw_rows
from services.training.validation import Problem, Unusable, example, is_number

LIMIT = 2_000_000
LEAST_EXAMPLES = 10
LEAST_OF_A_CLASS = 10
LISTED_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds. `problems` (at most a thousand of `wrong`) must be mended; `notes` need not.

    `counts` is examples by label (by the label of a span), `columns` are those used, `ignored` those not.
    """

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    wrong: int
    notes: tuple[Problem, ...]
    counts: Mapping[str, int]
    columns: tuple[str, ...]
    ignored: tuple[str, ...]
    encoding: str


def read(
    source: Path | bytes,
    filename: str,
    shape: Shape,
    labels: Collection[str] | None = None,
    *,
    limit: int = LIMIT,
) -> Reading:
    """All examples of a CSV or JSONL file of this shape, and all that is wrong with it.

    `filename` tells the format by its end. `labels` are those allowed; None takes any. Reading ends after
    `limit` rows. Raises InvalidInput only when the file cannot be opened.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
            layout = layout_of(stream, filename, shape)
            found = _rows(stream, layout, shape, labels)
            return _gathered(found, layout, shape, limit)
    except OSError as error:
        raise InvalidInput(f"{filename} cannot be read ({error.strerror}).", field="file") from error


def rows(
    stream: BinaryIO, filename: str, shape: Shape, labels: Collection[str] | None = None
) -> Iterator[Example | Problem]:
    """Each row of a seekable file as an Example or what is wrong with it, in the order of the file.

    Memory does not grow with the file, but for 100 bytes for each row that has an id.
    """
    return _rows(stream, layout_of(stream, filename, shape), shape, labels)


def usable(reading: Reading, filename: str) -> tuple[Example, ...]:
    """The examples. Raises InvalidInput when anything is wrong: `extra` has `lines` (20) and `problems`."""
    if not reading.wrong:
        return reading.examples
    first = reading.problems[0]
    where = f"line {first.line}: {first.text()}" if first.line else first.text()
    raise InvalidInput(
        f"{filename}: {reading.wrong} problems; the first is {where}.",
        field="file",
        lines=[{"line": problem.line, "problem": problem.text()} for problem in reading.problems[:20]],
        problems=reading.wrong,
    )


def _gathered(found: Iterator[Example | Problem], layout: Layout, shape: Shape, limit: int) -> Reading:
    examples: list[Example] = []
    problems: list[Problem] = []
    wrong = 0
    for number, row in enumerate(found):
        if number >= limit:
            problems.insert(0, Problem(0, "too_many", {"most": limit}))
            wrong += 1
            break
        if isinstance(row, Example):
            examples.append(row)
        else:
            wrong += 1
            problems += [row] if len(problems) < LISTED_PROBLEMS else []
    counts = _counts(examples)
    if not any(problem.line == 0 for problem in problems):
        whole = _wrong_as_a_whole(examples, counts, shape, wrong)
        problems, wrong = whole + problems, wrong + len(whole)
    return Reading(
        tuple(examples),
        tuple(problems),
        wrong,
        tuple(_notes(examples, counts, layout)),
        counts,
        tuple(name for name in layout.names if name),
        layout.ignored,
        layout.encoding,
    )


def _counts(examples: Sequence[Example]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in examples:
        found.update([row.label] if row.label else [*row.labels, *(span.label for span in row.spans)])
    return dict(sorted(found.items()))


def _wrong_as_a_whole(
    examples: Sequence[Example], counts: Mapping[str, int], shape: Shape, wrong: int
) -> list[Problem]:
    if not examples:
        return [] if wrong else [Problem(0, "nothing")]
    if len(examples) < LEAST_EXAMPLES:
        return [Problem(0, "too_few", {"n": len(examples), "least": LEAST_EXAMPLES})]
    if shape == "labelled" and len(counts) == 1:
        return [Problem(0, "one_class", {"label": next(iter(counts))})]
    return []


def _notes(examples: Sequence[Example], counts: Mapping[str, int], layout: Layout) -> Iterator[Problem]:
    if layout.encoding not in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        yield Problem(0, "fallback_encoding", {"encoding": layout.encoding})
    if layout.ignored:
        yield Problem(0, "ignored_columns", {"columns": ", ".join(layout.ignored)})
    if counts and all(is_number(label) for label in counts):
        yield Problem(0, "numeric_labels")
    for label, n in counts.items():
        if n < LEAST_OF_A_CLASS:
            yield Problem(0, "rare_class", {"label": label, "n": n, "least": LEAST_OF_A_CLASS})
    lost = [at for at, e in enumerate(examples, 1) if e.entity and e.entity.lower() not in e.text.lower()]
    if lost:
        yield Problem(0, "not_named", {"n": len(lost), "first": lost[0]})
    first: dict[tuple[str, str | None], str] = {}
    torn = [
        (at, (e.text, e.entity))
        for at, e in enumerate(examples, 1)
        if e.label and first.setdefault((e.text, e.entity), e.label) != e.label
    ]
    if torn:
        yield Problem(0, "contradiction", {"n": len({key for _, key in torn}), "first": torn[0][0]})


def _rows(
    stream: BinaryIO, layout: Layout, shape: Shape, labels: Collection[str] | None
) -> Iterator[Example | Problem]:
    if layout.problem:
        yield layout.problem
        return
    known: dict[int, int] = {}
    for line, row in raw_rows(stream, layout, shape):
        try:
            if isinstance(row, Unusable):
                raise row
            found = example(row, shape, labels)
        except Unusable as wrong:
            yield Problem(line, wrong.code, wrong.values)
            continue
        if found.id and (first := known.setdefault(hash(found.id), line)) != line:
            yield Problem(line, "duplicate_id", {"id": found.id[:40], "first": first})
        else:
            yield found
