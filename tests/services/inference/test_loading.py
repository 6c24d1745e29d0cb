"""Loading the real encoder: the cache of converted models, the fallback, the refusals."""

from __future__ import annotations

import builtins
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import ModelUnavailable
from services.inference.conf import InferenceSettings
from services.inference.loading import load_encoder
from services.inference.local import LocalEngine
from services.inference.runtimes.openvino import is_whole
from services.inference.values import Vectors
from tests.services.inference.conftest import cpu_settings

TEXTS = ["Where is my parcel?", "The bank raised its forecast.", ""]


def _cached(cache: Path) -> Path:
    (folder,) = [path for path in cache.iterdir() if path.name.endswith("-packed-ov2")]
    return folder


def _embed(settings: InferenceSettings) -> Vectors:
    loaded = load_encoder(settings)
    return loaded.runtime.run(loaded.tokenise(TEXTS))


def test_a_start_from_the_cache_imports_neither_torch_nor_transformers(
    local_engine: LocalEngine, model_cache: Path
) -> None:
    program = (
        "import sys; from tests.services.inference.conftest import cpu_settings;"
        "from services.inference.local import LocalEngine; from pathlib import Path;"
        f"engine = LocalEngine(cpu_settings(Path({str(model_cache)!r}))); engine.warm();"
        "print(engine.encoder().version, {'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == f"{local_engine.encoder().version} set()", done.stderr


def test_a_cached_model_that_was_damaged_is_made_again(
    local_engine: LocalEngine, model_cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(model_cache, tmp_path, dirs_exist_ok=True)
    weights = _cached(tmp_path) / "encoder.bin"
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(size // 2)
    vecs = _embed(cpu_settings(tmp_path))
    assert float(np.sum(vecs * local_engine.embed(TEXTS), axis=1).min()) > 0.999
    assert weights.stat().st_size == size
    assert is_whole(_cached(tmp_path))


@pytest.mark.parametrize("part", ["encoder.bin", "encoder.xml", "manifest.json"])
def test_one_changed_byte_of_a_cached_model_is_noticed(
    local_engine: LocalEngine, model_cache: Path, tmp_path: Path, part: str
) -> None:
    shutil.copytree(_cached(model_cache), tmp_path / "copy")
    assert is_whole(tmp_path / "copy")
    with (tmp_path / "copy" / part).open("r+b") as file:
        file.seek(40)
        byte = file.read(1)[0]
        file.seek(40)
        file.write(bytes([byte ^ 1]))
    assert not is_whole(tmp_path / "copy")


def test_a_cache_that_cannot_be_written_costs_a_slow_start_and_no_more(
    local_engine: LocalEngine, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "models"
    in_the_way.write_text("a file, so no folder can be made here", encoding="utf-8")
    vecs = _embed(cpu_settings(in_the_way))
    assert float(np.sum(vecs * local_engine.embed(TEXTS), axis=1).min()) > 0.999


def test_no_half_written_model_is_left_in_the_cache(local_engine: LocalEngine, model_cache: Path) -> None:
    names = {path.name for path in model_cache.iterdir()}
    version = local_engine.encoder().version
    assert names == {"fingerprints", f"{version}-packed-ov2"}  # one form serves vectors and word vectors


def test_torch_serves_the_same_version_and_vectors_when_openvino_is_missing(
    local_engine: LocalEngine, model_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def without_openvino(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "openvino" or name == "services.inference.runtimes.openvino":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_openvino)
    loaded = load_encoder(cpu_settings(model_cache))
    assert loaded.info.runtime == "torch"
    assert loaded.info.version == local_engine.encoder().version
    vecs = loaded.runtime.run(loaded.tokenise(TEXTS))
    assert float(np.sum(vecs * local_engine.embed(TEXTS), axis=1).min()) > 0.999
    with pytest.raises(ModelUnavailable, match="INFERENCE_RUNTIME=torch"):
        load_encoder(cpu_settings(model_cache, inference_runtime="openvino"))


def test_a_gpu_that_is_asked_for_and_not_there_is_refused_by_the_setting(model_cache: Path) -> None:
    import torch

    if torch.cuda.is_available():
        loaded = load_encoder(cpu_settings(model_cache, inference_device="cuda"))
        assert loaded.info.device == "cuda"
        return
    with pytest.raises(ModelUnavailable, match="INFERENCE_DEVICE"):
        load_encoder(cpu_settings(model_cache, inference_device="cuda"))


def test_weights_that_are_no_weights_are_refused(tmp_path: Path, local_engine: LocalEngine) -> None:
    from services.inference.encoder_files import find_encoder

    folder = tmp_path / "broken"
    original = find_encoder(local_engine.encoder().name, tmp_path / "cache").folder
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(os.urandom(1000))
    with pytest.raises(ModelUnavailable, match="broken do not load"):
        load_encoder(cpu_settings(tmp_path / "cache", encoder=str(folder)))
