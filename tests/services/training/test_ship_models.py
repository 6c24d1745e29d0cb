"""The command that rebuilds the shipped models, on a small world and an encoder made on the spot."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.registry import lineage
from services.training import ship_models
from services.training.dataset import Example, Span
from services.training.ship_models import MODELS, named_companies, ship
from tests.services.training.headlines import headlines
from tests.services.training.jobs import tiny_base


@pytest.fixture(autouse=True)
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base of the test."""
    monkeypatch.setenv("ENCODER", str(tiny_base(tmp_path / "tiny")))
    monkeypatch.setenv("INFERENCE_RUNTIME", "torch")
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRAINING_PRECISION", "fp32")


def write(path: Path, examples: list[Example]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "entity", "label"])
        rows.writerows([example.text, example.entity or "", example.label] for example in examples)


def test_companies_are_marked_wherever_they_are_named() -> None:
    rows = named_companies(
        [
            Example("Acme buys Acme Foods", "Acme", "positive"),
            Example("Acme buys Acme Foods", "Acme Foods", "positive"),
            Example("Rates rise", None, "neutral"),
        ]
    )
    assert rows == (Example("Acme buys Acme Foods", spans=(Span(0, 4, "company"), Span(10, 20, "company"))),)


def test_both_sets_are_used_and_named_and_test_files_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data" / "twitter" / "train.csv", [e for e in headlines(200) if e.entity is None])
    write(tmp_path / "data" / "sentfin" / "train.csv", [e for e in headlines(200, seed=1) if e.entity])
    (tmp_path / "data" / "twitter" / "test.csv").mkdir()
    small = {"members": 2, "epochs": 1.0, "distil_epochs": 1.0, "pretrain_epochs": 0.5}
    small |= {"frozen_layers": 1, "lora_rank": 4}
    model = MODELS["sentiment"]
    order = replace(model.order, parameters=small, test_share=0.2)
    monkeypatch.setitem(MODELS, "sentiment", replace(model, order=order))
    made = ship("sentiment", tmp_path / "data", tmp_path / "out")
    record = lineage.read(tmp_path / "out" / "sentiment")
    assert record.version == made.version
    assert [(source.name, source.licence) for source in record.data] == [
        ("Twitter financial news", "MIT"),
        ("SEntFiN 1.0", "MIT"),
    ]
    assert (tmp_path / "out" / "sentiment" / "README.md").is_file()
    assert (tmp_path / "out" / "sentiment" / "SHA256SUMS").is_file()


def test_a_missing_set_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["ship_models", "--data", str(tmp_path), "--out", str(tmp_path / "x")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert ship_models.main() == 1
    assert "train.csv cannot be read" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "weather"])
    assert ship_models.main() == 2
    assert not (tmp_path / "x").exists()
