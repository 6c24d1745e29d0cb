"""A text head: class probabilities of texts, or of companies in texts, from the live encoder's vectors.

One linear layer over `services.inference.features` and two temperatures: kilobytes, and a tenth of the time
its vectors take. It belongs to the encoder version it was trained on and refuses every other: with
vectors of another encoder the answers would look right and be noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelFailed, ModelUnavailable
from services.inference.engine import Engine
from services.inference.features import Features, HashSpace, Reading, assemble, read
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

    head: TextHead
    manifest: Manifest

    @property
    def version(self) -> str:
        """The head's and the encoder's; changes whenever the scores would."""
        return f"{self.manifest.version}+{self.manifest.base_version}"


def load_head(folder: Path) -> LoadedHead:
    """The head in a folder. Raises ModelUnavailable when it is missing, damaged or does not fit together."""
    manifest, tensors = registry.read(folder)
    try:
        head = TextHead(
            labels=manifest.labels,
            space=HashSpace(**manifest.parameters["space"]),
            dense=tensors["dense"].astype(np.float32),
            hashed=tensors["hashed"].astype(np.float32),
            bias=tensors["bias"].astype(np.float32),
            temperatures=(float(tensors["temperatures"][0]), float(tensors["temperatures"][1])),
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ModelUnavailable(f"The model {manifest.task} is not a text head ({error}).") from error
    arrays = (head.dense, head.hashed, head.bias)
    n = len(head.labels)
    fits = all(array.shape[-1] == n for array in arrays) and head.hashed.shape[0] == head.space.size
    if not fits or min(head.temperatures) <= 0 or not all(np.isfinite(array).all() for array in arrays):
        raise ModelUnavailable(f"The weights of the model {manifest.task} do not fit together.")
    return LoadedHead(head, manifest)


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
    reading = read(pairs)
    return answer(loaded, reading, engine.embed(reading.wordings, priority=priority))


def answer(loaded: LoadedHead, reading: Reading, vecs: Vectors) -> ClassScores:
    """The same from pairs that are read and their wordings' vectors. Raises ModelFailed."""
    head = loaded.head
    probs = predict(head, assemble(reading, vecs, head.space))
    if not np.isfinite(probs).all():
        raise ModelFailed(f"The model {loaded.manifest.version} gave values that are not finite.")
    return ClassScores(head.labels, probs, loaded.version)


def nothing(loaded: LoadedHead) -> ClassScores:
    """The answer for no pairs."""
    labels = loaded.head.labels
    return ClassScores(labels, np.empty((0, len(labels)), np.float32), loaded.version)


def require_encoder(manifest: Manifest, live_version: str) -> None:
    """Raise ModelUnavailable unless the live encoder is the one the model was trained on."""
    if live_version != manifest.base_version:
        raise ModelUnavailable(
            f"The model {manifest.version} belongs to the encoder {manifest.base_version}, and "
            f"{live_version} is live. Set ENCODER back to {manifest.base_name}, or train the model "
            "anew on the live encoder."
        )
