"""An encoder in torch: on a GPU in bfloat16, and on a CPU where OpenVINO is not to be had.

`SentenceEncoder` (transformer, pooling, L2 norm as one module) is also what OpenVINO's form is made from.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from services.errors import ModelUnavailable
from services.inference.encoder_files import EncoderFiles
from services.inference.runtimes.padding import pad
from services.inference.values import Vectors

_PAD_STEP = 8


class SentenceEncoder(torch.nn.Module):
    """ids, mask: int64 (n, width) -> float32 (n, dim), L2-normalised; pooling in float32."""

    def __init__(self, transformer: Any, pooling: str) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        self._typed = "token_type_ids" in inspect.signature(transformer.forward).parameters

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens that are not padding, or the first token's state."""
        extra = {"token_type_ids": torch.zeros_like(input_ids)} if self._typed else {}
        states = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **extra)
        hidden = states.last_hidden_state.float()
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)
        return normalize(pooled, dim=1)


def load_module(files: EncoderFiles, dtype: torch.dtype = torch.float32) -> SentenceEncoder:
    """The encoder's weights as one module on the CPU. Raises ModelUnavailable when they do not load."""
    from transformers import AutoModel
    from transformers.utils import logging

    shows_progress = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        transformer = AutoModel.from_pretrained(
            files.folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True
        )
    except Exception as error:
        raise ModelUnavailable(
            f"The weights of the encoder {files.name} do not load ({type(error).__name__}). Check ENCODER."
        ) from error
    finally:
        if shows_progress:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return SentenceEncoder(transformer, files.pooling).eval()


class TorchRuntime:
    """Runs batches one at a time; on a GPU in bfloat16 with torch's fused attention."""

    name = "torch"
    lanes = 1

    def __init__(self, files: EncoderFiles, pad_id: int, device: str, threads: int = 0) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelUnavailable(
                "INFERENCE_DEVICE is cuda, but torch finds no GPU: install a CUDA build, or set cpu."
            )
        if threads:
            torch.set_num_threads(threads)
        self.device = device
        self.token_budget = 16_384 if device == "cuda" else 1024
        self._pad_id = pad_id
        self._longest = files.max_tokens
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self._module = load_module(files, dtype).to(device)

    def run(self, token_ids: Sequence[Sequence[int]]) -> Vectors:
        """As the Protocol says."""
        ids, mask = (
            torch.from_numpy(part) for part in pad(token_ids, self._pad_id, _PAD_STEP, self._longest)
        )
        if self.device == "cuda":
            ids, mask = (part.pin_memory().to(self.device, non_blocking=True) for part in (ids, mask))
        with torch.inference_mode():
            vecs: Vectors = self._module(ids, mask).cpu().numpy().astype(np.float32, copy=False)
        return vecs
