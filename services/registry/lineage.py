"""Where a model version comes from: base, data, recipe, figures, the gate's word, machine and code.

`lineage.json` lies beside the weights and is summed with them. A version without one (a head that came with
the product, a folder somebody brought) is told from its manifest or its config, with the rest left empty.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from services.errors import ModelUnavailable, StorageFailed
from services.registry.manifest import MANIFEST, DataSource

LINEAGE = "lineage.json"
FORMAT = 1
COMMIT_VARIABLE = "TREFOIL_COMMIT"
_SOFTWARE = ("torch", "transformers", "sentence-transformers", "peft", "tokenizers", "numpy", "scikit-learn")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine a run had. `memory_gib` is the main memory."""

    cpu: str = ""
    cores: int = 0
    gpus: tuple[str, ...] = ()
    memory_gib: float = 0.0


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate said: the gain over what it was compared with, and its 95 % interval."""

    passed: bool
    reasons: tuple[str, ...] = ()
    gain: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything a version was made from. Empty values were not recorded.

    `metrics` are flat, on rows held out of training; `intervals` holds (low, high) of some of them, 95 %.
    `trained_at` is ISO 8601, UTC. `split` says how the rows were divided (kind, shares, rows a part).
    `parent` is the version it was compared with, live at the time. `commit` is that of the running code.
    """

    task: str
    version: str
    base_name: str = ""
    base_version: str = ""
    data: tuple[DataSource, ...] = ()
    recipe: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    seed: int = 0
    commit: str = ""
    hardware: Hardware = Hardware()
    software: Mapping[str, str] = field(default_factory=dict)
    trained_at: str = ""
    split: Mapping[str, Any] = field(default_factory=dict)
    gate: GateResult | None = None
    parent: str = ""
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `lineage.json` keeps it."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs between two versions; None where one has it not."""

    name: str
    first: Any
    second: Any


def write(folder: Path, lineage: Lineage) -> None:
    """Put lineage.json beside a version's weights, before the folder is added. Raises StorageFailed."""
    text = json.dumps(lineage.as_json(), indent=1, ensure_ascii=False, allow_nan=False, default=str)
    try:
        (folder / LINEAGE).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"The lineage could not be written ({error.strerror}).") from error


def read(folder: Path) -> Lineage:
    """The lineage of the model in a folder. Raises ModelUnavailable when it is damaged."""

    def part(name: str) -> bytes | None:
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelUnavailable(f"{name} of {folder.name} cannot be read ({error.strerror}).") from error

    return told_by(part(LINEAGE), part(MANIFEST), part("config.json"), task="", version=folder.name)


def told_by(
    lineage: bytes | None, manifest: bytes | None, config: bytes | None, *, task: str, version: str
) -> Lineage:
    """From a version's files, the first that is there; `task` and `version` where none of them says so.

    Raises ModelUnavailable when the file cannot be understood.
    """
    try:
        if lineage is not None:
            return _from_lineage(json.loads(lineage))
        if manifest is not None:
            return _from_manifest(json.loads(manifest))
        return _from_config(json.loads(config) if config is not None else {}, task, version)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"Where {version} comes from cannot be read; restore it from a backup."
        ) from error


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs between two trees of values, by dotted name, in the order of the names."""
    flat = _flat(first), _flat(second)
    names = sorted({*flat[0], *flat[1]})
    return tuple(
        Change(name, flat[0].get(name), flat[1].get(name))
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    )


@cache
def commit() -> str:
    """That of the running code: TREFOIL_COMMIT, else the checkout's (+ when changed), else the release."""
    if named := os.environ.get(COMMIT_VARIABLE, "").strip():
        return named
    if (_ROOT / ".git").exists() and (found := _git("rev-parse", "HEAD")):
        return found + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    try:
        return importlib.metadata.version("trefoil")
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def hardware() -> Hardware:
    """This machine. GPUs are asked of torch only where a driver is."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return Hardware(_cpu(), cores, _gpus(), round(pages * page / 2**30, 1))


@cache
def software() -> Mapping[str, str]:
    """The versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for name in _SOFTWARE:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _from_lineage(found: dict[str, Any]) -> Lineage:
    if found.pop("format") != FORMAT:
        raise ValueError("another format")
    machine = found.pop("hardware")
    gate = found.pop("gate")
    return Lineage(
        **{
            **found,
            "data": tuple(DataSource(**one) for one in found["data"]),
            "intervals": {
                name: (float(low), float(high)) for name, (low, high) in found["intervals"].items()
            },
            "languages": tuple(found["languages"]),
            "labels": tuple(found["labels"]),
        },
        hardware=Hardware(**{**machine, "gpus": tuple(machine["gpus"])}),
        gate=None if gate is None else GateResult(**{**gate, "reasons": tuple(gate["reasons"])}),
    )


def _from_manifest(found: dict[str, Any]) -> Lineage:
    names = ("task", "version", "base_name", "base_version", "recipe", "parameters", "metrics", "seed")
    return Lineage(
        **{name: found[name] for name in names},
        data=tuple(DataSource(**one) for one in found["data"]),
        languages=tuple(found["languages"]),
        labels=tuple(found["labels"]),
    )


def _from_config(found: dict[str, Any], task: str, version: str) -> Lineage:
    labels = found.get("id2label") or {}
    named = tuple(str(labels[key]) for key in sorted(labels, key=int))
    return Lineage(task, version, base_name=str(found.get("_name_or_path") or ""), labels=named)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _git(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(_ROOT), *command],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _gpus() -> tuple[str, ...]:
    if not Path("/proc/driver/nvidia/version").exists():
        return ()
    try:
        import torch
    except ImportError:
        return ()
    return tuple(torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count()))
