"""A classifier that brings an encoder of its own: LoRA matrices (or whole weights), and a layer on top.

The layer reads the tuned encoder's vector of the text (the company asked about replaced by a mark), whether
a company is asked about, and hashed words beside it, because "cut to hold" and "raised to buy" differ in
their words more than in their vectors. It brings its base's version and refuses any other base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelFailed, ModelUnavailable
from services.inference.encoder_files import EncoderFiles, find_encoder
from services.inference.features import MARK, HashSpace, Reading, hashed, read
from services.inference.heads import Floats, softmax
from services.inference.values import ClassScores, Pair, Vectors
from services.registry import manifest as registry
from services.registry.manifest import Manifest

ENCODER = "encoder"
"""The folder of whole weights inside a version; without it the version holds a LoRA adapter."""
SCALE = 16.0
"""Vectors have length 1; the layer reads them times this, so that its weights are of a usual size."""
STANDS_FOR = "@ company @"
"""What the encoder reads in place of the company."""


@dataclass(frozen=True, slots=True)
class TunedHead:
    """The layer. `dense` float32 (dim, n_labels), `towards` and `bias` (n_labels,), `hashed` (space.size,
    n_labels) or empty, `temperatures` of whole texts and towards a company."""

    labels: tuple[str, ...]
    space: HashSpace
    dense: Floats
    towards: Floats
    hashed: Floats
    bias: Floats
    temperatures: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class LoadedTuned:
    """A layer that came from a folder, with its manifest and where its encoder lies."""

    head: TunedHead
    manifest: Manifest
    files: EncoderFiles

    @property
    def version(self) -> str:
        """Changes whenever the scores would."""
        return f"{self.manifest.version}+{self.manifest.base_version}"


def is_tuned(folder: Path) -> bool:
    """Whether a version's folder holds an encoder of its own besides its manifest."""
    return (folder / "adapter_config.json").is_file() or (folder / ENCODER).is_dir()


def load_tuned(folder: Path, cache_dir: Path) -> LoadedTuned:
    """The layer, checked. Raises ModelUnavailable when it is damaged or made for another base."""
    manifest, tensors = registry.read(folder)
    own = folder / ENCODER
    base = find_encoder(str(own) if own.is_dir() else manifest.base_name, cache_dir)
    if not own.is_dir() and base.version != manifest.base_version:
        raise ModelUnavailable(
            f"The model {manifest.version} belongs to {manifest.base_version}, and {base.version} is "
            "installed. Install that base, or train the model anew."
        )
    try:
        head = TunedHead(
            labels=manifest.labels,
            space=HashSpace(**manifest.parameters["space"]),
            dense=tensors["dense"].astype(np.float32),
            towards=tensors["towards"].astype(np.float32),
            hashed=tensors["hashed"].astype(np.float32),
            bias=tensors["bias"].astype(np.float32),
            temperatures=(float(tensors["temperatures"][0]), float(tensors["temperatures"][1])),
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ModelUnavailable(f"The model {manifest.task} is not a tuned head ({error}).") from error
    _require_fit(head, manifest, base.dim)
    files = replace(
        base,
        name=manifest.version,
        version=manifest.version,
        adapter=None if own.is_dir() else folder,
        max_tokens=min(base.max_tokens, int(manifest.parameters.get("max_tokens", base.max_tokens))),
    )
    return LoadedTuned(head, manifest, files)


def tensors_of(head: TunedHead) -> dict[str, NDArray[Any]]:
    """What `load_tuned` reads: the big arrays in float16."""
    return {
        "dense": head.dense.astype(np.float32),
        "towards": head.towards.astype(np.float32),
        "hashed": head.hashed.astype(np.float16),
        "bias": head.bias.astype(np.float32),
        "temperatures": np.array(head.temperatures, np.float32),
    }


def wordings(pairs: Sequence[Pair]) -> tuple[Reading, list[str]]:
    """The pairs, read, and what the encoder is to read of each, one a pair."""
    reading = read(pairs)
    return reading, [view.whole.replace(MARK, STANDS_FOR) for view in reading.views]


def logits(head: TunedHead, reading: Reading, vecs: Vectors) -> Floats:
    """float32 (n, n_labels) from the tuned encoder's vectors float32 (n, dim), before the temperatures."""
    flags = np.array([view.clause is not None for view in reading.views], np.float32)
    found = SCALE * vecs @ head.dense + flags[:, None] * head.towards + head.bias
    if len(head.hashed):
        found = found + hashed(reading, head.space) @ head.hashed
    return np.asarray(found, np.float32)


def answer(loaded: LoadedTuned, reading: Reading, vecs: Vectors) -> ClassScores:
    """Calibrated probabilities. Raises ModelFailed when one is not finite."""
    head = loaded.head
    flags = np.array([view.clause is not None for view in reading.views], np.bool_)
    temperature = np.where(flags, head.temperatures[1], head.temperatures[0]).astype(np.float32)
    probs = softmax(logits(head, reading, vecs) / temperature[:, None])
    if not np.isfinite(probs).all():
        raise ModelFailed(f"The model {loaded.manifest.version} gave values that are not finite.")
    return ClassScores(head.labels, probs, loaded.version)


def _require_fit(head: TunedHead, manifest: Manifest, dim: int) -> None:
    arrays = (head.dense, head.towards, head.hashed, head.bias)
    n = len(head.labels)
    fits = all(array.shape[-1] == n for array in arrays) and head.hashed.shape[0] in {0, head.space.size}
    if (
        not fits
        or head.dense.shape[0] != dim
        or min(head.temperatures) <= 0
        or not all(np.isfinite(array).all() for array in arrays)
    ):
        raise ModelUnavailable(f"The weights of the model {manifest.task} do not fit together.")
