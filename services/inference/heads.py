"""Heads: class probabilities of texts from the live encoder's vectors. The manifest's recipe says which kind.

A text head, for texts or for companies in texts, is one linear layer over `services.inference.features` and
two temperatures: kilobytes, and a tenth of the time its vectors take. Intent heads (`open_set`) and topic
heads (`topic_scores`) compare whole texts with examples. Each belongs to the encoder version it was trained
on and refuses every other: with vectors of another encoder the answers would look right and be noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput, ModelFailed, ModelUnavailable
from services.inference import kernel_head, open_set, topic_scores
from services.inference.engine import Engine
from services.inference.features import Features, HashSpace, Reading, assemble, read
from services.inference.grams import GramSpace
from services.inference.open_set import IntentHead
from services.inference.topic_scores import TopicHead
from services.inference.values import ClassScores, Pair, Priority, Vectors
from services.registry import manifest as registry
from services.registry.manifest import Manifest

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextHead:
    """A linear layer and its temperatures: of whole texts, and towards a company.

    `dense` float32 (3 * dim + 1, n_labels), `hashed` float32 (space.size, n_labels), `bias` (n_labels,).
    Any scaling of the features that training used is folded into them.
    """

    labels: tuple[str, ...]
    space: HashSpace
    dense: Floats
    hashed: Floats
    bias: Floats
    temperatures: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class LoadedHead:
    """A head that came from a folder, with what its manifest says."""

    head: TextHead | IntentHead | TopicHead
    manifest: Manifest

    @property
    def version(self) -> str:
        """The head's and the encoder's; changes whenever the scores would."""
        return f"{self.manifest.version}+{self.manifest.base_version}"


@dataclass(frozen=True, slots=True)
class WholeTexts:
    """Texts for a head that compares whole texts; `wordings` is what has to be embedded."""

    texts: list[str]
    wordings: list[str]


def load_head(folder: Path) -> LoadedHead:
    """The head in a folder. Raises ModelUnavailable when it is missing, damaged or does not fit together."""
    manifest, tensors = registry.read(folder)
    try:
        return LoadedHead(_KINDS.get(manifest.recipe, _text_head)(manifest, tensors), manifest)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ModelUnavailable(
            f"The weights of the model {manifest.task} do not fit together ({error}). "
            "Restore its folder from a backup, or train it anew."
        ) from error


def _text_head(manifest: Manifest, tensors: Mapping[str, NDArray[Any]]) -> TextHead:
    head = TextHead(
        labels=manifest.labels,
        space=HashSpace(**manifest.parameters["space"]),
        dense=tensors["dense"].astype(np.float32),
        hashed=tensors["hashed"].astype(np.float32),
        bias=tensors["bias"].astype(np.float32),
        temperatures=(float(tensors["temperatures"][0]), float(tensors["temperatures"][1])),
    )
    arrays = (head.dense, head.hashed, head.bias)
    n = len(head.labels)
    if not all(array.shape[-1] == n for array in arrays) or head.hashed.shape[0] != head.space.size:
        raise ValueError("its arrays are of different sizes")
    if min(head.temperatures) <= 0 or not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("its numbers are not finite")
    return head


def _intent_head(manifest: Manifest, tensors: Mapping[str, NDArray[Any]]) -> IntentHead:
    return open_set.intent_head_of(manifest.labels, tensors, GramSpace(**manifest.parameters["space"]))


def _topic_head(manifest: Manifest, tensors: Mapping[str, NDArray[Any]]) -> TopicHead:
    parameters = manifest.parameters
    return topic_scores.topic_head_of(
        manifest.labels, tensors, GramSpace(**parameters["space"]), int(parameters["title_weight"])
    )


_KINDS: dict[str, Callable[[Manifest, Mapping[str, NDArray[Any]]], TextHead | IntentHead | TopicHead]] = {
    "intent_head": _intent_head,
    "topic_head": _topic_head,
}


def head_tensors(head: TextHead) -> dict[str, NDArray[Any]]:
    """What `load_head` reads: the big arrays in float16, half the bytes and no measurable loss."""
    return {
        "dense": head.dense.astype(np.float16),
        "hashed": head.hashed.astype(np.float16),
        "bias": head.bias.astype(np.float32),
        "temperatures": np.array(head.temperatures, np.float32),
    }


def logits(head: TextHead, features: Features) -> Floats:
    """float32 (n, n_labels), before the temperatures."""
    return np.asarray(features.dense @ head.dense + features.hashed @ head.hashed + head.bias, np.float32)


def softmax(logit: Floats) -> Floats:
    """float32 (n, n_labels), rows sum to one."""
    grown = np.exp(logit - logit.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)


def predict(head: TextHead, features: Features) -> Floats:
    """Calibrated probabilities float32 (n, n_labels), rows sum to one."""
    whole, towards = head.temperatures
    temperature = np.where(features.towards, towards, whole).astype(np.float32)
    return softmax(logits(head, features) / temperature[:, None])


def classify(
    loaded: LoadedHead, pairs: Sequence[Pair], engine: Engine, *, priority: Priority = Priority.BATCH
) -> ClassScores:
    """Calibrated probabilities of texts (company None) or of companies in texts, in the order given.

    Raises ModelUnavailable when the live encoder is not the one the head was trained on, ModelFailed when
    a probability is not finite, and what `Engine.embed` raises.
    """
    require_encoder(loaded.manifest, engine.encoder().version)
    if not pairs:
        return nothing(loaded)
    reading = reading_for(loaded, pairs)
    return answer(loaded, reading, engine.embed(reading.wordings, priority=priority))


def reading_for(loaded: LoadedHead, pairs: Sequence[Pair]) -> Reading | WholeTexts:
    """The pairs as this head reads them. Raises InvalidInput for a company where it cannot tell."""
    head = loaded.head
    if isinstance(head, TextHead):
        return read(pairs)
    if any(company is not None for _, company in pairs):
        raise InvalidInput(
            f"The model {loaded.manifest.task} classifies whole texts: ask without a company.", field="pairs"
        )
    texts = [text for text, _ in pairs]
    return WholeTexts(texts, kernel_head.wordings(texts, head.kernel.title_weight))


def answer(loaded: LoadedHead, reading: Reading | WholeTexts, vecs: Vectors) -> ClassScores:
    """The same from pairs that are read and their wordings' vectors. Raises ModelFailed."""
    head = loaded.head
    if isinstance(head, TextHead):
        assert isinstance(reading, Reading), "a text head answers what reading_for read for it"
        probs = predict(head, assemble(reading, vecs, head.space))
    else:
        assert isinstance(reading, WholeTexts), "a head of whole texts answers what reading_for read for it"
        told = open_set.predict if isinstance(head, IntentHead) else topic_scores.predict
        probs = told(head, reading.texts, vecs)  # type: ignore[arg-type]
    if not np.isfinite(probs).all():
        raise ModelFailed(f"The model {loaded.manifest.version} gave values that are not finite.")
    return ClassScores(head.labels, probs, loaded.version, exclusive=not isinstance(head, TopicHead))


def nothing(loaded: LoadedHead) -> ClassScores:
    """The answer for no pairs."""
    labels = loaded.head.labels
    exclusive = not isinstance(loaded.head, TopicHead)
    return ClassScores(labels, np.empty((0, len(labels)), np.float32), loaded.version, exclusive=exclusive)


def require_encoder(manifest: Manifest, live_version: str) -> None:
    """Raise ModelUnavailable unless the live encoder is the one the model was trained on."""
    if live_version != manifest.base_version:
        raise ModelUnavailable(
            f"The model {manifest.version} belongs to the encoder {manifest.base_version}, and "
            f"{live_version} is live. Set ENCODER back to {manifest.base_name}, or train the model "
            "anew on the live encoder."
        )
