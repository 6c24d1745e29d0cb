"""Is the sentiment of a finance text, or towards a company in it, told right, and how sure is "80 %"?

`python -m benchmarks.sentiment --data DIR [--train] [--json FILE] [--seed N]`: DIR holds test.csv
(text,entity,label; labels negative, neutral, positive) and perhaps train.csv of the same shape.

Without --train the served default answers. With it, the product's own recipe is fitted on train.csv
alone and answers instead. Where train.csv is there, TF-IDF with logistic regression is fitted on it as a
baseline, and with --train the frozen encoder with logistic regression as well; neither sees test.csv.
Rows whose text has companies with different labels are also counted apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.embed import conditions
from sentiment_monitor.scoring import LABELS, live_head, score
from services import logs
from services.conf import load
from services.errors import SuiteError
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.features import featurise
from services.inference.heads import predict
from services.inference.local import build_engine
from services.inference.values import Priority
from services.training.dataset import Example, read_csv
from services.training.evaluation import evaluate
from services.training.fine_tune import fine_tune

Floats = NDArray[np.float32]

REFERENCE = """Published or measured elsewhere, on the parts named:
  Twitter financial news, macro F1: DistilBERT 67 M fine-tuned about .87, finBERT .733 (weighted)
  SEntFiN, accuracy: RoBERTa-base fine-tuned .943; a plain joint fine-tuning of this encoder .83"""


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with test.csv [and train.csv]")
    parser.add_argument("--train", action="store_true", help="fit the product's recipe on train.csv first")
    parser.add_argument("--json", type=Path, help="write the metrics here")
    parser.add_argument("--seed", type=int, default=0, help="which rows of train.csv the recipe holds out")
    args = parser.parse_args()
    logs.configure("WARNING", "console")
    engine = build_engine(load(InferenceSettings))
    try:
        metrics, lines = run(args.data, args.train, args.seed, engine)
    except SuiteError as error:
        raise SystemExit(error.detail) from error
    finally:
        engine.close()
    print("\n".join(lines))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def run(data: Path, train: bool, seed: int, engine: Engine) -> tuple[dict[str, Any], list[str]]:
    """The metrics, and the table as lines."""
    test = read_csv(data / "test.csv", LABELS)
    has_train = (data / "train.csv").is_file()
    learned = read_csv(data / "train.csv", LABELS) if train or has_train else ()
    engine.warm()
    by_name: dict[str, Floats] = {}
    if learned:
        by_name["TF-IDF + logistic regression"] = tfidf(learned, test)
    if train:
        by_name["frozen encoder + log. regression"] = frozen_encoder(learned, test, engine)
        name, version, (ours, per_s) = (
            "this project, fitted on train",
            "",
            recipe(learned, test, engine, seed),
        )
    else:
        name, version, (ours, per_s) = (
            "this project, as shipped",
            live_head().model_version,
            served(test, engine),
        )
    by_name[name] = ours
    truth = np.array([LABELS.index(example.label) for example in test], np.int64)
    apart = conflicting(test)
    rows = {label: row(probs, truth, apart) for label, probs in by_name.items()}
    metrics: dict[str, Any] = {**rows[name], "rows": len(test), "conflicting_rows": int(apart.sum())}
    metrics |= {"rows_per_s": round(per_s, 1), "trained_here": train, "seed": seed}
    metrics |= {"model": version or "recipe text_head"}
    if learned:
        metrics["tfidf_macro_f1"] = rows["TF-IDF + logistic regression"]["macro_f1"]
        metrics["tfidf_accuracy"] = rows["TF-IDF + logistic regression"]["accuracy"]
    return {**metrics, **conditions(load(InferenceSettings).inference_threads or cores())}, table(
        rows, metrics
    )


def served(test: Sequence[Example], engine: Engine) -> tuple[Floats, float]:
    """What the shipped head says, and rows a second."""
    head = live_head()
    items = [(example.text, example.entity) for example in test]
    score(items[:32], engine, head)
    started = time.perf_counter()
    probs = score(items, engine, head)
    return probs, len(test) / (time.perf_counter() - started)


def recipe(
    learned: Sequence[Example], test: Sequence[Example], engine: Engine, seed: int
) -> tuple[Floats, float]:
    """What a head fitted on train.csv alone says, and rows a second when it answers."""
    trained = fine_tune(learned, LABELS, engine, seed=seed)
    started = time.perf_counter()
    features = featurise(
        [(example.text, example.entity) for example in test],
        lambda texts: engine.embed(texts, priority=Priority.BATCH),
        trained.head.space,
    )
    probs = predict(trained.head, features)
    return probs, len(test) / (time.perf_counter() - started)


def tfidf(learned: Sequence[Example], test: Sequence[Example]) -> Floats:
    """Words, word pairs and pieces of words, the company replaced by a mark; classes weighed alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    vectorise = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
    )
    train_x = vectorise.fit_transform(marked(learned))
    return regressed(train_x, learned, vectorise.transform(marked(test)), strength=10)


def frozen_encoder(learned: Sequence[Example], test: Sequence[Example], engine: Engine) -> Floats:
    """The encoder's vector of the text, the company replaced by a mark; classes weighed alike."""
    vecs = [engine.embed(marked(part), priority=Priority.BATCH) for part in (learned, test)]
    return regressed(vecs[0], learned, vecs[1], strength=10)


def regressed(train_x: Any, learned: Sequence[Example], test_x: Any, strength: float) -> Floats:
    """Probabilities (n, 3) of scikit-learn's logistic regression; zero for a label never learned."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced")
    model.fit(train_x, [LABELS.index(example.label) for example in learned])
    probs = np.zeros((test_x.shape[0], len(LABELS)), np.float32)
    probs[:, model.classes_] = model.predict_proba(test_x)
    return probs


def marked(examples: Sequence[Example]) -> list[str]:
    """The texts, the company asked about replaced by a mark."""
    return [e.text.replace(e.entity, "thiscompany") if e.entity else e.text for e in examples]


def conflicting(examples: Sequence[Example]) -> NDArray[np.bool_]:
    """Which rows are about a company of a text whose companies have different labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        if example.entity is not None:
            labels[example.text].add(example.label)
    return np.array([e.entity is not None and len(labels[e.text]) > 1 for e in examples], np.bool_)


def row(probs: Floats, truth: NDArray[np.int64], apart: NDArray[np.bool_]) -> dict[str, float]:
    """The metrics of one line of the table."""
    found = evaluate(probs, truth, LABELS)
    metrics = {"accuracy": found.accuracy, "macro_f1": found.macro_f1, "ece": found.ece}
    if (recall := found.recall["negative"]) is not None:
        metrics["recall_negative"] = recall
    if apart.any():
        metrics["conflicting_accuracy"] = evaluate(probs[apart], truth[apart], LABELS).accuracy
    return {name: round(value, 4) for name, value in metrics.items()}


def table(rows: dict[str, dict[str, float]], metrics: dict[str, Any]) -> list[str]:
    """What is printed."""
    columns = ("accuracy", "macro_f1", "recall_negative", "ece", "conflicting_accuracy")
    lines = [f"{metrics['rows']} rows, {metrics['conflicting_rows']} of conflicting headlines", ""]
    lines.append(f"{'':34}" + "".join(f"{column[:16]:>17}" for column in columns))
    for name, values in rows.items():
        cells = [f"{values[column]:17.3f}" if column in values else f"{'':>17}" for column in columns]
        lines.append(f"{name:34}" + "".join(cells))
    lines += ["", f"{metrics['rows_per_s']} rows a second ({metrics['model']})", "", REFERENCE]
    return lines


def cores() -> int:
    """Cores this process may use."""
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
