"""Are the topics of a news text told right, when it may have several or none?

`python -m benchmarks.topics --data DIR [--json FILE] [--seed N]`: DIR holds train.jsonl and test.jsonl, one
{time, title, text, labels} a line, `labels` a list.

The product's own recipe is fitted on train.jsonl alone, in the order of time, and answers test.jsonl. Micro
F1 counts every label of every text alike; macro F1 is the mean over labels that test.jsonl or the answer has.
A label that only test.jsonl has counts as missed. Baselines, from the same rows: TF-IDF with a linear SVM a
label, and the same with the frozen encoder's vectors beside the words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from benchmarks.intent import Embed, remembered
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.inference.kernel_head import wordings
from services.inference.topic_scores import predict
from services.training.recipes.topic_head import FittedTopics, fit, micro_f1

Said = NDArray[np.bool_]

OURS, TFIDF, STACKED = "this project", "TF-IDF + linear SVM", "TF-IDF, frozen encoder + SVM"
REFERENCE = "For reference, Reuters-21578 in the order of time: TF-IDF + linear SVM .822, own borders .843."


@dataclass(frozen=True, slots=True)
class Story:
    """One text; its title is the first line of `text`."""

    text: str
    labels: tuple[str, ...]


def main() -> None:
    """Parse, measure, print, write."""
    args = arguments(
        __doc__, "a folder with train.jsonl and test.jsonl", "draws the examples that choose the setting"
    ).parse_args()
    with serving_engine() as engine:
        metrics, lines = run(args.data, args.seed, engine)
    print("\n".join(lines))
    write(args.json, metrics)


def run(data: Path, seed: int, engine: Engine) -> tuple[dict[str, Any], list[str]]:
    """The metrics, and the table as lines."""
    train, test = read(data / "train.jsonl"), read(data / "test.jsonl")
    labels = tuple(sorted({label for story in (*train, *test) for label in story.labels}))
    engine.warm()
    embed = remembered(engine)
    started = time.perf_counter()
    truth = matrix([story.labels for story in test], labels)
    said = {
        TFIDF: linear(train, test, labels, None),
        STACKED: linear(train, test, labels, embed),
        OURS: recipe(train, test, labels, embed, seed),
    }
    rows = {name: row(answer, truth) for name, answer in said.items()}
    metrics: dict[str, Any] = {**rows[OURS], "rows": len(test), "labels": len(labels)}
    for short, name in (("tfidf", TFIDF), ("frozen", STACKED)):
        metrics |= {f"{short}_{key}": rows[name][key] for key in ("micro_f1", "macro_f1")}
    metrics |= {"seed": seed, "seconds": round(time.perf_counter() - started, 1)}
    return {**metrics, **conditions(engine_threads())}, table(rows, metrics)


def read(path: Path) -> tuple[Story, ...]:
    """The stories of a file in the order of time. Raises InvalidInput when a line cannot be used."""
    if not path.is_file():
        raise InvalidInput(f"{path.name} is not in the folder.", field="data")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            given = json.loads(line)
            text = f"{given.get('title') or ''}\n{given.get('text') or ''}".strip()
            found.append((str(given.get("time") or ""), Story(text, tuple(given["labels"]))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{path.name}, line {number}, is not a story.", field="data") from error
    return tuple(story for _, story in sorted(found, key=lambda pair: pair[0]))


def recipe(
    train: Sequence[Story], test: Sequence[Story], labels: tuple[str, ...], embed: Embed, seed: int
) -> Said:
    """What the product's head says after learning from train.jsonl."""
    fitted: FittedTopics = fit(
        [story.text for story in train], [story.labels for story in train], embed, seed=seed
    )
    texts = [story.text for story in test]
    probs = predict(fitted.head, texts, embed(wordings(texts, fitted.head.kernel.title_weight)))
    said = np.zeros((len(test), len(labels)), np.bool_)
    said[:, [labels.index(label) for label in fitted.head.labels]] = probs >= 0.5
    return said


def linear(
    train: Sequence[Story], test: Sequence[Story], labels: tuple[str, ...], embed: Embed | None
) -> Said:
    """scikit-learn's linear SVM for each label; a label that train.jsonl lacks is never said."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    vectorise = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    rows = [vectorise.fit_transform(story.text for story in train)]
    rows.append(vectorise.transform(story.text for story in test))
    if embed is not None:
        for at, part in enumerate((train, test)):
            vecs = embed(wordings([story.text for story in part], 0))
            rows[at] = hstack([rows[at], csr_matrix(vecs)], format="csr")
    wanted = matrix([story.labels for story in train], labels)
    said = np.zeros((len(test), len(labels)), np.bool_)
    for column in np.flatnonzero(wanted.any(axis=0) & ~wanted.all(axis=0)):
        model = LinearSVC(C=1.0, random_state=0).fit(rows[0], wanted[:, column])
        said[:, column] = model.predict(rows[1])
    return said


def matrix(given: Sequence[Sequence[str]], labels: tuple[str, ...]) -> Said:
    """bool (n, k)."""
    place = {label: at for at, label in enumerate(labels)}
    found = np.zeros((len(given), len(labels)), np.bool_)
    for line, mine in enumerate(given):
        found[line, [place[label] for label in mine]] = True
    return found


def row(said: Said, truth: Said) -> dict[str, float]:
    """The metrics of one answer."""
    hits, total = (said & truth).sum(axis=0), said.sum(axis=0) + truth.sum(axis=0)
    there = total > 0
    metrics = {
        "micro_f1": micro_f1(said, truth),
        "macro_f1": float((2 * hits[there] / total[there]).mean()),
        "micro_precision": float(hits.sum() / max(1, said.sum())),
        "micro_recall": float(hits.sum() / max(1, truth.sum())),
    }
    return {name: round(value, 4) for name, value in metrics.items()}


def table(rows: dict[str, dict[str, float]], metrics: dict[str, Any]) -> list[str]:
    """What is printed."""
    columns = ("micro_f1", "macro_f1", "micro_precision", "micro_recall")
    lines = [f"{metrics['rows']} texts, {metrics['labels']} labels", ""]
    lines.append(f"{'':34}" + "".join(f"{column:>17}" for column in columns))
    for name, values in rows.items():
        lines.append(f"{name:34}" + "".join(f"{values[column]:17.3f}" for column in columns))
    return [*lines, "", f"{metrics['seconds']} s in all", "", REFERENCE]


if __name__ == "__main__":
    main()
