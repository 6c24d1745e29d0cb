"""Examples as token ids, and ids as padded batches: what every recipe on a transformer feeds its loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from services.errors import ModelUnavailable
from services.inference.model_files import find_folder, plain_name, require_safetensors

_STEP = 8
IGNORED = -100
"""The label of a position that does not count in the loss."""


def base_folder(name: str, setting: str) -> Path:
    """Where a base model lies. Raises ModelUnavailable, naming the setting; pickles are not opened."""
    folder = find_folder(name, setting)
    require_safetensors(folder, f"base {plain_name(name)}", setting)
    return folder


def named(folder: Path) -> str:
    """A base as settings name it: the packaged encoder by its name, any other by its folder."""
    from services.inference.conf import DEFAULT_ENCODER
    from services.inference.model_files import find_folder

    return DEFAULT_ENCODER if folder == find_folder(DEFAULT_ENCODER, "ENCODER") else str(folder)


def open_tokenizer(folder: Path) -> Any:
    """The base's tokenizer, as transformers has it."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailable(
            f"The tokenizer of {folder.name} does not load ({type(error).__name__})."
        ) from error


def open_model(kind: Any, folder: Path, dropout: float = 0.0, **options: Any) -> Any:
    """A base's weights in float32, from safetensors, its own code never run.

    Attention is computed plainly: on a CPU the fused form's backward pass takes twice as long.
    Raises ModelUnavailable when they do not load.
    """
    from services.inference.runtimes.torch import quietly

    named = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    from transformers import AutoConfig

    try:
        with quietly():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            options |= {name: value for name, value in named.items() if hasattr(config, name)}
            attention = "eager" if not torch.cuda.is_available() else "sdpa"
            return kind.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation=attention,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                **options,
            )
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(
            f"The weights of the base {folder.name} do not load ({type(error).__name__}: {str(error)[:120]})."
        ) from error


class Padded:
    """Rows of `input_ids` (and `labels`, `soft`, others of the same length) as int64 or float32 tensors."""

    def __init__(self, pad_id: int, types: bool = False) -> None:
        self.pad_id = pad_id
        self.types = types

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask (n, width), and what else the rows have."""
        width = max(len(row["input_ids"]) for row in rows)
        width = -(-width // _STEP) * _STEP
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        found: dict[str, torch.Tensor] = {"input_ids": ids, "attention_mask": mask}
        if self.types:
            found["token_type_ids"] = torch.zeros((len(rows), width), dtype=torch.long)
        for at, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[at, :length] = torch.as_tensor(row["input_ids"])
            mask[at, :length] = 1
            if self.types and row.get("token_type_ids"):
                found["token_type_ids"][at, :length] = torch.as_tensor(row["token_type_ids"])
        for name in rows[0]:
            if name in {"input_ids", "attention_mask", "token_type_ids"}:
                continue
            first = rows[0][name]
            if name == "states":
                states = torch.zeros((len(rows), width, first.shape[1]), dtype=first.dtype)
                for at, row in enumerate(rows):
                    states[at, : len(row[name])] = row[name]
                found[name] = states
                continue
            if isinstance(first, list) and name == "labels":  # one for each token
                labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
                for at, row in enumerate(rows):
                    labels[at, : len(row[name])] = torch.as_tensor(row[name])
                found[name] = labels
            else:
                kind = torch.long if isinstance(first, int) else torch.float32
                found[name] = torch.stack([torch.as_tensor(row[name], dtype=kind) for row in rows])
        return found
