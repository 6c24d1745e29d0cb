"""The loop under every recipe: watched, stopped, resumed, and told what went wrong by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from services.errors import ModelFailed, StorageFailed
from services.training.conf import TrainingSettings
from services.training.order import Cancelled
from services.training.recipes.loop import Pace, last_checkpoint, rates, run_loop
from tests.services.training.jobs import Remembering

ROOT = Path(__file__).parents[3]
SETTINGS = TrainingSettings(training_precision="fp32", training_device="cpu")


class Line(torch.nn.Module):
    """Learns y = 2x + 1; may fail on the way as it is told to."""

    def __init__(self, fails: dict[int, BaseException] | None = None, most: int = 10**9) -> None:
        super().__init__()
        self.head = torch.nn.Linear(1, 1)
        self.fails, self.most, self.steps = fails or {}, most, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.training and self.steps in self.fails:
            raise self.fails[self.steps]
        if self.training and len(x) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        found: torch.Tensor = self.head(x)
        return found


def squared(model: Line, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    said = model(inputs["x"])
    return ((said - inputs["labels"]) ** 2).mean(), said


def squared_root(model: Line, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    said = model(inputs["x"])
    return (said - 1e9).sqrt().mean(), said


def rows(n: int = 64) -> list[dict[str, list[float]]]:
    return [{"input_ids": [1], "x": [at / n], "labels": [2 * at / n + 1]} for at in range(n)]


def collate(batch: list[dict[str, list[float]]]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([row[name] for row in batch]) for name in ("x", "labels")}


def go(model: Line, folder: Path, watch: Remembering, loss=squared, **pace: float) -> dict[str, list[float]]:  # type: ignore[no-untyped-def]
    given = Pace(**{"epochs": 4, "batch_size": 8, "learning_rate": 0.1, "warmup_share": 0.0, **pace})  # type: ignore[arg-type]
    return run_loop(model, rows(), rows(8), collate, given, folder, watch, SETTINGS, loss_of=loss)


def test_curves_grow_and_tensorboard_files_are_written(tmp_path: Path) -> None:
    watch = Remembering()
    go(Line(), tmp_path, watch)
    assert watch.curves["loss"][-1] < watch.curves["loss"][0]
    assert len(watch.curves["validation_loss"]) >= 4
    assert watch.done == 32
    assert list((tmp_path / "tensorboard").rglob("events.*"))


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        go(Line(), tmp_path, Remembering(stop_at=11))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-11"
    model, watch = Line(), Remembering()
    go(model, tmp_path, watch)
    assert watch.lines == ["Going on from checkpoint-11."]
    assert model.steps == 32 - 11


def test_half_the_batch_when_memory_runs_out_makes_the_same_step(tmp_path: Path) -> None:
    watch = Remembering()
    go(Line(most=2), tmp_path / "small", watch, evaluations=1)
    assert [line for line in watch.lines if "memory" in line] == [
        "Out of memory: going on with 4 examples at a time.",
        "Out of memory: going on with 2 examples at a time.",
    ]
    assert watch.done == 32
    assert watch.curves["validation_loss"][-1] < watch.curves["loss"][0]


def test_no_memory_for_one_example_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="max_tokens"):
        go(Line(most=0), tmp_path, Remembering())


def test_a_loss_that_is_no_number_ends_the_run_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="learning_rate"):
        go(Line(), tmp_path, Remembering(), loss=squared_root)


def test_a_full_disk_is_said_and_the_last_checkpoint_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(StorageFailed, match="Free space"):
        go(Line(fails={12: full}), tmp_path, Remembering())
    assert last_checkpoint(tmp_path) is not None


def test_a_damaged_checkpoint_is_put_aside_for_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        go(Line(), tmp_path, Remembering(stop_at=20))
    newest = tmp_path / "checkpoints" / "checkpoint-20"
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:20])
    watch = Remembering()
    go(Line(), tmp_path, watch)
    assert watch.lines == ["Going on from checkpoint-16."]


def test_early_stopping_ends_a_run_that_gains_nothing(tmp_path: Path) -> None:
    watch = Remembering()
    go(Line(), tmp_path, watch, epochs=50, patience=2, best_by="loss", evaluations=100, learning_rate=1e-9)
    assert watch.done < 400


def test_lower_layers_learn_more_slowly(tmp_path: Path) -> None:
    from transformers import AutoModel

    from tests.services.training.jobs import tiny_base

    model = AutoModel.from_pretrained(tiny_base(tmp_path / "base"))
    by_rate = {
        id(parameter): group["lr"]
        for group in rates(model, Pace(learning_rate=1.0, layer_decay=0.5))
        for parameter in group["params"]
    }
    assert by_rate[id(model.encoder.layer[1].output.dense.weight)] == 1.0
    assert by_rate[id(model.encoder.layer[0].output.dense.weight)] == 0.5
    assert by_rate[id(model.embeddings.word_embeddings.weight)] == 0.25


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tests.services.training.test_loop import Line, Remembering, go\n"
        "class Slow(Remembering):\n"
        "    def progress(self, done, total):\n"
        "        super().progress(done, total); time.sleep(0.02); print(done, flush=True)\n"
        "go(Line(), Path(sys.argv[1]), Slow(), epochs=40)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for said in child.stdout:
        if int(said) > 100 and last_checkpoint(tmp_path) is not None:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = last_checkpoint(tmp_path)
    assert kept is not None
    watch, model = Remembering(), Line()
    started = time.monotonic()
    go(model, tmp_path, watch, epochs=40)
    assert watch.lines == [f"Going on from {kept.name}."]
    assert model.steps == 320 - int(kept.name.rsplit("-", 1)[1])
    assert started < time.monotonic()
    assert json.loads((tmp_path / "checkpoints" / "checkpoint-320" / "trainer_state.json").read_text())
