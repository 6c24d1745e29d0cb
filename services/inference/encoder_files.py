"""An encoder on disk: where its folder is, what its files say, and which version they make.

Reads the small JSON files beside the weights and fingerprints everything the vectors depend on. Loads no
weights and needs neither torch nor transformers, so a start from the cache stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from services.errors import ModelUnavailable
from services.inference.model_files import (
    find_folder,
    max_tokens,
    plain_name,
    read_json,
    require_whole,
    version_of,
)

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
    adapter: Path | None = None
    """LoRA matrices that are merged into the weights when they are loaded."""


def find_encoder(name: str, cache_dir: Path) -> EncoderFiles:
    """Everything about the encoder of that name but its weights.

    Raises ModelUnavailable, with the remedy, when it is not there or not of a kind that can be served.
    """
    folder = find_folder(name, "ENCODER")
    short = plain_name(name)
    config = require_whole(folder, f"encoder {short}", "ENCODER")
    sentence = read_json(folder / "sentence_bert_config.json")
    return EncoderFiles(
        name=short,
        version=version_of(folder, short, cache_dir, _SHAPING),
        folder=folder,
        dim=int(config["hidden_size"]),
        max_tokens=max_tokens(folder, config),
        pooling=_pooling(folder, short),
        lowercase=bool(sentence.get("do_lower_case", False)),
    )


def _pooling(folder: Path, name: str) -> Literal["mean", "cls"]:
    """From the modules that sentence-transformers wrote; a plain transformer pools by the mean."""
    steps = {str(m.get("type", "")).rsplit(".", 1)[-1]: str(m.get("path", "")) for m in _modules(folder)}
    if unserved := set(steps) - {"Transformer", "Pooling", "Normalize"}:
        raise ModelUnavailable(f"The encoder {name} has a step that is not served: {unserved.pop()}.")
    config = read_json(folder / steps.get("Pooling", "1_Pooling") / "config.json")
    modes = {key for key, on in config.items() if key.startswith("pooling_mode_") and on is True}
    if isinstance(config.get("pooling_mode"), str):  # how newer releases write it
        modes = {f"pooling_mode_{config['pooling_mode']}_tokens"}
    if not modes or modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    if modes in ({"pooling_mode_cls_token"}, {"pooling_mode_cls_tokens"}):
        return "cls"
    raise ModelUnavailable(f"The encoder {name} pools in a way that is not served; mean and cls are.")


def _modules(folder: Path) -> list[dict[str, Any]]:
    found = read_json(folder / "modules.json", [])
    return [module for module in found if isinstance(module, dict)]
