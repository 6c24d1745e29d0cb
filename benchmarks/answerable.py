"""Does the assistant know when its passages hold no answer?

`python -m benchmarks.answerable --data DIR [--json FILE] [--seed N]`: DIR holds passages.jsonl (id, title,
text: plain or Markdown) and cases.jsonl (id, question, history, answerable, gold: ids of those that answer).

The product's own reader, pieces, index and borders are used as they are; borders are
calibrated on the passages alone, which have no question variants, so those that come with the product decide.
A case is answered, offered (up to three entries to choose from), or refused.

    auroc                 of the probability, answerable cases against the others
    answered_precision    of what is answered: the case can be answered and a gold passage is among those used
    refused_unanswerable  of cases that cannot be answered: not answered
    false_refusal         of cases that can be: refused, or offered without a gold passage among the choices
    ece                   calibration error of the probability, against "a gold one is among the used"
    hit_at_5              of answerable cases: a gold passage among the first five found

The baselines are the best cosine and the best BM25 coverage; times are of whole decisions, one by one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from benchmarks.intent import auroc
from chatbot.answerability import Judged, is_entry, judge, one_each
from chatbot.calibration import Pieces, calibrated
from chatbot.parsing import read_sections
from services.errors import InvalidInput, SuiteError
from services.inference.engine import Engine
from services.inference.values import Priority
from services.search.hybrid import Hit, HybridIndex
from services.search.pieces import cut_passage
from services.search.understanding import understands
from services.text.language import detect
from services.training.evaluation import calibration_error

CAREFULNESS = 0.5
"""The product's default."""
USED = 3
"""Passages an extractive answer may draw on."""
OFFERED = 3
FOUND = 8
EMBEDDED_AT_ONCE = 512
REFERENCE = "For reference: AWS documents, tf-idf top score .747; SQuAD 2 .549, plain similarity .55 to .60."


@dataclass(frozen=True, slots=True)
class Section:
    """A passage as the product keeps it, and the place of the benchmark's passage it was read from."""

    owner: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """A question, whether it can be answered, and the places of the passages that do."""

    question: str
    history: tuple[str, ...]
    answerable: bool
    gold: frozenset[int]


@dataclass(frozen=True, slots=True)
class Told:
    """What the product did: the decision, the places of the passages found, best first, and seconds."""

    judged: Judged
    owners: tuple[int, ...]
    dense: float
    lexical: float
    seconds: float


def main() -> None:
    """Parse, measure, print, write."""
    args = arguments(__doc__, "a folder with passages.jsonl and cases.jsonl", "not used").parse_args()
    with serving_engine() as engine:
        metrics, lines = run(args.data, engine)
    print("\n".join(lines))
    write(args.json, metrics)


def run(data: Path, engine: Engine) -> tuple[dict[str, Any], list[str]]:
    """The metrics, and the table as lines."""
    sections, cases = read(data)
    engine.warm()
    pieces = cut(sections, engine)
    index = HybridIndex.build(
        piece_ids=pieces.piece_ids,
        passage_ids=pieces.passage_ids,
        kinds=pieces.kinds,
        texts=pieces.texts,
        vecs=pieces.vecs,
        encoder_version=engine.encoder().version,
    )
    borders = calibrated(pieces, index.weights)
    told = [asked(case, index, sections, borders, engine) for case in cases]
    metrics = figures(cases, told)
    metrics |= {
        "rows": len(cases),
        "passages": len({s.owner for s in sections}),
        **conditions(engine_threads()),
    }
    return metrics, table(metrics, cases, told)


def read(data: Path) -> tuple[tuple[Section, ...], list[Case]]:
    """The passages, read as Markdown into sections, and the cases."""
    rows = [json.loads(line) for line in (data / "passages.jsonl").open(encoding="utf-8") if line.strip()]
    places = {row["id"]: place for place, row in enumerate(rows)}
    sections: list[Section] = []
    for place, row in enumerate(rows):
        title = str(row.get("title") or "")
        try:
            found = read_sections(str(row["text"]).encode(), "text/markdown", title)
        except SuiteError:
            continue
        sections += [Section(place, " › ".join(one.title_path), one.text) for one in found]
    if not sections:
        raise InvalidInput("passages.jsonl holds no text.", field="data")
    asked = [json.loads(line) for line in (data / "cases.jsonl").open(encoding="utf-8") if line.strip()]
    return tuple(sections), [
        Case(
            row["question"],
            tuple(
                turn if isinstance(turn, str) else str(turn.get("text", "")) for turn in row["history"] or ()
            ),
            bool(row["answerable"]),
            frozenset(places[one] for one in row.get("gold") or () if one in places),
        )
        for row in asked
    ]


def cut(sections: tuple[Section, ...], engine: Engine) -> Pieces:
    """Every section's pieces with their vectors."""
    cuts = [
        (place, piece)
        for place, one in enumerate(sections)
        for piece in cut_passage(one.heading, one.text, is_faq=are_entries(sections))
    ]
    texts = [piece.embedded for _, piece in cuts]
    vecs = [
        engine.embed(texts[at : at + EMBEDDED_AT_ONCE], priority=Priority.BATCH)
        for at in range(0, len(texts), EMBEDDED_AT_ONCE)
    ]
    return Pieces(
        list(range(len(cuts))),
        [place for place, _ in cuts],
        [piece.kind for _, piece in cuts],
        [piece.text for _, piece in cuts],
        np.concatenate(vecs),
    )


@cache
def are_entries(sections: tuple[Section, ...]) -> bool:
    """Whether most stand under a question: the product knows it of a file by its kind."""
    return sum(is_entry(one.heading) for one in sections) * 2 > len(sections)


def asked(
    case: Case, index: HybridIndex, sections: tuple[Section, ...], borders: Any, engine: Engine
) -> Told:
    """One case, decided as the dialogue decides it."""
    started = time.perf_counter()
    known = understands(engine.embed, engine.encoder().version, detect(case.question))
    vec = engine.embed([case.question])[0] if known else None
    hits: list[Hit] = index.search(case.question, vec, k=FOUND)
    rivals = one_each(hits, lambda hit: (sections[hit.passage_id].owner, sections[hit.passage_id].heading))
    judged = judge(rivals, are_entries(sections), borders, CAREFULNESS)
    return Told(
        judged,
        tuple(sections[hit.passage_id].owner for hit in hits),
        max((hit.dense for hit in hits), default=0.0),
        max((hit.lexical for hit in hits), default=0.0),
        time.perf_counter() - started,
    )


def figures(cases: Sequence[Case], told: Sequence[Told]) -> dict[str, Any]:
    """The metrics of the module's docstring."""
    can = np.array([case.answerable for case in cases])
    probs = np.array([one.judged.probability for one in told])
    zone = np.array([one.judged.zone for one in told])
    used, offered, first_five = (within(cases, told, k) for k in (USED, OFFERED, 5))
    right = can & used
    answered = zone == "answer"
    helped = answered | ((zone == "offer") & offered)
    binary = np.stack([1 - probs, probs], axis=1).astype(np.float32)
    dense, lexical = (np.array([getattr(one, name) for one in told]) for name in ("dense", "lexical"))
    shares = {
        "auroc": auroc(probs[~can], probs[can]),
        "dense_auroc": auroc(dense[~can], dense[can]),
        "lexical_auroc": auroc(lexical[~can], lexical[can]),
        "answered_precision": mean(right[answered]),
        "answered": mean(answered),
        "offered": mean(zone == "offer"),
        "refused_unanswerable": mean(~answered[~can]),
        "refused_outright": mean(zone[~can] == "refuse"),
        "false_refusal": mean(~helped[can]),
        "ece": calibration_error(binary, right.astype(np.int64)),
        "hit_at_5": mean(first_five[can]),
    }
    metrics: dict[str, Any] = {name: round(float(value), 4) for name, value in shares.items()}
    return metrics | {"p95_ms": round(1000 * float(np.quantile([one.seconds for one in told], 0.95)), 1)}


def within(cases: Sequence[Case], told: Sequence[Told], k: int) -> NDArray[np.bool_]:
    """Whether a gold passage is among the first k found."""
    return np.array([bool(case.gold & set(one.owners[:k])) for case, one in zip(cases, told, strict=True)])


def mean(values: NDArray[np.bool_]) -> float:
    """The share, 0 of nothing."""
    return float(values.mean()) if len(values) else 0.0


def table(metrics: dict[str, Any], cases: Sequence[Case], told: Sequence[Told]) -> list[str]:
    """What is printed."""
    able = sum(case.answerable for case in cases)
    lines = [f"{len(cases)} cases, {able} can be answered, {metrics['passages']} passages", ""]
    lines += [f"{'AUROC':26}{'':>8}", f"  {'this project':24}{metrics['auroc']:8.3f}"]
    lines += [
        f"  {'best cosine':24}{metrics['dense_auroc']:8.3f}",
        f"  {'best BM25':24}{metrics['lexical_auroc']:8.3f}",
    ]
    lines.append("")
    for name in (
        "answered_precision",
        "answered",
        "offered",
        "refused_unanswerable",
        "refused_outright",
        "false_refusal",
        "ece",
        "hit_at_5",
        "p95_ms",
    ):
        lines.append(f"{name:26}{metrics[name]:8.3f}")
    return [*lines, "", REFERENCE]


if __name__ == "__main__":
    main()
