"""Scoring goes on where it was killed: every row is answered once, in the order of the file."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.errors import Conflict, InvalidInput, ModelUnavailable, NotFound, StorageFailed
from services.inference.fake import FakeEngine
from services.inference.values import ClassScores, Pair
from services.training.batch_scoring import count_rows, file_rows, join, read_mark, score
from services.training.order import Cancelled, Silent

ROOT = Path(__file__).resolve().parents[3]
TASK = "topics"


def classify(pairs: Sequence[Pair]) -> ClassScores:
    return FakeEngine().classify(TASK, pairs)


def write_rows(path: Path, n: int) -> Path:
    path.write_text(
        "".join(
            json.dumps({"id": f"r{at}", "text": f"parcel {at} is late", "entity": "Acme" if at % 3 else None})
            + "\n"
            for at in range(n)
        )
    )
    return path


def expected_label(at: int) -> str:
    scores = classify([(f"parcel {at} is late", "Acme" if at % 3 else None)])
    return scores.labels[int(scores.probs[0].argmax())]


def answers(folder: Path, target: Path) -> list[dict[str, Any]]:
    join(folder, target)
    return [json.loads(line) for line in target.read_text().splitlines()]


def require_whole(found: list[dict[str, Any]], n: int) -> None:
    assert [row["row"] for row in found] == list(range(n))
    assert [row["id"] for row in found] == [f"r{at}" for at in range(n)]
    assert all(row["label"] == expected_label(row["row"]) for row in found[:: max(1, n // 300)])


class Watching(Silent):
    """Remembers the progress; asks to stop after so many rows."""

    def __init__(self, stop_after: int = 1 << 60) -> None:
        self.stop_after = stop_after
        self.seen: list[tuple[int, int]] = []

    def progress(self, done: int, total: int) -> None:
        self.seen.append((done, total))

    def stopped(self) -> bool:
        return bool(self.seen) and self.seen[-1][0] >= self.stop_after


def test_twenty_thousand_rows_are_scored_in_order(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", 20_000)
    watch = Watching()
    done = score(
        file_rows(file), classify, tmp_path / "out", watch=watch, total=count_rows(file), about="rows"
    )
    assert (done.rows, done.unusable, done.model_versions) == (20_000, 0, ("fake-1",))
    assert watch.seen[-1] == (20_000, 20_000)
    assert [row for row, _ in watch.seen] == sorted(row for row, _ in watch.seen)
    require_whole(answers(tmp_path / "out", tmp_path / "scores.jsonl"), 20_000)


def test_a_process_killed_again_and_again_loses_no_row_and_doubles_none(tmp_path: Path) -> None:
    n = 6_000
    file, out = write_rows(tmp_path / "rows.jsonl", n), tmp_path / "out"
    pause, kills = random.Random(4), 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.training.scoring_child", str(file), str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if kills < 4:
            began = read_mark(out).rows if out.exists() else 0
            while process.poll() is None and (not out.exists() or read_mark(out).rows <= began + 200):
                time.sleep(0.005)
            time.sleep(pause.uniform(0, 0.03))
            process.kill()
        code = process.wait(120)
        if code == 0:
            break
        assert code == -9
        kills += 1
        assert 0 < read_mark(out).rows < n
        with pytest.raises(Conflict, match="finish the work first"):
            join(out, tmp_path / "early.jsonl")
    assert kills == 4
    require_whole(answers(out, tmp_path / "scores.jsonl"), n)
    assert len(list(out.glob("part-*.jsonl"))) == -(-n // 64)


def test_a_part_that_was_written_before_its_watermark_is_kept_and_asked_of_no_model(tmp_path: Path) -> None:
    file, out = write_rows(tmp_path / "rows.jsonl", 300), tmp_path / "out"
    score(file_rows(file), classify, out, chunk=100)
    mark = json.loads((out / "watermark.json").read_text())
    at_200 = sum(len(line) for line in file.read_bytes().splitlines(keepends=True)[:200])
    (out / "watermark.json").write_text(
        json.dumps(mark | {"rows": 200, "at": str(at_200), "finished": False})
    )

    def refuse(pairs: Sequence[Pair]) -> ClassScores:
        raise AssertionError("these rows are scored already")

    score(file_rows(file), refuse, out, chunk=100)
    require_whole(answers(out, tmp_path / "scores.jsonl"), 300)


def test_going_on_with_another_chunk_size_changes_nothing_in_the_answers(tmp_path: Path) -> None:
    file, out = write_rows(tmp_path / "rows.jsonl", 500), tmp_path / "out"
    with pytest.raises(Cancelled, match="goes on from there"):
        score(file_rows(file), classify, out, chunk=64, watch=Watching(stop_after=100))
    stopped = read_mark(out).rows
    assert stopped == 128
    score(file_rows(file), classify, out, chunk=50)
    require_whole(answers(out, tmp_path / "scores.jsonl"), 500)


@pytest.mark.parametrize("at", [0, 1])
def test_a_model_that_fails_in_the_middle_leaves_what_was_done(tmp_path: Path, at: int) -> None:
    file, out = write_rows(tmp_path / "rows.jsonl", 300), tmp_path / "out"
    calls = 0

    def breaks(pairs: Sequence[Pair]) -> ClassScores:
        nonlocal calls
        calls += 1
        if calls > at:
            raise ModelUnavailable("gone")
        return classify(pairs)

    with pytest.raises(ModelUnavailable):
        score(file_rows(file), breaks, out, chunk=100)
    assert read_mark(out).rows == 100 * at
    score(file_rows(file), classify, out, chunk=100)
    require_whole(answers(out, tmp_path / "scores.jsonl"), 300)


def test_the_rate_is_kept(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", 100)
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    done = score(
        file_rows(file), classify, tmp_path / "out", chunk=10, rate_per_s=50.0, clock=lambda: now, sleep=sleep
    )
    assert now == pytest.approx(2.0)
    assert done.rows_per_s == pytest.approx(50.0)


def test_rows_that_cannot_be_used_are_answered_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [
        b'{"text": "late"}',
        b'{"text": "  "}',
        b"{broken",
        b"[1]",
        b'{"text": 5, "id": 7}',
        b'{"text": "\xff\xfe"}',
        json.dumps({"text": "x" * 20_001}).encode(),
        b'{"text": "last", "id": 0}',
    ]
    file.write_bytes(b"\n".join(lines))
    assert count_rows(file) == 8
    done = score(file_rows(file), classify, tmp_path / "out")
    assert (done.rows, done.unusable) == (8, 6)
    found = answers(tmp_path / "out", tmp_path / "scores.jsonl")
    assert [row.get("problem", "")[:13] for row in found] == [
        "",
        "there is no t",
        "not a line of",
        "not a JSON ob",
        "there is no t",
        "not a line of",
        "the text is l",
        "",
    ]
    assert found[4]["id"] == 7
    assert found[7]["id"] == 0
    assert sum(found[0]["probs"].values()) == pytest.approx(1.0, abs=1e-4)


def test_a_csv_with_quoted_line_ends_is_scored_and_gone_on_with(tmp_path: Path) -> None:
    file, out = tmp_path / "rows.csv", tmp_path / "out"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "entity"])
        writer.writerows([f"r{at}", f"parcel {at} is late", "Acme" if at % 3 else ""] for at in range(90))
        writer.writerow(["r90", "two\nlines", ""])
    with pytest.raises(Cancelled):
        score(file_rows(file), classify, out, chunk=10, watch=Watching(stop_after=40))
    score(file_rows(file), classify, out, chunk=10)
    found = answers(out, tmp_path / "scores.jsonl")
    assert [row["id"] for row in found] == [f"r{at}" for at in range(91)]
    require_whole(found[:90], 90)


def test_a_file_without_texts_or_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,words\n1,late\n")
    with pytest.raises(InvalidInput, match=r"a\.csv lacks the column text"):
        score(file_rows(tmp_path / "a.csv"), classify, tmp_path / "out")
    (tmp_path / "a.xls").write_text("x")
    with pytest.raises(InvalidInput, match="neither"):
        file_rows(tmp_path / "a.xls")
    with pytest.raises(NotFound):
        file_rows(tmp_path / "none.jsonl")
    with pytest.raises(InvalidInput):
        score(file_rows(tmp_path / "a.csv"), classify, tmp_path / "out", chunk=0)


def test_a_folder_of_other_work_or_of_a_process_at_work_is_refused(tmp_path: Path) -> None:
    file, out = write_rows(tmp_path / "rows.jsonl", 50), tmp_path / "out"

    def meanwhile(pairs: Sequence[Pair]) -> ClassScores:
        with pytest.raises(Conflict, match="Another process"):
            score(file_rows(file), classify, out, about="one")
        return classify(pairs)

    score(file_rows(file), meanwhile, out, about="one")
    with pytest.raises(Conflict, match="scores of one"):
        score(file_rows(file), classify, out, about="two")
    again = score(file_rows(file), classify, out, about="one")
    assert again.rows == 50


def test_an_empty_file_is_finished_at_once(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("")
    assert score(file_rows(tmp_path / "rows.jsonl"), classify, tmp_path / "out").rows == 0
    assert answers(tmp_path / "out", tmp_path / "scores.jsonl") == []


def test_a_place_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", 5)
    with pytest.raises(StorageFailed):
        score(file_rows(file), classify, file / "out")
