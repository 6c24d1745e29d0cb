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
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from services.inference.runtimes import Packing, PackingRefused, Recipe
from services.inference.runtimes.packing import PACKED_UP_TO, pack, pooled, unpacked
from services.inference.runtimes.padding import pad
from services.inference.values import Vectors
from services.logs import get_logger

log = get_logger(__name__)

_FORM = "ov2"
"""Raised when the conversion changes, so that older cached models are left alone."""
_WIDE_UP_TO = 128
"""Tokens up to which a batch by itself runs on all cores; measured: a quarter sooner than on one."""
_PAD_STEP = 4
"""Measured: a coarser step pads sentences by a fifth, a finer one meets too many shapes."""


class OpenVinoRuntime:
    """Streams of the CPU side by side for throughput, and one wide stream for a short question by itself.

    A model that allows it is served in its packed form: less padding, and one model for vectors and tokens.
    """

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
        model, self._packing = _model(core, recipe, cache_dir)
        compiled = core.compile_model(model, "CPU", options)
        wide = core.compile_model(model, "CPU", {**options, "NUM_STREAMS": 1})
        self.lanes = max(1, int(compiled.get_property("NUM_STREAMS")))
        self.packed_up_to = PACKED_UP_TO if self._packing else 0
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.lanes):
            self._requests.put(compiled.create_infer_request())
        self._wide: queue.SimpleQueue[Any] = queue.SimpleQueue()
        if self.lanes > 1:
            self._wide.put(wide.create_infer_request())

    def run(self, token_ids: Sequence[Sequence[int]]) -> Any:
        """As the Protocol says; waits for a free stream."""
        if self._packing is not None:
            packed = pack(token_ids, self._recipe.pad_id, self._recipe.longest)
            how = self._packing.pooling
            return self._inferred(packed.ids, packed.places, lambda states: pooled(states, packed, how))
        ids, mask = pad(token_ids, self._recipe.pad_id, _PAD_STEP, self._recipe.longest)
        if self._recipe.by_token:
            return self._inferred(
                ids,
                mask,
                lambda found: [
                    np.array(found[row, : len(one)], np.float32) for row, one in enumerate(token_ids)
                ],
            )
        return self._inferred(ids, mask, lambda found: np.array(found, np.float32))

    def token_states(self) -> TokenStatesView | None:
        """The same compiled model, answering each token's state; None for one that is not packed."""
        return TokenStatesView(self) if self._packing else None

    def run_tokens(self, token_ids: Sequence[Sequence[int]]) -> list[Vectors]:
        """Each text's tokens' states, float32 (tokens, dim), L2-normalised; of a packed model only."""
        packed = pack(token_ids, self._recipe.pad_id, self._recipe.longest)
        found: list[Vectors] = self._inferred(
            packed.ids, packed.places, lambda states: unpacked(states, packed)
        )
        return found

    def _inferred(self, ids: Any, second: Any, read: Callable[[Any], Any]) -> Any:
        """What `read` makes of the output, while the stream that holds it is still ours."""
        pool = self._wide if self._alone_with(ids.size) else self._requests
        try:
            request = pool.get(block=pool is self._requests)
        except queue.Empty:  # another took it in the same moment
            pool = self._requests
            request = pool.get()
        try:
            request.infer([ids, second], share_inputs=True)
            return read(request.get_output_tensor(0).data)
        finally:
            pool.put(request)

    def _alone_with(self, tokens: int) -> bool:
        """Whether this is a short question on an idle machine: it is answered sooner by all cores at once."""
        return tokens <= _WIDE_UP_TO and self._requests.qsize() == self.lanes and not self._wide.empty()


class TokenStatesView:
    """A packed runtime's token states, as a runtime of its own."""

    def __init__(self, runtime: OpenVinoRuntime) -> None:
        self.name, self.device = runtime.name, runtime.device
        self.lanes, self.token_budget = runtime.lanes, runtime.token_budget
        self.packed_up_to = runtime.packed_up_to
        self.run = runtime.run_tokens


def _model(core: Any, recipe: Recipe, cache_dir: Path) -> tuple[Any, Packing | None]:
    """The packed form if the model allows it, else the plain one; from the cache where that is whole."""
    packing = recipe.packing
    refused = cache_dir / f"{recipe.key}-{_FORM}.unpackable"
    if packing is not None and not refused.exists():
        try:
            return _form(core, packing.key, packing.load, cache_dir), packing
        except PackingRefused as refusal:
            log.info("model_not_packed", model=recipe.key, reason=str(refusal))
            with suppress(OSError):
                refused.touch()
    return _form(core, recipe.key, recipe.load, cache_dir), None


def _form(core: Any, key: str, load: Callable[[Any], Any], cache_dir: Path) -> Any:
    folder = cache_dir / f"{key}-{_FORM}"
    if is_whole(folder):
        try:
            return core.read_model(folder / "encoder.xml")
        except RuntimeError as error:
            log.warning("cached_model_unreadable", model=key, reason=str(error)[:200])
    model = _convert(key, load)
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


def _convert(key: str, load: Callable[[Any], Any]) -> Any:
    """Trace the torch module and read the trace: dynamic batch and width, float32 weights."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    log.info("model_converting", model=key)
    ids = torch.arange(5, 37).reshape(2, 16)
    second = torch.ones_like(ids)
    second[1, 9:] = 0
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; the tests compare the result with the original
        decoder = TorchScriptPythonDecoder(load(torch.float32).eval(), example_input=(ids, second))
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
