"""A model in torch: on a GPU in bfloat16, and on a CPU where OpenVINO is not to be had.

The modules here (ids, mask -> one tensor) are also what OpenVINO's forms are made from. Weights come from
safetensors only, and code that lies beside them is never run.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from services.errors import ModelUnavailable
from services.inference.encoder_files import EncoderFiles
from services.inference.model_files import ModelFiles
from services.inference.runtimes import PackingRefused, Recipe
from services.inference.runtimes.packing import PACKED_UP_TO, STRIDE, pack, pooled
from services.inference.runtimes.padding import pad

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
        hidden = self.states(input_ids, attention_mask)
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)
        return normalize(pooled, dim=1)

    def states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The last layer's, float32 (n, width, dim)."""
        extra = {"token_type_ids": torch.zeros_like(input_ids)} if self._typed else {}
        found = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **extra)
        hidden: torch.Tensor = found.last_hidden_state.float()
        return hidden


class PackedStates(torch.nn.Module):
    """ids, places: int64 (rows, width), see `packing.py` -> states float32 (rows, width, dim).

    Raises PackingRefused for a transformer that takes no positions, or whose answers would not be the same.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self.transformer = encoder.transformer
        takes = inspect.signature(self.transformer.forward).parameters
        self._typed = "token_type_ids" in takes
        table = getattr(getattr(self.transformer, "embeddings", None), "position_embeddings", None)
        if "position_ids" not in takes or not isinstance(table, torch.nn.Embedding):
            raise PackingRefused("positions are not embedded")
        self._first = 0 if table.padding_idx is None else int(table.padding_idx) + 1
        self._require_same(encoder)

    def forward(self, input_ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Every token sees the tokens of its own text only."""
        text = places // STRIDE
        same = text[:, None, :, None] == text[:, None, None, :]
        extra = {"token_type_ids": torch.zeros_like(input_ids)} if self._typed else {}
        found = self.transformer(
            input_ids=input_ids,
            attention_mask=torch.where(same, 0.0, -1e4),
            position_ids=places % STRIDE + self._first,
            **extra,
        )
        hidden: torch.Tensor = found.last_hidden_state.float()
        return hidden

    def _require_same(self, encoder: SentenceEncoder) -> None:
        texts = [list(range(5, 5 + length)) for length in (3, 17, 1, 9, 30, 5)]
        packed = pack(texts, 0, PACKED_UP_TO)
        with torch.no_grad():
            try:
                states = self(torch.from_numpy(packed.ids), torch.from_numpy(packed.places)).numpy()
            except Exception as error:
                raise PackingRefused(f"{type(error).__name__}: {error}") from error
            vecs = pooled(states, packed, encoder.pooling)
            for text, vec in zip(texts, vecs, strict=True):
                ids = torch.tensor([text])
                alone = encoder(ids, torch.ones_like(ids)).numpy()[0]
                if not np.allclose(alone, vec, atol=1e-4):
                    raise PackingRefused("texts in one row change one another's answers")


class TokenStates(torch.nn.Module):
    """ids, mask: int64 (n, width) -> each token's state, float32 (n, width, dim), L2-normalised."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """For late interaction."""
        return normalize(self.encoder.states(input_ids, attention_mask), dim=-1)


class Logits(torch.nn.Module):
    """ids, mask: int64 (n, width) -> float32 (n, labels), or (n, width, labels) of a tagger.

    What follows the first `separator` is the second of two texts, for models that tell them apart.
    """

    def __init__(self, model: Any, separator: int) -> None:
        super().__init__()
        self.model = model
        self.separator = separator
        typed = "token_type_ids" in inspect.signature(model.forward).parameters
        self._types = int(getattr(model.config, "type_vocab_size", 0) or 0) if typed else 0

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The head's own numbers, before any calibration."""
        extra = {}
        if self._types > 1:
            ends = (input_ids == self.separator).to(torch.int64)
            extra["token_type_ids"] = (ends.cumsum(1) - ends).clamp(max=1) * attention_mask
        elif self._types == 1:
            extra["token_type_ids"] = torch.zeros_like(input_ids)
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra)
        logits: torch.Tensor = found.logits.float()
        return logits


def load_module(files: EncoderFiles, dtype: torch.dtype = torch.float32) -> SentenceEncoder:
    """The encoder's weights as one module on the CPU. Raises ModelUnavailable when they do not load."""
    from transformers import AutoModel

    with _loading(f"encoder {files.name}", "ENCODER"):
        transformer = _pretrained(AutoModel, files.folder, dtype)
        if files.adapter is not None:
            from peft import PeftModel

            adapted: Any = PeftModel.from_pretrained(transformer, str(files.adapter), use_safetensors=True)
            transformer = adapted.merge_and_unload()
        return SentenceEncoder(transformer, files.pooling).eval()


def load_task_module(files: ModelFiles, separator: int, dtype: torch.dtype = torch.float32) -> Logits:
    """A classifier's, tagger's or reranker's weights, an adapter merged into them.

    Raises ModelUnavailable when they do not load.
    """
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    kind = AutoModelForTokenClassification if files.kind == "tagger" else AutoModelForSequenceClassification
    with _loading(f"{files.kind} {files.name}", "its folder"):
        if files.adapter is None:
            return Logits(_pretrained(kind, files.folder, dtype), separator).eval()
        from peft import PeftModel

        base = _pretrained(kind, files.folder, dtype, num_labels=len(files.labels))
        adapted: Any = PeftModel.from_pretrained(base, str(files.adapter), use_safetensors=True)
        return Logits(adapted.merge_and_unload(), separator).eval()


def _pretrained(kind: Any, folder: Any, dtype: torch.dtype, **options: Any) -> Any:
    return kind.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation="sdpa",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        **options,
    )


@contextmanager
def _loading(called: str, setting: str) -> Iterator[None]:
    """Quietly, and with one error for all that transformers may raise."""
    try:
        with quietly():
            yield
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(
            f"The weights of the {called} do not load ({type(error).__name__}). Check {setting}."
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """transformers without its progress bar and its advice."""
    from transformers.utils import logging

    shows_progress, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)  # type: ignore[no-untyped-call]
        if shows_progress:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


class TorchRuntime:
    """Runs batches one at a time; on a GPU in bfloat16 with torch's fused attention."""

    name = "torch"
    lanes = 1
    packed_up_to = 0

    def __init__(self, recipe: Recipe, device: str, threads: int = 0) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelUnavailable(
                "INFERENCE_DEVICE is cuda, but torch finds no GPU: install a CUDA build, or set cpu."
            )
        if threads:
            torch.set_num_threads(threads)
        self.device = device
        self.token_budget = 16_384 if device == "cuda" else 1024
        self._recipe = recipe
        self._one_at_a_time = threading.Lock()
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self._module = recipe.load(dtype).to(device)

    def run(self, token_ids: Sequence[Sequence[int]]) -> Any:
        """As the Protocol says."""
        padded = pad(token_ids, self._recipe.pad_id, _PAD_STEP, self._recipe.longest)
        ids, mask = (torch.from_numpy(part) for part in padded)
        with self._one_at_a_time, torch.inference_mode():
            if self.device == "cuda":
                ids, mask = (part.pin_memory().to(self.device, non_blocking=True) for part in (ids, mask))
            answers = self._module(ids, mask).cpu().numpy().astype(np.float32, copy=False)
        if self._recipe.by_token:
            return [answers[row, : len(ids)] for row, ids in enumerate(token_ids)]
        return answers
