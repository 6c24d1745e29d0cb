"""What plain counting of words reaches: the line every trained model has to clear.

Words, word pairs and pieces of words, weighed by TF-IDF (Salton and Buckley, 1988), under a linear model of
scikit-learn. Learns in seconds, knows no language beyond its training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.training.dataset import Example

Floats = NDArray[np.float32]

MARK = "thiscompany"
_STRENGTH = 10.0


def tfidf(train: Sequence[Example], test: Sequence[Example], labels: Sequence[str]) -> Floats:
    """Probabilities of each test row's labels, float32 (n_test, n_labels); 0 for one never seen in training.

    Logistic regression with classes weighed alike. Raises InvalidInput when the training rows hold no words
    or only one label.
    """
    from sklearn.linear_model import LogisticRegression

    known = [labels.index(example.label) for example in train]
    if len(set(known)) < 2:
        raise InvalidInput("All examples have one label: there is nothing to tell apart.", field="label")
    learned, asked = _counted(train, test)
    model = LogisticRegression(C=_STRENGTH, max_iter=300, class_weight="balanced").fit(learned, known)
    probs = np.zeros((len(test), len(labels)), np.float32)
    if len(test):
        probs[:, model.classes_] = model.predict_proba(asked)
    return probs


def tfidf_multi(train: Sequence[Example], test: Sequence[Example], labels: Sequence[str]) -> Floats:
    """The same where a row may have several labels: one linear support-vector machine a label.

    Its margins are squashed, so that .5 is the machine's own border; they are no calibrated probabilities.
    """
    from scipy.special import expit
    from sklearn.svm import LinearSVC

    learned, asked = _counted(train, test)
    probs = np.zeros((len(test), len(labels)), np.float32)
    for k, label in enumerate(labels):
        has = np.array([label in example.labels for example in train])
        if has.all() or not has.any():
            probs[:, k] = float(has.any())
        elif len(test):
            margins = LinearSVC(C=1.0, random_state=0).fit(learned, has).decision_function(asked)
            probs[:, k] = expit(2 * margins)
    return probs


def marked(examples: Sequence[Example]) -> list[str]:
    """The texts, the company asked about replaced by a mark."""
    return [e.text.replace(e.entity, MARK) if e.entity else e.text for e in examples]


def _counted(train: Sequence[Example], test: Sequence[Example]) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    vectorise = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
    )
    try:
        learned = vectorise.fit_transform(marked(train))
    except ValueError as error:
        raise InvalidInput(
            "The texts have no words in common that could be counted.", field="text"
        ) from error
    return learned, vectorise.transform(marked(test)) if len(test) else None
