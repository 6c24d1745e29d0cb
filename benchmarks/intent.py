"""Is the right intent told, and is a question about something else noticed?

`python -m benchmarks.intent --data DIR [--shots N] [--draws N] [--json FILE] [--seed N]`: DIR holds train.csv
and test.csv (text,label), and perhaps oos_train.csv and oos_test.csv: texts that have none of the labels.

The product's own recipe is fitted on train.csv (and oos_train.csv) alone; what its head answers about
test.csv is counted. With --shots N it learns from N examples of each label, drawn by the seed; several draws
are averaged, and their standard deviation is told. Accuracy is of the likeliest intent, over test.csv.

Outside is the positive class: its AUROC, and the share of oos_test.csv that is noticed where 5 % of test.csv
would be refused. The baselines, TF-IDF and the frozen encoder, each with logistic regression, learn from the
same rows; their score for outside is one less the highest probability.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from benchmarks.intent_data import Parts, Rows, drawn, read
from services.inference.engine import Engine
from services.inference.open_set import OUTSIDE, predict
from services.inference.values import Priority, Vectors
from services.training.evaluation import calibration_error
from services.training.recipes.intent_head import FittedIntents, fit

Floats = NDArray[np.float32]
Embed = Callable[[list[str]], Vectors]

DRAWS = 5
FALSE_REJECT = 0.05
OURS = "this project"
REFERENCE = """Published or measured elsewhere:
  BANKING77, accuracy: .928 to .94 (frozen to fine-tuned encoders of this size), 10-shot .83 to .88
  CLINC150, in scope: .95 to .97; AUROC of outside .96 to .98"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Probabilities of the labels for test.csv, and how surely each text of test and oos_test is outside."""

    labels: tuple[str, ...]
    probs: Floats
    outside: Floats
    oos_outside: Floats


def main() -> None:
    """Parse, measure, print, write."""
    parser = arguments(
        __doc__, "a folder with train.csv and test.csv", "draws examples and the labels kept away"
    )
    parser.add_argument("--shots", type=int, default=0, help="learn from this many examples of each label")
    parser.add_argument("--draws", type=int, default=DRAWS, help="with --shots: how many draws are averaged")
    args = parser.parse_args()
    with serving_engine() as engine:
        metrics, lines = run(args.data, args.shots, args.draws, args.seed, engine)
    print("\n".join(lines))
    write(args.json, metrics)


def run(data: Path, shots: int, draws: int, seed: int, engine: Engine) -> tuple[dict[str, Any], list[str]]:
    """The metrics, and the table as lines."""
    parts = read(data)
    engine.warm()
    embed = remembered(engine)
    started = time.perf_counter()
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for draw in range(draws if shots else 1):
        train = drawn(parts.train, shots, seed + draw)
        for name, answer in (
            ("TF-IDF + logistic regression", tfidf(train, parts)),
            ("frozen encoder + log. regression", frozen(train, parts, embed)),
            (OURS, recipe(train, parts, embed, seed + draw)),
        ):
            rounds[name].append(row(answer, parts))
    rows = {name: averaged(found) for name, found in rounds.items()}
    metrics: dict[str, Any] = {**rows[OURS], "rows": len(parts.test), "oos_rows": len(parts.oos_test)}
    metrics["labels"] = len({label for _, label in parts.train})
    if shots:
        accuracies = [found["accuracy"] for found in rounds[OURS]]
        metrics |= {"shots": shots, "draws": draws, "accuracy_sd": round(float(np.std(accuracies)), 4)}
    for short, name in (
        ("tfidf", "TF-IDF + logistic regression"),
        ("frozen", "frozen encoder + log. regression"),
    ):
        metrics |= {f"{short}_{key}": value for key, value in rows[name].items() if key in _COMPARED}
    metrics |= {"seed": seed, "seconds": round(time.perf_counter() - started, 1)}
    return {**metrics, **conditions(engine_threads())}, table(rows, metrics)


_COMPARED = ("accuracy", "oos_auroc", "oos_recall_at_5_frr")


def recipe(train: Rows, parts: Parts, embed: Embed, seed: int) -> Answer:
    """What the product's head says after learning from these rows."""
    texts = [text for text, _ in train] + list(parts.oos_train)
    labels = [label for _, label in train] + [OUTSIDE] * len(parts.oos_train)
    fitted: FittedIntents = fit(texts, labels, embed, seed=seed)
    asked = [text for text, _ in parts.test] + list(parts.oos_test)
    probs = predict(fitted.head, asked, embed(asked))
    outside, inside = probs[:, -1], probs[:, :-1] / np.maximum(1 - probs[:, -1:], 1e-6)
    n = len(parts.test)
    return Answer(fitted.head.intents, np.asarray(inside[:n], np.float32), outside[:n], outside[n:])


def tfidf(train: Rows, parts: Parts) -> Answer:
    """Words, word pairs and pieces of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    vectorise = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=50_000),
    )
    vectorise.fit([text for text, _ in train])
    return linear(lambda texts: vectorise.transform(list(texts)), train, parts)


def frozen(train: Rows, parts: Parts, embed: Embed) -> Answer:
    """The encoder's vectors."""
    return linear(lambda texts: embed(list(texts)), train, parts)


def linear(featurise: Callable[[Iterable[str]], Any], train: Rows, parts: Parts) -> Answer:
    """scikit-learn's multinomial logistic regression; outside is what no label is likely for."""
    from sklearn.linear_model import LogisticRegression

    labels = tuple(sorted({label for _, label in train}))
    model = LogisticRegression(C=10, max_iter=100, tol=1e-3)
    model.fit(featurise(text for text, _ in train), [labels.index(label) for _, label in train])
    probs = model.predict_proba(featurise(text for text, _ in parts.test)).astype(np.float32)
    strange = np.empty(0, np.float32)
    if parts.oos_test:
        strange = np.asarray(1 - model.predict_proba(featurise(parts.oos_test)).max(axis=1), np.float32)
    return Answer(labels, probs, np.asarray(1 - probs.max(axis=1), np.float32), strange)


def row(answer: Answer, parts: Parts) -> dict[str, float]:
    """The metrics of one answer; a label of test.csv that train.csv lacks is always missed."""
    place = {label: at for at, label in enumerate(answer.labels)}
    truth = np.array([place.get(label, -1) for _, label in parts.test], np.int64)
    metrics = {
        "accuracy": float((answer.probs.argmax(axis=1) == truth).mean()),
        "ece": calibration_error(answer.probs, truth),
    }
    if len(answer.oos_outside):
        border = np.quantile(answer.outside, 1 - FALSE_REJECT, method="higher")
        metrics["oos_auroc"] = auroc(answer.outside, answer.oos_outside)
        metrics["oos_recall_at_5_frr"] = float((answer.oos_outside > border).mean())
        metrics["false_refusal_at_half"] = float((answer.outside > 0.5).mean())
        metrics["oos_recall_at_half"] = float((answer.oos_outside > 0.5).mean())
    return metrics


def auroc(inside: Floats, outside: Floats) -> float:
    """The chance that one from outside scores above one from inside, ties half."""
    from scipy.stats import rankdata

    n, m = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))[n:]
    return float((ranks.sum() - m * (m + 1) / 2) / (n * m))


def averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over draws, rounded."""
    return {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}


def remembered(engine: Engine) -> Embed:
    """The engine's `embed`, some hundred texts a call, each text asked for once."""
    known: dict[str, Any] = {}

    def embed(texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for at in range(0, len(new), 512):
            part = new[at : at + 512]
            known.update(zip(part, engine.embed(part, priority=Priority.BATCH), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def table(rows: dict[str, dict[str, float]], metrics: dict[str, Any]) -> list[str]:
    """What is printed."""
    columns = ("accuracy", "ece", "oos_auroc", "oos_recall_at_5_frr", "false_refusal_at_half")
    lines = [f"{metrics['rows']} rows of {metrics['labels']} labels, {metrics['oos_rows']} from outside", ""]
    lines.append(f"{'':34}" + "".join(f"{column[:19]:>21}" for column in columns))
    for name, values in rows.items():
        cells = [f"{values[column]:21.3f}" if column in values else f"{'':>21}" for column in columns]
        lines.append(f"{name:34}" + "".join(cells))
    if "shots" in metrics:
        lines.append(f"{metrics['shots']} examples of each label; sd over draws {metrics['accuracy_sd']:.3f}")
    return [*lines, "", f"{metrics['seconds']} s in all", "", REFERENCE]


if __name__ == "__main__":
    main()
