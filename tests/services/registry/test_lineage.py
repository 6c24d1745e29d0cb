"""A version says where it comes from, and its card says it to people."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.errors import ModelUnavailable
from services.registry import card, lineage
from services.registry.lineage import GateResult, Hardware, Lineage
from services.registry.manifest import SHIPPED, DataSource, Manifest, write
from tests.services.registry.stores import TASK, local_store, make_lineage

ROOT = Path(__file__).resolve().parents[3]


def whole() -> Lineage:
    return make_lineage(
        "v7",
        seed=11,
        commit="0a1b",
        hardware=Hardware("A CPU", 8, ("A GPU",), 31.2),
        software={"torch": "2.13"},
        trained_at="2026-03-01T09:30:00+00:00",
        split={"kind": "time", "test": 120},
        gate=GateResult(False, ("The interval of the gain holds zero.",), 0.01, -0.02, 0.04),
        parent="v6",
    )


def test_what_was_written_is_read_back_from_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w" * 100)
    lineage.write(folder, whole())
    assert lineage.read(folder) == whole()
    store = local_store(tmp_path)
    store.add(TASK, "v7", folder)
    assert store.lineage(TASK, "v7") == whole()


def test_the_shipped_version_says_where_it_comes_from(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    store.add("sentiment", "shipped", SHIPPED / "sentiment")
    found = store.lineage("sentiment", "shipped")
    assert found.labels == ("negative", "neutral", "positive")
    assert found.recipe == "tuned_head"
    assert all(source.licence and source.rows for source in found.data)
    assert found.trained_at
    assert found == lineage.read(SHIPPED / "sentiment")
    assert store.open("sentiment", "shipped").is_dir()


def test_a_version_without_a_lineage_is_told_from_its_manifest(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "sentiment", tmp_path / "old", ignore=shutil.ignore_patterns(lineage.LINEAGE))
    found = lineage.read(tmp_path / "old")
    assert (found.labels, found.recipe) == (("negative", "neutral", "positive"), "tuned_head")
    assert found.trained_at == ""


def test_a_folder_that_says_nothing_is_told_from_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"1": "good", "0": "bad"}}')
    found = lineage.read(tmp_path)
    assert (found.version, found.labels) == (tmp_path.name, ("bad", "good"))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 9}', '{"format": 1, "task": "a"}'])
def test_a_damaged_lineage_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / lineage.LINEAGE).write_text(text)
    with pytest.raises(ModelUnavailable, match="restore it from a backup"):
        lineage.read(tmp_path)


def test_a_manifest_of_the_present_form_still_reads(tmp_path: Path) -> None:
    made = Manifest(
        task="moods",
        version="moods-1",
        base_name="tiny",
        base_version="tiny-1",
        labels=("bad", "good"),
        languages=("en", "de"),
        recipe="text_head",
        parameters={"space": {"words": 8}},
        metrics={"macro_f1": 0.5},
        data=(DataSource("Made up", "CC0", 12, "ab12"),),
        seed=3,
    )
    write(tmp_path, made, {"bias": np.zeros(2, np.float32)})
    found = lineage.read(tmp_path)
    assert (found.task, found.seed, found.languages) == ("moods", 3, ("en", "de"))
    assert found.data == made.data


def test_the_surroundings_are_this_machine_and_this_code() -> None:
    machine, software = lineage.hardware(), lineage.software()
    assert machine.cores >= 1
    assert machine.memory_gib > 0.1
    assert machine.cpu
    assert software["numpy"] == np.__version__
    named = subprocess.run(
        [sys.executable, "-c", "from services.registry import lineage; print(lineage.commit())"],
        cwd=ROOT,
        env={**os.environ, "TREFOIL_COMMIT": "abc123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert named.stdout.strip() == "abc123"
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}\+?", lineage.commit())


def test_the_card_says_what_an_auditor_asks() -> None:
    report = {
        "per_class": [{"label": "bad", "precision": 0.5, "recall": 0.25, "f1": 0.3333, "support": 40}],
        "slices": [
            {
                "by": "language",
                "value": "en",
                "n": 90,
                "accuracy": 0.8,
                "macro_f1": 0.7,
                "low": 0.6,
                "high": 0.8,
            }
        ],
    }
    text = card.card(whole(), report, use="Sorts letters.", limits=["Not for e-mails | or chats."])
    for told in (
        "# topics: v7",
        "Sorts letters.",
        "| Made up | CC0 | 12 | `ab12` |",
        "| macro_f1 | 0.71 | 0.66 to 0.75 |",
        "| bad | 0.5000 | 0.2500 | 0.3333 | 40 |",
        "| language: en | 90 | 0.8000 | 0.7000 | 0.6000 to 0.8000 |",
        "Compared with `v6`. By the gate it is not to be promoted. Gain +0.0100",
        "- The interval of the gain holds zero.",
        "| seed | 11 |",
        "| code | `0a1b` |",
        "A CPU, 8 cores, 31.2 GiB, A GPU",
        '"epochs": 3',
    ):
        assert told in text, told
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_the_card_of_a_version_that_says_little_says_so() -> None:
    text = card.card(Lineage("topics", "v0"))
    assert "Data: not recorded." in text
    assert "None were recorded." in text
    assert "| machine | not recorded |" in text
    assert "The gate" not in text
