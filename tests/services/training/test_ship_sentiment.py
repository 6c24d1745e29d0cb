"""The command that rebuilds the shipped head, on a small world and the encoder of the tests."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from services.registry.manifest import read
from services.training import ship_sentiment
from services.training.dataset import Example
from services.training.recipes.text_head import TextHeadRecipe
from tests.services.training.headlines import headlines


def write(path: Path, examples: list[Example]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "entity", "label"])
        rows.writerows([example.text, example.entity or "", example.label] for example in examples)


def test_both_sets_are_used_and_named_and_test_files_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "twitter" / "train.csv", [e for e in headlines(120) if e.entity is None])
    write(tmp_path / "sentfin" / "train.csv", [e for e in headlines(120, seed=1) if e.entity])
    (tmp_path / "twitter" / "test.csv").mkdir()
    first = ship_sentiment.ship(tmp_path, tmp_path / "one", 0)
    assert [(source.name, source.licence) for source in first.data] == [
        ("Twitter financial news", "MIT"),
        ("SEntFiN 1.0", "MIT"),
    ]
    assert first.parameters == TextHeadRecipe().parameters()
    assert read(tmp_path / "one")[0] == first
    assert ship_sentiment.ship(tmp_path, tmp_path / "two", 0).version == first.version


def test_a_missing_set_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["ship_sentiment", "--data", str(tmp_path), "--out", str(tmp_path / "x")]
    )
    assert ship_sentiment.main() == 1
    assert "train.csv cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
