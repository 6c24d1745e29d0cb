"""Name -> a warmed encoder: its files, its tokenizer and the fastest runtime that works here."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

from services.errors import ModelUnavailable, SuiteError
from services.inference.conf import InferenceSettings
from services.inference.encoder_files import EncoderFiles, find_encoder
from services.inference.runtimes import Runtime
from services.inference.tokenising import Tokeniser
from services.inference.values import EncoderInfo
from services.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """What an engine needs to answer: the identity, text to ids, and ids to vectors."""

    info: EncoderInfo
    tokenise: Tokeniser
    runtime: Runtime


def load_encoder(settings: InferenceSettings) -> LoadedEncoder:
    """Load and run once. Raises ModelUnavailable, naming the encoder or the setting and the remedy."""
    started = time.perf_counter()
    files = find_encoder(settings.encoder, settings.model_cache_dir)
    tokenise = Tokeniser(files.folder / "tokenizer.json", files.max_tokens, files.lowercase)
    runtime = _runtime(files, tokenise.pad_id, settings)
    try:
        runtime.run(tokenise(["warm"]))
    except Exception as error:
        raise ModelUnavailable(
            f"The encoder {files.name} loads but does not run in {runtime.name} ({type(error).__name__})."
        ) from error
    info = EncoderInfo(
        files.name,
        files.version,
        files.dim,
        files.max_tokens,
        runtime.name,
        runtime.device,
        settings.languages,
    )
    log.info(
        "encoder_loaded",
        version=info.version,
        runtime=info.runtime,
        device=info.device,
        lanes=runtime.lanes,
        seconds=round(time.perf_counter() - started, 2),
    )
    return LoadedEncoder(info, tokenise, runtime)


def _runtime(files: EncoderFiles, pad_id: int, settings: InferenceSettings) -> Runtime:
    """The GPU when there is one, else OpenVINO, else torch; a runtime named in the settings alone."""
    wanted, device = settings.inference_runtime, settings.inference_device
    if device == "auto":
        device = "cuda" if wanted != "openvino" and _has_gpu() else "cpu"
    if device == "cpu" and wanted in {"auto", "openvino"}:
        try:
            return _openvino(files, pad_id, settings)
        except SuiteError:
            raise
        except Exception as error:
            if wanted == "openvino":
                raise ModelUnavailable(
                    f"OpenVINO does not run the encoder {files.name} ({type(error).__name__}): "
                    "pip install openvino, or set INFERENCE_RUNTIME=torch."
                ) from error
            log.warning("openvino_not_usable", encoder=files.name, reason=f"{type(error).__name__}: {error}")
    try:
        from services.inference.runtimes.torch import TorchRuntime
    except ImportError as error:
        raise ModelUnavailable("No runtime is installed: pip install openvino, or torch.") from error
    return TorchRuntime(files, pad_id, device, settings.inference_threads)


def _openvino(files: EncoderFiles, pad_id: int, settings: InferenceSettings) -> Runtime:
    from services.inference.runtimes.openvino import OpenVinoRuntime

    return OpenVinoRuntime(files, pad_id, settings.model_cache_dir, settings.inference_threads)


def _has_gpu() -> bool:
    """Whether torch can use an NVIDIA GPU; torch is imported only where a driver is."""
    if not Path("/proc/driver/nvidia/version").exists() or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())
