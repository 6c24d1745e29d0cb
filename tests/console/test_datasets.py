"""Data sets: examples in rows and back, files read line by line, labels by hand, suggestions by the model."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from services.console import dataset_jobs, datasets, imports, labelling, suggestions, tasks
from services.console.models import Dataset, DatasetJob, DatasetRow
from services.console.storage import storage
from services.errors import Conflict, InvalidInput, ModelUnavailable
from services.inference.engine import set_engine
from services.inference.fake import FakeEngine
from services.training.dataset import Example, Span
from tests.console.training import LABELS, make_dataset

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def clock() -> datetime:
    return NOW


def take_in(
    dataset: Dataset, content: str | bytes, kind: str = "examples", name: str = "rows.csv"
) -> DatasetJob:
    """A file, read as a worker reads it."""
    data = content.encode() if isinstance(content, str) else content
    job = dataset_jobs.receive(dataset, kind, name, data, "rosa", storage())
    tasks.perform_job(job.pk)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        ("labelled", Example("Rain delays the match", "FC Aa", "negative", source="wire", language="en")),
        ("multi", Example("Oil and grain", labels=("grain", "oil"), id="7", time="2026-01-02")),
        ("multi", Example("Nothing of note")),
        ("multi", Example("A label with a bar", labels=("a|b", "c"))),
        ("spans", Example("Aare AG rises", spans=(Span(0, 7, "ORG"),))),
        ("pairs", Example("Where is it?", second="Here.", negative="Never.", group="g")),
        ("dialogues", Example("", messages=(("user", "Hi"), ("assistant", "Hello")))),
    ],
)
def test_an_example_comes_back_from_its_row_as_it_was(shape: str, example: Example) -> None:
    dataset = Dataset.objects.create(name=shape, task="t", shape=shape, labels=[])
    datasets.row_of(dataset, 1, example, "labelled").save()
    assert datasets.as_set(dataset).examples == (example,)


def test_a_file_is_read_with_every_wrong_line_named_and_nothing_lost() -> None:
    dataset = Dataset.objects.create(name="d", task="sentiment", labels=list(LABELS))
    good = "".join(f"Firm {n} does well,positive\n" for n in range(1200))
    job = take_in(dataset, f"text,label\n{good},positive\nFirm x,superb\nFirm 3 does well,positive\n")
    assert (job.state, job.added, job.problems_n) == ("done", 1200, 2)
    assert [p["line"] for p in job.problems] == [1202, 1203]
    assert job.done == 1203
    assert [row.position for row in dataset.rows.order_by("position")[:3]] == [1, 2, 3]
    told = list(csv.DictReader(io.StringIO("".join(imports.problems_csv(job, storage())))))
    assert [row["line"] for row in told] == ["1202", "1203"]
    assert "superb" in told[1]["problem"]


def test_an_import_whose_worker_died_goes_on_after_its_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset.objects.create(name="d", task="sentiment", labels=list(LABELS))
    content = "text,label\n" + "".join(f"Text number {n},neutral\n" for n in range(1500))
    job = dataset_jobs.receive(dataset, "examples", "a.csv", content.encode(), "rosa", storage())
    claimed = dataset_jobs.claim(job.pk, NOW)
    assert claimed is not None
    kept = imports._keep

    def dies_at_the_second(job: DatasetJob, block: object, now: datetime) -> None:
        if job.done:
            raise KeyboardInterrupt
        kept(job, block, now)  # type: ignore[arg-type]

    monkeypatch.setattr(imports, "_keep", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        imports.perform(claimed, storage(), clock)
    monkeypatch.setattr(imports, "_keep", kept)
    assert dataset.rows.count() == imports.BLOCK
    assert dataset_jobs.claim(job.pk, NOW + timedelta(seconds=5)) is None
    assert dataset_jobs.lost(NOW + timedelta(seconds=31)) == [job.pk]
    again = dataset_jobs.claim(job.pk, NOW + timedelta(seconds=31))
    assert again is not None
    imports.perform(again, storage(), clock)
    assert dataset.rows.count() == 1500
    with pytest.raises(Conflict):  # the first worker wakes up: it keeps nothing
        imports.perform(claimed, storage(), clock)
    assert dataset.rows.count() == 1500


def test_a_file_without_the_columns_fails_in_words_and_takes_nothing() -> None:
    dataset = Dataset.objects.create(name="d", task="sentiment", labels=list(LABELS))
    job = take_in(dataset, "headline,mood\nA,positive\n")
    assert (job.state, job.error_code) == ("failed", "invalid_input")
    assert "“text” is missing" in job.error_detail
    assert dataset.rows.count() == 0


@pytest.mark.parametrize(("name", "content"), [("a.exe", b"x"), ("a.csv", b"  \n")])
def test_a_file_of_another_kind_and_an_empty_one_are_refused_at_the_door(name: str, content: bytes) -> None:
    with pytest.raises(InvalidInput) as error:
        dataset_jobs.receive(make_dataset(), "examples", name, content, "rosa", storage())
    assert error.value.field == "file"


def test_labels_of_a_file_are_taken_over_by_a_data_set_made_without() -> None:
    dataset = Dataset.objects.create(name="d", task="intent", labels=[])
    take_in(dataset, "text,label\nwhere is it,track\nmoney back,refund\n")
    dataset.refresh_from_db()
    assert dataset.labels == ["track", "refund"]


def test_texts_alone_come_in_open_and_wait_for_their_labels() -> None:
    dataset = Dataset.objects.create(name="d", task="sentiment", labels=list(LABELS))
    job = take_in(dataset, "text\nFirst\nSecond\nFirst\n", kind="texts")
    assert job.added == 2
    assert set(dataset.rows.values_list("state", "label")) == {("open", "")}
    assert datasets.as_set(dataset).examples == ()


def test_what_is_exported_can_be_imported() -> None:
    dataset = make_dataset(rows=9)
    whole = "".join(datasets.as_csv(dataset.rows.order_by("position")))
    copy = Dataset.objects.create(name="copy", task="sentiment", labels=list(LABELS))
    assert take_in(copy, whole).added == 9
    assert datasets.as_set(copy).examples == datasets.as_set(dataset).examples
    lines = [json.loads(line) for line in datasets.as_jsonl(dataset.rows.order_by("position"))]
    assert lines[0]["label"] == "negative"
    assert len(lines) == 9


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_rows_with_several_labels_come_back_from_either_file(ending: str) -> None:
    dataset = Dataset.objects.create(name="m", task="topics", shape="multi", labels=["a|b", "grain", "oil"])
    for n, labels in enumerate([("grain", "oil"), (), ("a|b", "oil")], 1):
        datasets.row_of(dataset, n, Example(f"Text {n}", labels=labels), "labelled").save()
    write = datasets.as_csv if ending == "csv" else datasets.as_jsonl
    copy = Dataset.objects.create(name="copy", task="topics", shape="multi", labels=dataset.labels)
    job = take_in(copy, "".join(write(dataset.rows.order_by("position"))), name=f"rows.{ending}")
    assert job.problems == []
    assert datasets.as_set(copy).examples == datasets.as_set(dataset).examples


def test_the_balance_counts_rows_labels_and_lengths() -> None:
    dataset = make_dataset(rows=10)
    found = datasets.balance(dataset)
    assert found.rows == found.labelled == 10
    assert dict(found.labels) == {"negative": 4, "neutral": 3, "positive": 3}
    assert sum(n for _, n in found.lengths) == 10


def opened(dataset: Dataset, *texts: str) -> list[DatasetRow]:
    first = dataset.rows.count()
    rows = [datasets.row_of(dataset, first + 1 + i, Example(text), "open") for i, text in enumerate(texts)]
    return DatasetRow.objects.bulk_create(rows)


def test_a_label_a_skip_and_an_undo_are_counted_and_a_second_person_does_not_overwrite() -> None:
    dataset = make_dataset(rows=0)
    one, two, _three = opened(dataset, "one", "two", "three")
    labelling.label(one, "positive", "rosa", NOW)
    labelling.skip(two, "rosa", NOW + timedelta(seconds=1))
    with pytest.raises(Conflict):
        labelling.label(one, "negative", "ben", NOW)
    with pytest.raises(InvalidInput):
        labelling.label(two, "superb", "rosa", NOW)
    found = labelling.progress(dataset, NOW)
    assert (found.today, found.labelled, found.left, found.skipped) == (1, 1, 1, 1)
    last = labelling.last_of(dataset, "rosa")
    assert last == two
    assert last is not None
    labelling.take_back(last, "rosa")
    with pytest.raises(Conflict):
        labelling.take_back(one, "ben")
    assert labelling.progress(dataset, NOW).left == 2
    assert labelling.progress(dataset, NOW + timedelta(days=2)).today == 0


def test_the_text_the_model_is_least_sure_of_comes_first() -> None:
    dataset = make_dataset(rows=0)
    sure, unsure, unknown = opened(dataset, "sure", "unsure", "unknown")
    DatasetRow.objects.filter(pk=sure.pk).update(uncertainty=0.1)
    DatasetRow.objects.filter(pk=unsure.pk).update(uncertainty=0.9)
    assert labelling.next_row(dataset) == unsure
    assert labelling.next_row(dataset, after=unsure.pk) == sure
    assert labelling.next_row(dataset, search="KNOWN") == unknown
    assert labelling.next_row(dataset, search="nowhere") is None


def test_suggestions_come_from_the_live_model_with_their_margin(engine: FakeEngine) -> None:
    dataset = make_dataset(rows=0)
    opened(dataset, *(f"text {n}" for n in range(suggestions.CHUNK + 5)))
    job = dataset_jobs.ask_for_suggestions(dataset, "rosa")
    with pytest.raises(Conflict):
        dataset_jobs.ask_for_suggestions(dataset, "ben")
    tasks.perform_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.done, job.version) == ("done", suggestions.CHUNK + 5, engine.version)
    row = dataset.rows.first()
    assert row is not None
    scores = engine.classify("sentiment", [(row.text, None)])
    assert row.suggestion == scores.labels[int(scores.probs[0].argmax())]
    assert row.uncertainty == pytest.approx(1 - (4 - 1) / 6, abs=1e-3)


def test_a_model_that_is_not_there_is_told_and_a_later_refresh_works() -> None:
    dataset = make_dataset(rows=0)
    opened(dataset, "text")
    set_engine(FakeEngine(fail_with=ModelUnavailable("No model for the task.")))
    job = dataset_jobs.ask_for_suggestions(dataset, "rosa")
    tasks.perform_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_detail) == ("failed", "No model for the task.")
    set_engine(FakeEngine())
    tasks.perform_job(dataset_jobs.ask_for_suggestions(dataset, "rosa").pk)
    assert not dataset.rows.filter(suggestion="").exists()


def test_a_page_of_rows_is_found_by_an_index() -> None:
    rows = make_dataset(rows=3).rows.order_by("position")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {rows.query}")
        assert "USING INDEX console_row" in " ".join(str(line) for line in cursor.fetchall())
