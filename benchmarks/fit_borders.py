"""The borders of answerability that come with the product: how `chatbot/answerability.py` got its numbers.

`python -m benchmarks.fit_borders --data DIR [--json FILE] [--seed N]`: DIR holds one folder or more with a
train.csv (text,label) of questions by intent that may be learned from. The sample company's documents and
questions are taken beside them.

Each set becomes a knowledge base: an intent's first question is an entry's title, two more stand as its text,
the others are asked. Every question is asked twice: as things are, and with its entry taken away. Questions
of the sets are asked of the sample company's documents too, as those that are about something else. FAQ
learns whether the first entry is the right one, from the sets, and OFFERS whether it is among the first
three; DOCUMENTS learns that from all, by signs that do not depend on how alike neighbouring sections are.
Each part counts alike.
"""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, serving_engine, write
from chatbot.answerability import SIGNS, Floats, one_each, signs
from chatbot.parsing import media_type_of, read_sections
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.search.hybrid import Hit, HybridIndex
from services.search.pieces import cut_passage
from services.search.rows import Vectors

SAMPLE = Path(__file__).parent.parent / "sample" / "knowledge"
QUESTIONS = SAMPLE / "questions.jsonl"
ASKED_IN_ALL = 460
FAR = 150
"""Questions of each set that are asked of the sample company's documents."""
FAQ_SIGNS = ("score", "margin", "lead", "agree")
OFFER_SIGNS = ("score", "lead")
DOCUMENT_SIGNS = ("dense", "lexical", "score")
FAR_COUNTS = 0.3
"""What the far questions count in FAQ, where every part counts 1."""


@dataclass(frozen=True, slots=True)
class Part:
    """Cases of one kind: signs float32 (n, 6); whether the first entry, or one of three, was right."""

    seen: Floats
    first: NDArray[np.bool_]
    among: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage: its headings and text, and whether it stands under a question."""

    path: tuple[str, ...]
    text: str
    is_faq: bool


def main() -> None:
    """Parse, learn, print, write."""
    args = arguments(__doc__, "a folder of folders with train.csv", "which questions are asked").parse_args()
    with serving_engine() as engine:
        found = run(args.data, args.seed, engine)
    print(json.dumps(found, indent=2))
    write(args.json, found)


def run(data: Path, seed: int, engine: Engine) -> dict[str, Any]:
    """mean, width, weights (each in the order of SIGNS) and bias of the three borders."""
    engine.warm()
    paths = sorted(data.glob("*/train.csv"))
    if not paths:
        raise InvalidInput("There is no folder with a train.csv.", field="data")
    sets = [intents(path, seed, engine) for path in paths]
    own, far = company(paths, seed, engine)
    return {
        "offers": border(
            [(one, one.among, 1.0) for one in sets] + [(far, far.among, FAR_COUNTS)], OFFER_SIGNS
        ),
        "faq": border([(one, one.first, 1.0) for one in sets] + [(far, far.first, FAR_COUNTS)], FAQ_SIGNS),
        "documents": border([(one, one.among, 1.0) for one in (*sets, own, far)], DOCUMENT_SIGNS),
    }


def intents(path: Path, seed: int, engine: Engine) -> Part:
    """One set of questions as a knowledge base of entries."""
    by_label: dict[str, list[str]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_label[row["label"]].append(row["text"])
    draw = random.Random(seed)
    each = max(1, ASKED_IN_ALL // len(by_label))
    entries, asked = [], []
    for place, (_, texts) in enumerate(sorted(by_label.items())):
        draw.shuffle(texts)
        entries.append(Entry((texts[0],), " ".join(ended(text) for text in texts[1:3]), True))
        asked += [(text, {place}) for text in texts[3 : 3 + each]]
    return cases(entries, asked, engine)


def company(paths: Sequence[Path], seed: int, engine: Engine) -> tuple[Part, Part]:
    """The sample company's documents with its own questions, and with questions about something else."""
    entries, names = [], []
    for path in sorted(SAMPLE.iterdir()):
        if path == QUESTIONS:
            continue
        for section in read_sections(path.read_bytes(), media_type_of(path.name), path.stem):
            if section.language == "en":
                entries.append(Entry(section.title_path, section.text, path.suffix in {".csv", ".jsonl"}))
                names.append(path.name)
    asked = []
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["language"] == "en":
            right = {
                at
                for at, entry in enumerate(entries)
                if names[at] == row.get("document") and row["section"] in entry.path
            }
            asked.append((row["question"], right))
    far: list[tuple[str, set[int]]] = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)]
        far += [(text, set()) for text in random.Random(seed + 1).sample(texts, min(FAR, len(texts)))]
    return cases(entries, asked, engine), cases(entries, far, engine)


def cases(entries: Sequence[Entry], asked: Sequence[tuple[str, set[int]]], engine: Engine) -> Part:
    """Every question as things are and, where it has an answer, with that taken away."""
    cuts = [
        (place, piece)
        for place, entry in enumerate(entries)
        for piece in cut_passage(
            entry.path[-1] if entry.is_faq else " › ".join(entry.path), entry.text, is_faq=entry.is_faq
        )
    ]
    index = HybridIndex.build(
        piece_ids=range(len(cuts)),
        passage_ids=[place for place, _ in cuts],
        kinds=[piece.kind for _, piece in cuts],
        texts=[piece.text for _, piece in cuts],
        vecs=engine.embed([piece.embedded for _, piece in cuts]),
        encoder_version="",
    )
    vecs = engine.embed([question for question, _ in asked])
    seen, first, among = [], [], []
    for (question, right), vec in zip(asked, vecs, strict=True):
        hits = rivals(index, question, vec, entries)
        seen.append(signs(hits[:10]))
        first.append(bool(hits) and hits[0].passage_id in right)
        among.append(any(hit.passage_id in right for hit in hits[:3]))
        if right:
            seen.append(signs([hit for hit in hits if hit.passage_id not in right][:10]))
            first.append(False)
            among.append(False)
    return Part(np.stack(seen), np.array(first), np.array(among))


def rivals(index: HybridIndex, question: str, vec: Vectors, entries: Sequence[Entry]) -> list[Hit]:
    """The entries found, best first, each once."""
    return one_each(index.search(question, vec, k=20), lambda hit: entries[hit.passage_id].path)


def border(parts: Sequence[tuple[Part, NDArray[np.bool_], float]], names: Sequence[str]) -> dict[str, Any]:
    """Logistic regression on standardised signs; those that are not among `names` weigh nothing."""
    from sklearn.linear_model import LogisticRegression

    x = np.nan_to_num(np.concatenate([part.seen for part, _, _ in parts]))
    y = np.concatenate([right for _, right, _ in parts])
    counts = np.concatenate([np.full(len(right), counts / len(right)) for _, right, counts in parts])
    counts *= len(counts) / counts.sum()
    mean, width = np.average(x, axis=0, weights=counts), x.std(axis=0)
    columns = [SIGNS.index(name) for name in names]
    model = LogisticRegression(C=1.0).fit(((x - mean) / width)[:, columns], y, sample_weight=counts)
    weights = np.zeros(len(SIGNS))
    weights[columns] = model.coef_[0]
    return {
        "mean": [round(float(value), 4) for value in mean],
        "width": [round(float(value), 4) for value in width],
        "weights": [round(float(value), 4) for value in weights],
        "bias": round(float(model.intercept_[0]), 4),
    }


def ended(text: str) -> str:
    """With a full stop where it ends without one."""
    return text if text[-1:] in ".?!" else f"{text}."


if __name__ == "__main__":
    main()
