"""Small versions and stores for the registry's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.registry import card, lineage
from services.registry.lineage import Lineage
from services.registry.manifest import DataSource
from services.registry.store import ModelStore
from services.storage import Storage

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
TASK = "topics"


def later(minutes: int) -> datetime:
    """So long after NOW."""
    return NOW + timedelta(minutes=minutes)


def make_lineage(version: str = "v1", **values: object) -> Lineage:
    """A lineage with something in most fields."""
    given: dict[str, object] = {
        "base_name": "tiny",
        "base_version": "tiny-0011",
        "data": (DataSource("Made up", "CC0", 12, "ab12"),),
        "recipe": "text_classifier",
        "parameters": {"epochs": 3, "optimiser": {"rate": 0.001}},
        "metrics": {"macro_f1": 0.71},
        "intervals": {"macro_f1": (0.66, 0.75)},
        "languages": ("en",),
        "labels": ("bad", "good"),
        **values,
    }
    return Lineage(TASK, version, **given)  # type: ignore[arg-type]


def make_folder(folder: Path, version: str = "v1", **values: object) -> Path:
    """A version's folder: no real weights, a real lineage and card."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(version.encode() * 500)
    told = make_lineage(version, **values)
    lineage.write(folder, told)
    card.write(folder, told)
    return folder


def local_store(root: Path) -> ModelStore:
    """A store in a folder, its cache beside it."""
    return ModelStore(Storage(str(root / "files"), root / "cache"))


def with_versions(store: ModelStore, made: Path, *versions: str) -> ModelStore:
    """The same store, with these versions of TASK added."""
    for version in versions:
        store.add(TASK, version, make_folder(made / version, version))
    return store
