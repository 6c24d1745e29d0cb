"""A training run's row from the order to the outcome, with a stand-in for the training itself."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from services.console import schedules, training_orders, training_runs
from services.console.models import Dataset, DatasetRow, TrainingRun, TrainingSchedule
from services.console.storage import storage
from services.console.training_watch import LOG_LINES, RowWatch
from services.errors import Conflict, InvalidInput
from services.registry.store import ModelStore
from services.training.order import Order
from tests.console.training import make_dataset, stand_in

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: object) -> Path:
    """Runs keep their checkpoints in a folder of the test's own."""
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


def asked(dataset: Dataset | None = None, *, shuffled: bool = False, **parameters: object) -> TrainingRun:
    order = Order("sentiment", "text_head", parameters, shuffle_labels=shuffled)
    return training_runs.ask(order, [dataset or make_dataset()], "rosa")


def performed(run: TrainingRun) -> TrainingRun:
    """Claimed and done in this process."""
    claimed = training_runs.claim(run.pk, "here", timezone.now())
    assert claimed is not None
    training_runs.perform(run.pk, claimed.attempt, ModelStore(storage()), timezone.now, train=stand_in)
    run.refresh_from_db()
    return run


def test_a_run_ends_with_its_version_in_the_store_its_curve_and_its_verdict() -> None:
    run = performed(asked(steps=4))
    assert (run.state, run.passed, run.attempt) == ("done", True, 1)
    assert ModelStore(storage()).versions("sentiment") == [run.version]
    assert ModelStore(storage()).live("sentiment") is None
    assert list(run.points.values_list("curve", "step", "value")) == [
        ("loss", 1, 2.0), ("loss", 2, 1.0), ("loss", 3, pytest.approx(2 / 3)), ("loss", 4, 0.5),
    ]  # fmt: skip
    assert "30 examples" in run.log
    assert run.outcome["report"]["confusion"][0] == [16, 3, 1]
    assert run.ended_at is not None


def test_only_one_of_many_workers_gets_a_run() -> None:
    run = asked()
    got: list[TrainingRun | None] = []

    def take(n: int) -> None:
        from django.db import connection

        got.append(training_runs.claim(run.pk, f"w{n}", timezone.now()))
        connection.close()

    threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found is not None for found in got) == 1


def test_a_run_is_stopped_while_it_waits_and_while_it_works() -> None:
    waiting = asked()
    training_runs.stop(waiting, NOW)
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    with pytest.raises(Conflict):
        training_runs.stop(waiting, NOW)

    working = asked(make_dataset("other"), steps=600, step_s=0.02)
    stopper = threading.Timer(0.6, training_runs.stop, (working, timezone.now()))
    stopper.start()
    began = time.monotonic()
    performed(working)
    stopper.join()
    assert working.state == "cancelled"
    assert time.monotonic() - began < 8
    assert 0 < working.done < 600


def test_a_stopped_run_goes_on_from_its_checkpoint_when_it_is_resumed(data_dir: Path) -> None:
    run = asked(steps=5)
    folder = data_dir / "runs" / str(run.pk)
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text('{"done": 3}')
    TrainingRun.objects.filter(pk=run.pk).update(state="cancelled", cancel_requested_at=NOW, attempt=1)
    training_runs.resume(run)
    performed(run)
    assert (run.state, run.attempt) == ("done", 2)
    assert "going on from step 3" in run.log
    assert list(run.points.values_list("step", flat=True)) == [4, 5]
    with pytest.raises(Conflict):
        training_runs.resume(run)


def test_what_goes_wrong_is_told_with_its_code_and_a_bug_with_its_name(data_dir: Path) -> None:
    failed = performed(asked(fails=True))
    assert (failed.state, failed.error_code, failed.error_detail) == (
        "failed", "invalid_input", "One class only.",
    )  # fmt: skip
    buggy = performed(asked(make_dataset("b"), steps="many"))
    assert (buggy.state, buggy.error_code) == ("failed", "internal_error")
    assert "ValueError" in buggy.error_detail
    (data_dir / "runs").rename(data_dir / "gone")
    (data_dir / "runs").write_text("a file in the folder's place")
    full = performed(asked(make_dataset("c")))
    assert (full.state, full.error_code) == ("failed", "storage_failed")


def test_a_run_without_a_sign_of_life_is_queued_again_and_its_old_process_changes_nothing() -> None:
    run = asked()
    first = training_runs.claim(run.pk, "first", NOW)
    assert first is not None
    assert training_runs.find_lost(NOW + timedelta(seconds=14)) == []
    assert training_runs.find_lost(NOW + timedelta(seconds=16)) == [run.pk]
    assert training_runs.find_lost(NOW + timedelta(seconds=20)) == []  # nudged just now
    second = training_runs.claim(run.pk, "second", NOW + timedelta(seconds=21))
    assert second is not None
    assert second.attempt == 2
    stale = RowWatch(run, 1, timezone.now)
    stale.line("I am still here")
    stale.point("loss", 1, 0.5)
    assert stale.write() is False
    training_runs.give_up(run.pk, 1, NOW)
    run.refresh_from_db()
    assert (run.state, run.worker, run.log) == ("running", "second", "")
    assert run.points.count() == 0


def test_a_run_that_loses_every_worker_is_given_up_in_words() -> None:
    run = asked()
    now = NOW
    for _ in range(training_runs.MOST_ATTEMPTS):
        assert training_runs.claim(run.pk, "w", now) is not None
        now += timedelta(seconds=16)
        training_runs.find_lost(now)
    run.refresh_from_db()
    assert (run.state, run.error_code) == ("failed", "worker_lost")


def test_the_log_keeps_its_last_lines_and_a_value_that_is_no_number_is_told_there() -> None:
    run = asked()
    claimed = training_runs.claim(run.pk, "w", NOW)
    assert claimed is not None
    watch = RowWatch(claimed, 1, lambda: NOW)
    for n in range(LOG_LINES + 50):
        watch.line(f"line {n}")
    watch.point("loss", 7, float("nan"))
    assert watch.write()
    run.refresh_from_db()
    lines = run.log.splitlines()
    assert len(lines) == LOG_LINES
    assert lines[-1] == "12:00:00 loss at step 7: nan"
    assert run.points.count() == 0


def test_the_time_left_is_told_once_there_is_a_pace() -> None:
    run = asked()
    claimed = training_runs.claim(run.pk, "w", NOW)
    assert claimed is not None
    watch = RowWatch(claimed, 1, lambda: NOW)
    watch.stage("train")
    watch.progress(100, 200)  # a resumed stage begins here
    watch.write()
    run.refresh_from_db()
    assert (run.done, run.total, run.eta_s) == (100, 200, None)
    time.sleep(0.2)
    watch.progress(150, 200)
    watch.write()
    run.refresh_from_db()
    assert run.eta_s == pytest.approx(0.2, abs=0.15)


def test_a_run_is_deleted_with_its_folder_and_only_when_it_is_over(data_dir: Path) -> None:
    run = asked()
    with pytest.raises(Conflict):
        training_runs.forget(run)
    performed(run)
    folder = training_runs.folder_of(run.pk)
    assert folder.exists()
    training_runs.forget(run)
    assert not folder.exists()
    assert len(ModelStore(storage()).versions("sentiment")) == 1


GIVEN = {"task": "sentiment", "recipe": "text_head", "split": "stratified", "seed": "7"}


def test_an_order_is_made_of_a_form_and_survives_its_row() -> None:
    dataset = make_dataset()
    given = GIVEN | {"test_share": "0,2", "shuffle_labels": True}
    order = training_orders.plan(given, [dataset])
    assert (order.seed, order.test_share, order.shuffle_labels) == (7, 0.2, True)
    assert training_orders.from_json(training_orders.as_json(order)) == order
    assert training_orders.plan(training_orders.as_form(training_orders.as_json(order)), [dataset]) == order


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recipe": "magic"}, "recipe"),
        ({"task": " "}, "task"),
        ({"split": "any"}, "split"),
        ({"seed": "one"}, "seed"),
        ({"seed": "-1"}, "seed"),
        ({"test_share": "nan"}, "test_share"),
        ({"test_share": "0.5", "validation_share": "0.5"}, "test_share"),
        ({"class_margin": "7"}, "class_margin"),
    ],
)
def test_a_wrong_value_is_named_by_its_field(change: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        training_orders.plan(GIVEN | change, [make_dataset()])
    assert error.value.field == field


def test_every_parameter_of_every_recipe_is_checked_by_its_kind_and_limits() -> None:
    for recipe in training_orders.recipes().values():
        for parameter in recipe.parameters:
            dataset, _ = Dataset.objects.get_or_create(
                name=recipe.shapes[0], defaults={"task": "sentiment", "shape": recipe.shapes[0]}
            )
            if not dataset.rows.exists():
                DatasetRow.objects.bulk_create(
                    DatasetRow(dataset=dataset, position=n, text=f"t{n}", state="labelled") for n in range(20)
                )
            given = GIVEN | {"recipe": recipe.name}
            field = f"parameter-{parameter.name}"
            assert training_orders.plan(given | {field: str(parameter.default)}, [dataset]).parameters == {}
            if parameter.kind in {"int", "float", "choice"}:
                with pytest.raises(InvalidInput) as error:
                    training_orders.plan(given | {field: "umpteen"}, [dataset])
                assert error.value.field == field


def test_too_few_rows_and_rows_of_another_shape_are_told_before_anything_runs() -> None:
    few = make_dataset("few", rows=9)
    pairs = Dataset.objects.create(name="pairs", task="t", shape="pairs")
    for dataset in (few, pairs):
        with pytest.raises(InvalidInput) as error:
            training_orders.plan(GIVEN, [dataset])
        assert error.value.field == "datasets"
    with pytest.raises(InvalidInput):
        training_orders.plan(GIVEN, [])


def test_a_schedule_starts_a_run_after_its_days_and_not_while_one_goes_on() -> None:
    run = performed(asked())
    schedule = TrainingSchedule.objects.create(like=run, every_days=7)
    TrainingSchedule.objects.update(created_at=NOW)
    assert schedules.start_due(NOW + timedelta(days=6)) == []
    (started,) = schedules.start_due(NOW + timedelta(days=7))
    assert (started.task, started.state, started.order) == ("sentiment", "queued", run.order)
    assert schedules.start_due(NOW + timedelta(days=30)) == []  # the run of day 7 still waits
    training_runs.stop(started, NOW)
    assert len(schedules.start_due(NOW + timedelta(days=14))) == 1
    schedule.on = False
    schedule.save()
    TrainingRun.objects.update(state="done")
    assert schedules.start_due(NOW + timedelta(days=60)) == []


def test_a_schedule_starts_a_run_once_enough_labels_have_come_in() -> None:
    dataset = make_dataset()
    run = performed(asked(dataset))
    TrainingSchedule.objects.create(like=run, new_labels=5, labels_then=schedules.labels_of(run))
    assert schedules.start_due(timezone.now()) == []
    DatasetRow.objects.bulk_create(
        DatasetRow(dataset=dataset, position=100 + n, text=f"n{n}", label="neutral", state="labelled")
        for n in range(5)
    )
    (started,) = schedules.start_due(timezone.now())
    training_runs.stop(started, NOW)
    assert schedules.start_due(timezone.now()) == []
