"""A run of the intent head or the topic head: fit on all examples, keep the version with its own figures.

Both judge themselves on examples left out of the solution, so training and validation parts are learned
together; the figures in the manifest are those of left-out examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.registry import manifest as registry
from services.registry.manifest import Manifest
from services.training.order import Cancelled, Watch
from services.training.recipes import Job

Embed = Callable[[list[str]], Vectors]
_CHUNK = 512


def go_on_of(watch: Watch) -> Callable[[], None]:
    """What a recipe calls between its steps. Raises Cancelled once the run is to end."""

    def going_on() -> None:
        if watch.stopped():
            raise Cancelled("The run was stopped.")

    return going_on


def embed_of(engine: Engine, watch: Watch) -> Embed:
    """The engine's `embed`, each wording asked for once in a run, with progress and an ear for a stop."""
    known: dict[str, Any] = {}
    going_on = go_on_of(watch)

    def embed(texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), _CHUNK):
            going_on()
            part = new[start : start + _CHUNK]
            known.update(zip(part, engine.embed(part, priority=Priority.BATCH), strict=True))
            watch.progress(min(start + _CHUNK, len(new)), len(new))
        return np.stack([known[text] for text in texts])

    return embed


def kept(
    job: Job,
    labels: tuple[str, ...],
    recipe: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    tensors: Mapping[str, NDArray[Any]],
) -> Path:
    """The folder with the version's files. Raises StorageFailed."""
    encoder = job.engine.encoder()
    folder = job.folder / "version"
    manifest = Manifest(
        task=job.task,
        version=registry.content_version(job.task, encoder.version, tensors),
        base_name=encoder.name,
        base_version=encoder.version,
        labels=labels,
        languages=job.languages,
        recipe=recipe,
        parameters=parameters,
        metrics={name: round(value, 4) for name, value in metrics.items()},
        data=(),
        seed=job.seed,
    )
    registry.write(folder, manifest, tensors)
    return folder
