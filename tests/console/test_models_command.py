"""Model versions and bulk scoring from the command line, on a real store: results as text and as JSON."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from services.console.storage import storage
from services.inference.fake import FakeEngine
from services.registry.store import ModelStore
from services.training import batch_scoring
from tests.services.registry.stores import TASK, make_folder, with_versions


@pytest.fixture
def store(files: Path, tmp_path: Path) -> ModelStore:
    """The process's own registry, with two versions."""
    store = ModelStore(storage())
    return with_versions(store, tmp_path / "made", "v1", "v2")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("models", *arguments, stdout=out)
    return out.getvalue()


def asked(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_a_version_is_promoted_compared_and_rolled_back(store: ModelStore) -> None:
    assert asked("promote", TASK, "v1", "--by", "Ana")["version"] == "v1"
    assert asked("promote", TASK, "v2", "--by", "Ben", "--reason", "better", "--expected", "v1")[
        "before"
    ] == ["v1"]
    listed = asked("list", TASK)
    assert [(row["version"], row["live"]) for row in listed] == [("v1", False), ("v2", True)]
    assert listed == asked("list")
    assert asked("rollback", TASK, "--by", "Ana", "--reason", "complaints")["version"] == "v1"
    told = [
        (row["action"], row["from"], row["to"], row["by"], row["reason"]) for row in asked("history", TASK)
    ]
    assert told == [
        ("promote", "", "v1", "Ana", ""),
        ("promote", "v1", "v2", "Ben", "better"),
        ("roll_back", "v2", "v1", "Ana", "complaints"),
    ]
    assert [change["name"] for change in asked("compare", TASK, "v1", "v2")["other"]] == ["version"]
    shown = asked("show", TASK, "v1")
    assert shown["metrics"] == {"macro_f1": 0.71}
    assert shown["bytes"] == store.size(TASK, "v1")


def test_for_people_there_is_a_table_with_the_live_one_marked(store: ModelStore) -> None:
    run("promote", TASK, "v2")
    lines = run("list").splitlines()
    assert lines[0].split()[:3] == ["task", "version", "live"]
    assert [("*" in line) for line in lines[1:]] == [False, True]
    assert "macro_f1 0.71" in lines[1]
    assert "base_name: tiny" in run("show", TASK, "v1")
    assert run("history", "nothing").strip() == "None."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("promote", TASK, "none"), "There is no version none of topics."),
        (("promote", TASK, "v2", "--expected", "v9"), "v1 is live|made v1 live"),
        (("promote", TASK, "v2", "--override"), "needs a reason"),
        (("rollback", "nothing"), "no earlier one"),
        (("retire", TASK, "v1"), "is live and stays"),
        (("show", TASK, "none"), "no version"),
        (("show", "../etc", "v1"), "A name here is"),
        (("restore", "nowhere.tar"), "no backup file"),
        (("export", TASK, "v1", "package", "--texts", "none.csv"), "no file none.csv"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    store: ModelStore, arguments: tuple[str, ...], told: str
) -> None:
    run("promote", TASK, "v1")
    with pytest.raises(CommandError, match=told) as caught:
        run(*arguments)
    assert caught.value.returncode == 1
    assert "\n" not in str(caught.value)
    assert asked("list", TASK)[0]["live"]


def test_a_backup_is_restored_into_an_empty_registry(store: ModelStore, tmp_path: Path) -> None:
    run("promote", TASK, "v1")
    place = str(tmp_path / "b.tar")
    assert sorted(asked("backup", place)["added"]) == ["topics/v1", "topics/v2"]
    storage().delete("models")
    assert asked("restore", place, "--dry-run")["live"] == {TASK: "v1"}
    assert asked("list") == []
    assert sorted(asked("restore", place)["added"]) == ["topics/v1", "topics/v2"]
    assert asked("list", TASK)[0]["live"]
    assert asked("retire", TASK, "v2")["retired"] == "v2"
    assert [row["version"] for row in asked("list")] == ["v1"]


def test_a_backup_that_leaves_a_damaged_version_out_ends_with_an_error(
    store: ModelStore, files: Path, tmp_path: Path
) -> None:
    (files / "models/topics/versions/v1/model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CommandError, match="Damaged and left out: topics/v1"):
        run("backup", str(tmp_path / "b.tar"))


def test_what_is_not_known_is_refused_with_what_is(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\nlate,bad\n")
    with pytest.raises(CommandError, match="--kinds takes onnx, openvino"):
        run(
            "export", TASK, "v1", str(tmp_path / "p"), "--texts", str(tmp_path / "t.csv"), "--kinds", "tflite"
        )
    with pytest.raises(CommandError, match="WHAT"):
        run()
    with pytest.raises(CommandError, match="invalid choice"):
        run("explode")


def write_rows(path: Path, n: int) -> Path:
    path.write_text("".join(json.dumps({"id": at, "text": f"parcel {at} is late"}) + "\n" for at in range(n)))
    return path


def score(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("score_batch", "--task", TASK, *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_file_is_scored_with_a_bar_and_the_time_left(tmp_path: Path) -> None:
    file, out = write_rows(tmp_path / "in.jsonl", 500), tmp_path / "out.jsonl"
    said, shown = score("--in", str(file), "--out", str(out), "--chunk", "100")
    assert said.startswith("500 rows, 0 without a usable text")
    assert "500 of 500 rows" in shown
    assert "s left" in shown
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in found] == list(range(500))
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl"]
    with pytest.raises(CommandError, match=r"out\.jsonl exists already"):
        score("--in", str(file), "--out", str(out))


def test_scoring_goes_on_after_a_failure_and_prints_json(tmp_path: Path, engine: FakeEngine) -> None:
    file, out = write_rows(tmp_path / "in.jsonl", 300), tmp_path / "out.jsonl"
    engine.fail_with = RuntimeError("broken")
    with pytest.raises(RuntimeError):
        score("--in", str(file), "--out", str(out), "--json")
    engine.fail_with = None
    assert batch_scoring.read_mark(tmp_path / "out.jsonl.parts").rows == 0
    said, shown = score("--in", str(file), "--out", str(out), "--json", "--rate", "100000")
    assert shown == ""
    assert json.loads(said)["rows"] == 300
    assert json.loads(said)["model_versions"] == ["fake-1"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.jsonl", None, "no file"),
        ("a.txt", "x", "neither"),
        ("a.csv", "id\n1\n", "lacks the column text"),
    ],
)
def test_a_file_that_cannot_be_scored_is_one_line(
    tmp_path: Path, name: str, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CommandError, match=told):
        score("--in", str(tmp_path / name), "--out", str(tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()


def test_a_list_is_of_one_task_or_of_all(store: ModelStore, tmp_path: Path) -> None:
    store.add("names", "n1", make_folder(tmp_path / "n1", "n1"))
    assert {row["task"] for row in asked("list")} == {TASK, "names"}
    assert {row["task"] for row in asked("list", "names")} == {"names"}
