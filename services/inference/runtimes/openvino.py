"""A model in OpenVINO on a CPU: bfloat16 where the CPU has it, one batch per stream.

The model is converted from torch once and kept in the cache folder; later starts read it from there and
need neither torch nor transformers. A cached model that is not whole is converted again.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from services.inference.runtimes import Recipe
from services.inference.runtimes.padding import pad
from services.logs import get_logger

log = get_logger(__name__)

_FORM = "ov1"
"""Raised when the conversion changes, so that older cached models are left alone."""
_PAD_STEP = 4
"""Measured: a coarser step pads sentences by a fifth, a finer one meets too many shapes."""


class OpenVinoRuntime:
    """Streams of the CPU side by side: throughput for jobs, no worse than one wide stream for one text."""

    name = "openvino"
    device = "cpu"
    token_budget = 1024

    def __init__(self, recipe: Recipe, cache_dir: Path, threads: int = 0) -> None:
        self._recipe = recipe
        core = ov.Core()
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "ENABLE_CPU_PINNING": False,
            "ENABLE_HYPER_THREADING": False,
        }
        if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            options["INFERENCE_PRECISION_HINT"] = "bf16"
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(_model(core, recipe, cache_dir), "CPU", options)
        self.lanes = max(1, int(compiled.get_property("NUM_STREAMS")))
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.lanes):
            self._requests.put(compiled.create_infer_request())

    def run(self, token_ids: Sequence[Sequence[int]]) -> Any:
        """As the Protocol says; waits for a free stream."""
        ids, mask = pad(token_ids, self._recipe.pad_id, _PAD_STEP, self._recipe.longest)
        request = self._requests.get()
        try:
            request.infer([ids, mask], share_inputs=True)
            answers = request.get_output_tensor(0).data
            if self._recipe.by_token:
                return [np.array(answers[row, : len(ids)], np.float32) for row, ids in enumerate(token_ids)]
            return np.array(answers, np.float32)
        finally:
            self._requests.put(request)


def _model(core: Any, recipe: Recipe, cache_dir: Path) -> Any:
    folder = cache_dir / f"{recipe.key}-{_FORM}"
    if is_whole(folder):
        try:
            return core.read_model(folder / "encoder.xml")
        except RuntimeError as error:
            log.warning("cached_model_unreadable", model=recipe.key, reason=str(error)[:200])
    model = _convert(recipe)
    _keep(model, folder)
    return model


def is_whole(folder: Path) -> bool:
    """Whether the folder has the files, byte for byte, that its manifest names."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        whole = set(manifest) == {"encoder.xml", "encoder.bin"} and all(
            _sha256(folder / name) == digest for name, digest in manifest.items()
        )
    except (OSError, ValueError, TypeError):
        whole = False
    if not whole and folder.exists():
        log.warning("cached_model_damaged", folder=folder.name)
    return whole


def _convert(recipe: Recipe) -> Any:
    """Trace the torch module and read the trace: dynamic batch and width, float32 weights."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    log.info("model_converting", model=recipe.key)
    ids = torch.arange(5, 37).reshape(2, 16)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the tests compare the result with the original
        decoder = TorchScriptPythonDecoder(
            recipe.load(torch.float32), example_input={"input_ids": ids, "attention_mask": mask}
        )
    frontend = FrontEndManager().load_by_framework("pytorch")
    return frontend.convert(frontend.load(decoder))


def _keep(model: Any, folder: Path) -> None:
    """Write the model beside its place and rename it there; without a writable cache, go on in memory."""
    staging = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.part")
    try:
        staging.mkdir(parents=True)
        ov.save_model(model, staging / "encoder.xml", compress_to_fp16=False)
        manifest = {name: _sha256(staging / name) for name in ("encoder.xml", "encoder.bin")}
        (staging / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(staging, folder)
    except (OSError, RuntimeError) as error:
        if not folder.is_dir():  # otherwise another process was first
            log.warning("model_cache_not_writable", what="converted model", reason=type(error).__name__)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
