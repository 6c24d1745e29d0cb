"""A model folder is whole or refused, and a save that fails leaves the version before it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.errors import ModelUnavailable, StorageFailed
from services.registry.manifest import MANIFEST, DataSource, Manifest, content_version, read, write

TENSORS = {"dense": np.arange(12, dtype=np.float16).reshape(4, 3), "bias": np.zeros(3, np.float32)}


def make(version: str = "moods-1") -> Manifest:
    return Manifest(
        task="moods",
        version=version,
        base_name="tiny",
        base_version="tiny-0011",
        labels=("bad", "good"),
        languages=("en",),
        recipe="text_head",
        parameters={"space": {"words": 8}},
        metrics={"validation_accuracy": 0.75},
        data=(DataSource("Made up", "CC0", 12, "ab12"),),
        seed=3,
    )


def weights(folder: Path) -> Path:
    return next(folder.glob("weights.*"))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path / "moods", make(), TENSORS)
    manifest, tensors = read(tmp_path / "moods")
    assert manifest == written
    assert manifest.data[0].licence == "CC0"
    assert {name: array.dtype for name, array in tensors.items()} == {
        "dense": np.float16,
        "bias": np.float32,
    }
    np.testing.assert_array_equal(tensors["dense"], TENSORS["dense"])


def test_a_transposed_tensor_keeps_its_values(tmp_path: Path) -> None:
    write(tmp_path, make(), {"dense": TENSORS["dense"].T})
    np.testing.assert_array_equal(read(tmp_path)[1]["dense"], TENSORS["dense"].T)


def test_a_file_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, make(), TENSORS)
    path = weights(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelUnavailable, match="cut short or changed: weights"):
        read(tmp_path)


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    write(tmp_path, make(), TENSORS)
    data = bytearray(weights(tmp_path).read_bytes())
    data[-1] ^= 1
    weights(tmp_path).write_bytes(data)
    with pytest.raises(ModelUnavailable, match="changed"):
        read(tmp_path)


def test_a_missing_file_and_a_missing_manifest_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, make(), TENSORS)
    weights(tmp_path).unlink()
    with pytest.raises(ModelUnavailable, match="is missing: weights"):
        read(tmp_path)
    with pytest.raises(ModelUnavailable, match="no manifest"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"format": 1}', '{"format": 1, "files": {"a": 1}, "x": 2}', "\x00\x01"]
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ModelUnavailable, match="damaged"):
        read(tmp_path)


def test_a_later_format_is_refused_as_such(tmp_path: Path) -> None:
    write(tmp_path, make(), TENSORS)
    found = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**found, "format": 99}))
    with pytest.raises(ModelUnavailable, match="format that this release does not read"):
        read(tmp_path)


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "moods", make(), TENSORS)
    (tmp_path / "elsewhere").write_bytes(b"x")
    found = json.loads((tmp_path / "moods" / MANIFEST).read_text())
    (tmp_path / "moods" / MANIFEST).write_text(json.dumps({**found, "files": {"../elsewhere": "0"}}))
    with pytest.raises(ModelUnavailable, match="elsewhere"):
        read(tmp_path / "moods")


def test_a_new_version_replaces_the_old_one_and_its_files(tmp_path: Path) -> None:
    write(tmp_path, make(), TENSORS)
    old = weights(tmp_path).name
    write(tmp_path, make("moods-2"), {"bias": np.ones(3, np.float32)})
    assert read(tmp_path)[0].version == "moods-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, weights(tmp_path).name]
    assert weights(tmp_path).name != old


def test_a_save_that_cannot_finish_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, make(), TENSORS)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.registry.manifest.os.fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        write(tmp_path, make("moods-2"), {"bias": np.ones(3, np.float32)})
    assert read(tmp_path)[0].version == "moods-1"
    assert not list(tmp_path.glob("*.part"))


def test_the_version_follows_weights_and_encoder() -> None:
    version = content_version("moods", "tiny-0011", TENSORS)
    assert version.startswith("moods-")
    assert version == content_version("moods", "tiny-0011", dict(TENSORS))
    changed = {**TENSORS, "bias": np.ones(3, np.float32)}
    assert len({version, content_version("moods", "x", TENSORS), content_version("moods", "x", changed)}) == 3
