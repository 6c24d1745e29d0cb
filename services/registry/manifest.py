"""A model version in a folder: its weights, and a manifest that says where they come from.

The weights lie in one safetensors file whose name holds its SHA-256; `manifest.json`, replaced last and
in one step, names it. So a reader sees the old version or the new one, and a file that was cut short or
changed is noticed before anything in it is believed.
Knows nothing of what the tensors mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelUnavailable, StorageFailed

FORMAT = 1
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "shipped"
"""The models that come with the product, one folder a task."""

Tensors = Mapping[str, NDArray[Any]]

_REMEDY = "Restore its folder from the repository or a backup, or train it anew."


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data set a model was trained on. `fingerprint` is that of `services.training.dataset`."""

    name: str
    licence: str
    rows: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model version is and where it comes from.

    `base_version` is the version of the encoder whose vectors it was trained on: no other fits.
    `parameters` are the recipe's, whole, as JSON values; `metrics` were taken on rows held out of training.
    `files` maps file name to SHA-256 and is filled in by `write`.
    """

    task: str
    version: str
    base_name: str
    base_version: str
    labels: tuple[str, ...]
    languages: tuple[str, ...]
    recipe: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    data: tuple[DataSource, ...]
    seed: int
    files: Mapping[str, str] = field(default_factory=dict)


def shipped() -> frozenset[str]:
    """The tasks whose model comes with the product."""
    return frozenset(
        folder.name
        for folder in SHIPPED.iterdir()
        if any((folder / name).is_file() for name in (MANIFEST, "config.json"))
    )


def content_version(task: str, base_version: str, tensors: Tensors) -> str:
    """The task and twelve hexadecimal digits over the weights and the encoder they belong to."""
    from safetensors.numpy import save

    digest = hashlib.sha256(save(dict(tensors)))
    digest.update(base_version.encode())
    return f"{task}-{digest.hexdigest()[:12]}"


def write(folder: Path, manifest: Manifest, tensors: Tensors) -> Manifest:
    """Make this version the folder's; returns the manifest with `files` filled in.

    Raises StorageFailed; what was there before stands.
    """
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights.{digest[:16]}.safetensors"
    whole = replace(manifest, files={weights: digest})
    text = json.dumps({"format": FORMAT, **asdict(whole)}, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / weights, data)
        _replace(folder / MANIFEST, f"{text}\n".encode())
        for old in folder.glob("weights.*.safetensors"):
            if old.name != weights:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"The model {manifest.version} could not be saved ({error.strerror or type(error).__name__}); "
            "the one before it is still in place. Free space or fix the folder's permissions, then try again."
        ) from error
    return whole


def read(folder: Path) -> tuple[Manifest, dict[str, NDArray[Any]]]:
    """The folder's model, every file checked against its SHA-256.

    Raises ModelUnavailable when it is missing, damaged, or of a format this release does not read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    manifest = _read_manifest(folder)
    tensors: dict[str, NDArray[Any]] = {}
    for name, digest in manifest.files.items():
        if Path(name).name != name:
            raise ModelUnavailable(f"The manifest of {_named(folder)} names a file elsewhere. {_REMEDY}")
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise ModelUnavailable(f"A file of {_named(folder)} is missing: {name}. {_REMEDY}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise ModelUnavailable(f"A file of {_named(folder)} was cut short or changed: {name}. {_REMEDY}")
        try:
            tensors.update(load(data))
        except SafetensorError as error:
            raise ModelUnavailable(f"The weights of {_named(folder)} cannot be read. {_REMEDY}") from error
    return manifest, tensors


def _read_manifest(folder: Path) -> Manifest:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ModelUnavailable(f"There is no manifest for {_named(folder)}. {_REMEDY}") from error
    except ValueError as error:
        raise ModelUnavailable(f"The manifest of {_named(folder)} is damaged. {_REMEDY}") from error
    try:
        if found.pop("format") != FORMAT:
            raise ModelUnavailable(
                f"{_named(folder).capitalize()} is in a format that this release does not read. {_REMEDY}"
            )
        found["data"] = tuple(DataSource(**source) for source in found["data"])
        found["labels"], found["languages"] = tuple(found["labels"]), tuple(found["languages"])
        found["files"] = {str(name): str(digest) for name, digest in found["files"].items()}
        return Manifest(**found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"The manifest of {_named(folder)} is damaged. {_REMEDY}") from error


def _named(folder: Path) -> str:
    return f"the model {folder.name}"


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
