"""Name -> a warmed model: its files, its tokenizer and the fastest runtime that works here."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.errors import ModelUnavailable, SuiteError
from services.inference.conf import InferenceSettings
from services.inference.encoder_files import EncoderFiles, find_encoder
from services.inference.model_files import Kind, ModelFiles, find_model
from services.inference.runtimes import Packing, Recipe, Runtime
from services.inference.tokenising import Tokeniser
from services.inference.values import EncoderInfo, ModelInfo
from services.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """What an engine needs to answer: the identity, text to ids, and ids to vectors."""

    info: EncoderInfo
    tokenise: Tokeniser
    runtime: Runtime
    files: EncoderFiles


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A task's model, ready: the identity, text to ids, and ids to logits."""

    info: ModelInfo
    files: ModelFiles
    tokenise: Tokeniser
    runtime: Runtime


def load_encoder(settings: InferenceSettings) -> LoadedEncoder:
    """Load and run once. Raises ModelUnavailable, naming the encoder or the setting and the remedy."""
    return load_files(find_encoder(settings.encoder, settings.model_cache_dir), settings)


def load_files(files: EncoderFiles, settings: InferenceSettings) -> LoadedEncoder:
    """The same for an encoder that was found already; a task's own one too."""
    started = time.perf_counter()
    tokenise = Tokeniser(files.folder / "tokenizer.json", files.max_tokens, files.lowercase)

    def load(dtype: Any) -> Any:
        from services.inference.runtimes.torch import load_module

        return load_module(files, dtype)

    def load_packed(dtype: Any) -> Any:
        from services.inference.runtimes.torch import PackedStates, load_module

        return PackedStates(load_module(files, dtype))

    packing = Packing(f"{files.version}-packed", load_packed, files.pooling)
    recipe = Recipe(files.version, load, tokenise.pad_id, files.max_tokens, packing=packing)
    runtime = _warmed(recipe, tokenise, f"encoder {files.name}", settings)
    info = EncoderInfo(
        files.name,
        files.version,
        files.dim,
        files.max_tokens,
        runtime.name,
        runtime.device,
        settings.languages,
    )
    _loaded("encoder", info.version, runtime, started)
    return LoadedEncoder(info, tokenise, runtime, files)


def load_token_states(encoder: LoadedEncoder, settings: InferenceSettings) -> Runtime:
    """The same encoder, answering each token's state (n, width, dim), L2-normalised."""
    shared: Callable[[], Runtime | None] | None = getattr(encoder.runtime, "token_states", None)
    if shared is not None and (view := shared()) is not None:
        return view
    started = time.perf_counter()
    files, tokenise = encoder.files, encoder.tokenise

    def load(dtype: Any) -> Any:
        from services.inference.runtimes.torch import TokenStates, load_module

        return TokenStates(load_module(files, dtype))

    recipe = Recipe(f"{files.version}-tokens", load, tokenise.pad_id, files.max_tokens, by_token=True)
    runtime = _warmed(recipe, tokenise, f"encoder {files.name}", settings)
    _loaded("late-interaction", recipe.key, runtime, started)
    return runtime


def load_model(task: str, name: str, kind: Kind, setting: str, settings: InferenceSettings) -> LoadedModel:
    """A task's model. Raises ModelUnavailable, naming the model and the setting to check."""
    started = time.perf_counter()
    files = find_model(name, kind, settings.model_cache_dir, setting)
    tokenise = Tokeniser(files.folder / "tokenizer.json", files.max_tokens, files.lowercase)

    def load(dtype: Any) -> Any:
        from services.inference.runtimes.torch import load_task_module

        return load_task_module(files, tokenise.separator, dtype)

    recipe = Recipe(files.version, load, tokenise.pad_id, files.max_tokens, by_token=kind == "tagger")
    runtime = _warmed(recipe, tokenise, f"{kind} {files.name}", settings)
    _loaded(task, files.version, runtime, started)
    info = ModelInfo(
        task, kind, files.name, files.version, runtime.name, runtime.device, loaded=True, labels=files.labels
    )
    return LoadedModel(info, files, tokenise, runtime)


def _warmed(recipe: Recipe, tokenise: Tokeniser, called: str, settings: InferenceSettings) -> Runtime:
    runtime = _runtime(recipe, called, settings)
    try:
        runtime.run(tokenise(["warm"]))
    except Exception as error:
        raise ModelUnavailable(
            f"The {called} loads but does not run in {runtime.name} ({type(error).__name__})."
        ) from error
    return runtime


def _loaded(task: str, version: str, runtime: Runtime, started: float) -> None:
    log.info(
        "model_loaded",
        task=task,
        version=version,
        runtime=runtime.name,
        device=runtime.device,
        lanes=runtime.lanes,
        seconds=round(time.perf_counter() - started, 2),
    )


def _runtime(recipe: Recipe, called: str, settings: InferenceSettings) -> Runtime:
    """The GPU when there is one, else OpenVINO, else torch; a runtime named in the settings alone."""
    wanted, device = settings.inference_runtime, wanted_device(settings)
    if device == "cpu" and wanted != "torch":
        try:
            return _openvino(recipe, settings)
        except SuiteError:
            raise
        except Exception as error:
            if wanted == "openvino":
                raise ModelUnavailable(
                    f"OpenVINO does not run the {called} ({type(error).__name__}): "
                    "pip install openvino, or set INFERENCE_RUNTIME=torch."
                ) from error
            log.warning("openvino_not_usable", model=called, reason=f"{type(error).__name__}: {error}")
    try:
        from services.inference.runtimes.torch import TorchRuntime
    except ImportError as error:
        raise ModelUnavailable("No runtime is installed: pip install openvino, or torch.") from error
    return TorchRuntime(recipe, device, settings.inference_threads)


def wanted_device(settings: InferenceSettings) -> str:
    """cuda or cpu: as the settings say, or what there is."""
    if settings.inference_device != "auto":
        return settings.inference_device
    return "cuda" if settings.inference_runtime != "openvino" and _has_gpu() else "cpu"


def _openvino(recipe: Recipe, settings: InferenceSettings) -> Runtime:
    from services.inference.runtimes.openvino import OpenVinoRuntime

    return OpenVinoRuntime(recipe, settings.model_cache_dir, settings.inference_threads)


def _has_gpu() -> bool:
    """Whether torch can use an NVIDIA GPU; torch is imported only where a driver is."""
    if not Path("/proc/driver/nvidia/version").exists() or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())
