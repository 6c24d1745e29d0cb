"""What a version is called: by its content, so that the same files have the same name everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from services.registry.manifest import MANIFEST


def version_name(task: str, folder: Path) -> str:
    """The manifest's version where there is one; else the task and twelve digits of the weights' sum."""
    manifest = folder / MANIFEST
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".safetensors" or file.name in {
            "config.json",
            "adapter_config.json",
            "calibration.json",
        }:
            digest.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"{task}-{digest.hexdigest()[:12]}"
