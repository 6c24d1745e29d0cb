"""Is the sentiment of a finance text, or towards a company in it, told right, and how sure is "80 %"?

`python -m benchmarks.sentiment --data DIR [--train] [--json FILE] [--seed N]`: DIR holds test.csv
(text,entity,label; labels negative, neutral, positive) and perhaps train.csv of the same shape.

Without --train the served default answers. With it, the product's own recipe is fitted on train.csv
alone and answers instead. Where train.csv is there, TF-IDF with logistic regression is fitted on it as a
baseline, and with --train the frozen encoder with logistic regression as well; neither sees test.csv.
Rows whose text has companies with different labels are also counted apart.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from sentiment_monitor.scoring import LABELS, live_model, score
from services.conf import load
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.local import build_engine
from services.inference.values import Priority
from services.training import baselines
from services.training.baselines import marked
from services.training.conf import TrainingSettings
from services.training.dataset import Example, read_csv
from services.training.evaluation import evaluate
from services.training.order import Silent
from services.training.recipes import RECIPES, Job, whole
from services.training.splitting import held_out

Floats = NDArray[np.float32]
RECIPE = "tuned_head"
HELD_OUT = 0.1
"""The share of train.csv that steers the training."""

REFERENCE = """Published or measured elsewhere, on the parts named:
  Twitter financial news, macro F1: DistilBERT 67 M fine-tuned about .87, finBERT .733 (weighted)
  SEntFiN, accuracy: RoBERTa-base fine-tuned .943; a plain joint fine-tuning of this encoder .83"""


def main() -> None:
    """Parse, measure, print, write."""
    parser = arguments(
        __doc__, "a folder with test.csv [and train.csv]", "which rows of train.csv the recipe holds out"
    )
    parser.add_argument("--train", action="store_true", help="fit the product's recipe on train.csv first")
    args = parser.parse_args()
    with serving_engine() as engine:
        metrics, lines = run(args.data, args.train, args.seed, engine)
    print("\n".join(lines))
    write(args.json, metrics)


def run(data: Path, train: bool, seed: int, engine: Engine) -> tuple[dict[str, Any], list[str]]:
    """The metrics, and the table as lines."""
    test = read_csv(data / "test.csv", LABELS)
    has_train = (data / "train.csv").is_file()
    learned = read_csv(data / "train.csv", LABELS) if train or has_train else ()
    engine.warm()
    by_name: dict[str, Floats] = {}
    if learned:
        by_name["TF-IDF + logistic regression"] = baselines.tfidf(learned, test, LABELS)
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
            live_model(engine).model_version,
            served(test, engine),
        )
    by_name[name] = ours
    truth = np.array([LABELS.index(example.label) for example in test], np.int64)
    apart = conflicting(test)
    rows = {label: row(probs, truth, apart) for label, probs in by_name.items()}
    metrics: dict[str, Any] = {**rows[name], "rows": len(test), "conflicting_rows": int(apart.sum())}
    metrics |= {"rows_per_s": round(per_s, 1), "trained_here": train, "seed": seed}
    metrics |= {"model": version or f"recipe {RECIPE}"}
    if learned:
        metrics["tfidf_macro_f1"] = rows["TF-IDF + logistic regression"]["macro_f1"]
        metrics["tfidf_accuracy"] = rows["TF-IDF + logistic regression"]["accuracy"]
    return {**metrics, **conditions(engine_threads())}, table(rows, metrics)


def served(test: Sequence[Example], engine: Engine) -> tuple[Floats, float]:
    """What the served model says, and rows a second."""
    items = [(example.text, example.entity) for example in test]
    score(items[:32], engine)
    started = time.perf_counter()
    probs = score(items, engine).probs
    return probs, len(test) / (time.perf_counter() - started)


def recipe(
    learned: Sequence[Example], test: Sequence[Example], engine: Engine, seed: int
) -> tuple[Floats, float]:
    """What the recipe fitted on train.csv alone says, served as any version is, and rows a second."""
    steers = held_out([example.text for example in learned], HELD_OUT, seed)
    with fitted(learned, steers, {}, seed, engine) as with_it:
        return served(test, with_it)


@contextmanager
def fitted(
    learned: Sequence[Example],
    steers: NDArray[np.bool_],
    parameters: Mapping[str, Any],
    seed: int,
    engine: Engine,
) -> Iterator[Engine]:
    """The recipe fitted on these rows, served as any version is; those marked in `steers` steer it."""
    settings = load(InferenceSettings)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            task="sentiment",
            train=tuple(e for e, out in zip(learned, steers, strict=True) if not out),
            validation=tuple(e for e, out in zip(learned, steers, strict=True) if out),
            labels=LABELS,
            languages=("en",),
            parameters=whole(RECIPES[RECIPE], parameters),
            base=settings.encoder,
            seed=seed,
            folder=Path(folder),
            settings=load(TrainingSettings),
            engine=engine,
        )
        made = RECIPES[RECIPE].fit(job, Silent())
        with_it = build_engine(settings.model_copy(update={"task_models": f"sentiment={made}"}))
        try:
            yield with_it
        finally:
            with_it.close()


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


if __name__ == "__main__":
    main()
