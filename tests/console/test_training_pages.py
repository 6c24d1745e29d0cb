"""Models → Data sets, Runs, Versions as an operator meets them: pages, forms, files, rights."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from services.console import tasks, training_runs, training_words, versions, why
from services.console.datasets import row_of
from services.console.models import AuditEntry, Dataset, DatasetRow, TrainingRun, TrainingSchedule
from services.console.storage import storage
from services.errors import Conflict, InvalidInput
from services.registry.store import ModelStore
from services.training import drift, verdict
from services.training.dataset import Example
from services.training.explaining import Explanation, Token
from services.training.order import Order
from services.training.recipes import RECIPES
from tests.console.training import REPORT, make_dataset

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would have been sent to a worker."""
    sent: list[tuple[str, int]] = []
    for task in (tasks.perform_run, tasks.perform_job):
        monkeypatch.setattr(task, "delay", lambda row, name=task.name: sent.append((name, row)))
    return sent


@pytest.fixture
def rosa() -> Client:
    """Somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    return client


@pytest.fixture
def guest() -> Client:
    """Somebody who may sign in, and no more."""
    client = Client()
    client.force_login(User.objects.create_user("guest", is_staff=True))
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:console_{name}", args=args)


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def finished(*, passed: bool = True, task: str = "sentiment", version: str = "v2") -> TrainingRun:
    """A run that is done, its version in the store."""
    add_version(task, version)
    dataset = Dataset.objects.first() or make_dataset()
    run = training_runs.ask(Order(task, "text_head", {"strength": 0.5}), [dataset], "rosa")
    run.state, run.version, run.passed, run.started_at = "done", version, passed, timezone.now()
    run.reasons = ["The gain is 0.04 (0.01 to 0.07)." if passed else "It is no better than chance."]
    run.outcome = {"metrics": REPORT["metrics"], "report": {**REPORT, "live": {"macro_f1": 0.77}}}
    run.save()
    run.points.create(curve="loss", step=1, value=0.7)
    return run


def add_version(task: str, version: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "weights.safetensors").write_bytes(version.encode())
        (Path(made) / "README.md").write_text(f"# {version}\n")
        ModelStore(storage()).add(task, version, Path(made))


def store() -> ModelStore:
    return ModelStore(storage())


def live(task: str = "sentiment") -> str:
    found = store().live(task)
    return found.version if found else ""


def test_every_page_says_what_to_do_first_when_there_is_nothing(rosa: Client) -> None:
    assert "No versions yet" in text_of(rosa, url("modelversion_changelist"))
    assert "there is none yet" in text_of(rosa, url("trainingrun_active"))
    for name in ("dataset_changelist", "trainingrun_changelist", "auditentry_changelist", "trainingrun_add"):
        text_of(rosa, url(name))
    dataset = make_dataset(rows=0)
    assert "No rows yet" in text_of(rosa, url("dataset_change", dataset.pk))
    assert "Nothing waits for a label" in text_of(rosa, url("dataset_label", dataset.pk))
    assert "No runs yet" in text_of(rosa, url("trainingrun_active"))


def test_a_data_set_is_made_with_its_labels_and_a_label_in_use_stays(rosa: Client) -> None:
    given = {
        "name": "News",
        "task": "sentiment",
        "shape": "labelled",
        "labels": "bad\ngood\n\nbad",
        "languages": "en",
    }
    rosa.post(url("dataset_add"), given)
    dataset = Dataset.objects.get()
    assert (dataset.labels, dataset.languages) == (["bad", "good"], ["en"])
    row_of(dataset, 1, Example("x", label="bad"), "labelled").save()
    answer = rosa.post(url("dataset_settings", dataset.pk), given | {"labels": "good"})
    assert "Rows have the label bad" in answer.content.decode()
    dataset.refresh_from_db()
    assert dataset.labels == ["bad", "good"]


def test_a_file_is_uploaded_read_and_its_problems_can_be_had(
    rosa: Client, nudges: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    dataset = make_dataset(rows=0)
    file = SimpleUploadedFile("a.csv", b"text,label\nGood news,positive\nOdd news,superb\n")
    with django_capture_on_commit_callbacks(execute=True):
        rosa.post(url("dataset_upload", dataset.pk), {"file": file, "kind": "examples"})
    ((_task, job_id),) = nudges
    tasks.perform_job(job_id)
    page = text_of(rosa, url("dataset_change", dataset.pk))
    assert "1 row added, 1 line cannot be used" in page
    assert "superb" in page
    problems = b"".join(rosa.get(url("dataset_problems", job_id))).decode()  # type: ignore[arg-type]
    assert problems.splitlines()[0] == "line,problem"
    assert problems.splitlines()[1].startswith("3,")
    exported = b"".join(rosa.get(url("dataset_export", dataset.pk, "csv"))).decode()  # type: ignore[arg-type]
    assert "Good news" in exported


def test_a_file_that_is_too_large_or_missing_is_refused_in_words(rosa: Client) -> None:
    dataset = make_dataset(rows=0)
    for given, words in (
        ({}, "Choose a file."),
        ({"file": SimpleUploadedFile("a.csv", b"text\n" + b"x" * (21 * 2**20))}, "larger than 20 MiB"),
        ({"file": SimpleUploadedFile("a.docx", b"x")}, ".csv"),
    ):
        answer = rosa.post(url("dataset_upload", dataset.pk), given, follow=True)
        assert words in answer.content.decode()
    assert dataset.jobs.count() == 0


def test_a_person_labels_skips_and_takes_back_and_the_page_goes_on(rosa: Client) -> None:
    dataset = make_dataset(rows=0)
    for n, words in enumerate(["first", "second", "third"], 1):
        row_of(dataset, n, Example(words), "open").save()
    page = url("dataset_label", dataset.pk)
    first, second, _third = dataset.rows.order_by("position")
    assert ">first<" in text_of(rosa, page)
    answer = rosa.post(page, {"row": first.pk, "label": "positive"}, headers={"HX-Request": "true"})
    assert "Labelled: positive." in answer.content.decode()
    assert ">second<" in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert ">third<" in rosa.post(page, {"row": second.pk, "skip": "1"}).content.decode()
    assert ">second<" in rosa.post(page, {"undo": "1"}).content.decode()
    assert "no label of that name" in rosa.post(page, {"row": second.pk, "label": "odd"}).content.decode()
    first.refresh_from_db()
    assert (first.label, first.labelled_by, first.state) == ("positive", "rosa", "labelled")
    assert ">third<" in text_of(rosa, page + "?q=THIRD")


def test_a_row_is_searched_filtered_corrected_and_opened_again(rosa: Client) -> None:
    dataset = make_dataset(rows=12)
    listed = text_of(rosa, url("datasetrow_changelist") + f"?dataset__id__exact={dataset.pk}&q=Firm+11")
    assert "Firm 11" in listed
    assert "Firm 10" not in listed
    row = dataset.rows.order_by("position").first()
    assert row is not None
    given = {"text": row.text, "label": "odd", "state": "labelled", "data": "{}", "entity": ""}
    answer = rosa.post(url("datasetrow_change", row.pk), given)
    assert "One of: negative, neutral, positive." in answer.content.decode()
    rosa.post(url("datasetrow_change", row.pk), given | {"label": "positive"})
    row.refresh_from_db()
    assert (row.label, row.labelled_by) == ("positive", "rosa")
    rosa.post(url("datasetrow_changelist"), {"action": "reopen", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.state, row.label) == ("open", "")


def test_a_run_is_started_with_its_settings_and_a_wrong_one_is_told_at_its_field(
    rosa: Client, nudges: list[tuple[str, int]], django_capture_on_commit_callbacks: Any
) -> None:
    dataset = make_dataset()
    given = {
        "task": "sentiment",
        "recipe": "text_head",
        "datasets": [dataset.pk],
        "seed": "5",
        "split": "stratified",
    }
    answer = rosa.post(url("trainingrun_add"), given | {"parameter-strength": "-1"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="wrong-parameter-strength"' in page
    assert 'value="-1"' in page
    assert 'value="5"' in page
    answer = rosa.post(url("trainingrun_add"), given | {"trials": "201"})
    assert 'id="wrong-trials"' in answer.content.decode()
    assert TrainingRun.objects.count() == 0
    with django_capture_on_commit_callbacks(execute=True):
        answer = rosa.post(
            url("trainingrun_add"),
            given | {"parameter-strength": "0.5", "shuffle_labels": "on", "trials": "7"},
        )
    run = TrainingRun.objects.get()
    assert answer["Location"] == url("trainingrun_change", run.pk)
    assert (run.order["parameters"], run.order["seed"], run.order["shuffle_labels"]) == (
        {"strength": 0.5},
        5,
        True,
    )
    assert run.order["trials"] == 7
    assert nudges == [("services.console.tasks.perform_run", run.pk)]
    again = text_of(rosa, url("trainingrun_add") + f"?like={run.pk}")
    assert 'value="0.5"' in again
    assert "strength" in text_of(rosa, url("trainingrun_parameters") + "?recipe=text_head")


def test_a_run_that_goes_on_is_told_as_json_from_the_point_the_page_has(rosa: Client) -> None:
    run = training_runs.ask(Order("sentiment", "text_head"), [make_dataset()], "rosa")
    training_runs.claim(run.pk, "w", timezone.now())
    first = run.points.create(curve="loss", step=1, value=0.9)
    run.points.create(curve="loss", step=2, value=0.8)
    TrainingRun.objects.filter(pk=run.pk).update(stage="train", done=2, total=9, eta_s=130.0, log="begun")
    page = text_of(rosa, url("trainingrun_change", run.pk))
    assert "Cancel the run" in page
    told = rosa.get(url("trainingrun_live", run.pk), {"after": first.pk}).json()
    assert [point[1:] for point in told["points"]] == [["loss", 2, 0.8]]
    assert (told["stage"], told["eta"], told["over"]) == ("training", "about 2 minutes left", False)
    rosa.post(url("trainingrun_act", run.pk, "stop"))
    assert rosa.get(url("trainingrun_live", run.pk)).json()["stage"] == "is being stopped"
    assert "2 / 9" in text_of(rosa, url("trainingrun_active"))


def test_a_finished_run_shows_its_report_and_gives_it_as_files(rosa: Client) -> None:
    run = finished()
    page = text_of(rosa, url("trainingrun_change", run.pk))
    for words in (
        "The gate lets it through",
        "The gain is 0.04",
        "0.770",
        "+0.040",
        "tr-heat-8",
        "language: en",
    ):
        assert words in page, words
    lines = b"".join(rosa.get(url("trainingrun_report", run.pk, "csv"))).decode()  # type: ignore[arg-type]
    assert "confusion,negative,neutral,3" in lines
    assert "metrics,baseline,macro_f1,0.7" in lines
    told = json.loads(rosa.get(url("trainingrun_report", run.pk, "json")).content)
    assert told["report"]["confusion"] == REPORT["confusion"]
    assert told["passed"] is True


def test_a_failed_run_says_why_and_can_be_resumed(rosa: Client) -> None:
    run = training_runs.ask(Order("sentiment", "text_head"), [make_dataset()], "rosa")
    TrainingRun.objects.filter(pk=run.pk).update(
        state="failed", error_code="x", error_detail="One class only."
    )
    assert "One class only." in text_of(rosa, url("trainingrun_change", run.pk))
    answer = rosa.post(url("trainingrun_act", run.pk, "resume"), follow=True)
    assert "goes on from its last checkpoint" in answer.content.decode()
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_version_is_promoted_from_its_run_and_rolled_back_and_the_audit_log_says_who_and_why(
    rosa: Client,
) -> None:
    add_version("sentiment", "v1")
    store().promote("sentiment", "v1", NOW)
    run = finished()
    rosa.post(url("trainingrun_act", run.pk, "promote"), {"expected": "v1", "reason": "better on banks"})
    assert live() == "v2"
    page = text_of(rosa, url("modelversion_changelist") + "?task=sentiment")
    assert "better on banks" in page
    assert "<code>v2</code> stops serving and <code>v1</code> serves again" in page
    given = {"task": "sentiment", "expected": "v2", "reason": "complaints"}
    rosa.post(url("modelversion_act", "roll_back"), given)
    assert live() == "v1"
    told = list(AuditEntry.objects.values_list("who", "act", "before", "after", "reason"))
    assert told == [
        ("rosa", "rolled_back", "v2", "v1", "complaints"),
        ("rosa", "promoted", "v1", "v2", "better on banks"),
    ]
    assert "complaints" in text_of(rosa, url("auditentry_changelist"))


def test_the_first_promotion_is_rolled_back_to_what_came_with_the_product_or_to_nothing(rosa: Client) -> None:
    for task, offered, then in (
        ("sentiment", "came with the product serves again", "What came with the product serves sentiment"),
        ("mood", "nothing else serves", "Nothing serves mood any more"),
    ):
        add_version(task, "v1")
        store().promote(task, "v1", NOW)
        page = text_of(rosa, f"{url('modelversion_changelist')}?task={task}")
        assert offered in page
        given = {"task": task, "expected": "v1", "reason": ""}
        answer = rosa.post(url("modelversion_act", "roll_back"), given, follow=True)
        assert then in answer.content.decode()
        assert live(task) == ""
        assert AuditEntry.objects.filter(task=task, before="v1", after="").exists()


def test_a_refused_version_is_promoted_only_with_a_reason_and_that_is_marked(rosa: Client) -> None:
    run = finished(passed=False)
    page = text_of(rosa, url("trainingrun_change", run.pk))
    assert "Promote anyway" in page
    assert "It is no better than chance." in page
    answer = rosa.post(
        url("trainingrun_act", run.pk, "promote"), {"expected": "", "reason": "  "}, follow=True
    )
    assert "Say why" in answer.content.decode()
    assert live() == ""
    rosa.post(url("trainingrun_act", run.pk, "promote"), {"expected": "", "reason": "a demonstration"})
    assert live() == "v2"
    assert AuditEntry.objects.get().act == "overridden"
    assert "promoted against the gate" in text_of(rosa, url("modelversion_changelist"))


def test_a_promotion_of_what_somebody_saw_before_a_colleague_changed_it_does_nothing() -> None:
    for version in ("v1", "v3"):
        add_version("sentiment", version)
    run = finished()
    store().promote("sentiment", "v3", NOW)
    with pytest.raises(Conflict):
        versions.promote(store(), "sentiment", run.version, NOW, expected="v1", who="rosa", reason="")
    with pytest.raises(InvalidInput):
        versions.promote(store(), "sentiment", "v1", NOW, expected="v3", who="rosa", reason="")
    assert live() == "v3"
    assert AuditEntry.objects.count() == 0


def test_two_versions_are_compared_and_a_card_is_read(rosa: Client) -> None:
    for version in ("v1", "v2"):
        add_version("sentiment", version)
    address = url("modelversion_changelist") + "?task=sentiment"
    assert "What differs" in text_of(rosa, address + "&version=v1&version=v2")
    assert "Tick exactly two." in text_of(rosa, address + "&version=v1")
    card = rosa.get(url("modelversion_card"), {"task": "sentiment", "version": "v1"})
    assert card.content.decode() == "# v1\n"
    assert card["Content-Type"].startswith("text/plain")


def test_the_live_model_can_be_asked_and_its_version_is_said(rosa: Client, engine: Any) -> None:
    answer = rosa.post(url("modelversion_try"), {"task": "sentiment", "text": "Profit rises", "company": ""})
    page = answer.content.decode()
    scores = engine.classify("sentiment", [("Profit rises", None)])
    assert f">{engine.version}<" in page
    assert page.index(scores.labels[int(scores.probs[0].argmax())]) < page.index(engine.version)
    assert "at most 2000 characters" in rosa.post(url("modelversion_try"), {"task": "s"}).content.decode()


def test_the_words_that_made_an_answer_are_shown(rosa: Client) -> None:
    given = {"task": "sentiment", "text": "Profit <b>rises</b> sharply", "company": ""}
    page = rosa.post(url("modelversion_why"), given).content.decode()
    assert "data-why" in page
    assert "&lt;b&gt;rises&lt;/b&gt;" in page
    assert "at most 2000 characters" in rosa.post(url("modelversion_why"), {"task": "s"}).content.decode()
    long = {"task": "sentiment", "text": "up " * 500}
    assert "400 words" in rosa.post(url("modelversion_why"), long).content.decode()


def test_a_word_has_the_colour_of_its_side_and_the_depth_of_its_weight() -> None:
    found = Explanation((Token(0, 6, 0.4), Token(7, 12, -0.09), Token(14, 16, 0.001)), 0.0)
    words = why.shaded("Profit rises  up.", found)
    assert [(one.word, one.gap, one.speaks, one.shade) for one in words] == [
        ("Profit", " ", "for", 5),
        ("rises", "  ", "against", 1),
        ("up", ".", "", 0),
    ]


def test_while_a_process_exchanges_its_model_the_page_asks_again_and_gives_up_in_the_end(
    rosa: Client,
) -> None:
    add_version("sentiment", "v1")
    store().promote("sentiment", "v1", NOW)
    given = {"task": "sentiment", "text": "Profit rises"}
    assert "exchanging its model" in rosa.post(url("modelversion_try"), given).content.decode()
    given["asked"] = "8"
    assert "exchanging its model" not in rosa.post(url("modelversion_try"), given).content.decode()


def test_who_may_only_look_changes_nothing(guest: Client) -> None:
    run, dataset = finished(), Dataset.objects.get()
    row_of(dataset, 99, Example("waits"), "open").save()
    for name, args in (
        ("dataset_change", [dataset.pk]),
        ("dataset_label", [dataset.pk]),
        ("trainingrun_change", [run.pk]),
        ("modelversion_changelist", []),
    ):
        page = text_of(guest, url(name, *args))
        assert "Promote</button>" not in page
    row = dataset.rows.get(position=99)
    guest.post(url("dataset_label", dataset.pk), {"row": row.pk, "label": "positive"})
    guest.post(
        url("dataset_upload", dataset.pk), {"file": SimpleUploadedFile("a.csv", b"text,label\nx,neutral\n")}
    )
    guest.post(url("trainingrun_act", run.pk, "promote"), {"expected": "", "reason": "because"})
    guest.post(url("modelversion_act", "promote"), {"task": "sentiment", "version": "v2", "expected": ""})
    assert guest.post(url("trainingrun_add"), {}).status_code in {302, 403}
    assert live() == ""
    assert DatasetRow.objects.get(pk=row.pk).state == "open"
    assert dataset.jobs.count() == 0
    assert TrainingRun.objects.count() == 1


def test_nobody_sees_a_page_without_signing_in() -> None:
    run = finished()
    for name, args in (
        ("trainingrun_change", [run.pk]),
        ("trainingrun_live", [run.pk]),
        ("trainingrun_report", [run.pk, "json"]),
        ("dataset_export", [Dataset.objects.get().pk, "csv"]),
        ("modelversion_changelist", []),
    ):
        assert Client().get(url(name, *args)).status_code == 302, name


def test_a_schedule_is_made_from_a_run_and_needs_a_time(rosa: Client) -> None:
    run = finished()
    text_of(rosa, url("trainingschedule_add") + f"?like={run.pk}")
    rosa.post(url("trainingschedule_add"), {"like": run.pk, "every_days": "", "new_labels": "", "on": "on"})
    assert TrainingSchedule.objects.count() == 0
    rosa.post(url("trainingschedule_add"), {"like": run.pk, "every_days": "7", "new_labels": "", "on": "on"})
    assert TrainingSchedule.objects.get().labels_then == 30
    text_of(rosa, url("trainingschedule_changelist"))


def test_every_word_of_the_recipes_is_marked_for_translation() -> None:
    recipes = RECIPES.values()
    said = {words for recipe in recipes for words in (recipe.title, recipe.description)}
    explained = {parameter.help for recipe in recipes for parameter in recipe.parameters}
    assert set(training_words.RECIPES) == said
    assert set(training_words.PARAMETERS) == explained


def test_every_sentence_of_the_gate_and_of_drift_is_marked_for_translation() -> None:
    names = {*verdict.METRIC_NAMES.values(), *verdict.OPPONENTS.values()}
    assert set(training_words.GATE) == names | set(verdict.SENTENCES.values())
    assert set(training_words.DRIFT) == set(drift.SENTENCES.values())


def test_the_gate_gives_its_reasons_in_the_readers_language(rosa: Client) -> None:
    run = finished(passed=False)
    run.outcome["report"]["gate"] = {"reasons": [{"code": "too_few_rows", "values": {"n": 7, "least": 20}}]}
    run.save()
    assert "There are 7 rows to compare on" in text_of(rosa, url("trainingrun_change", run.pk))
    rosa.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    page = text_of(rosa, url("trainingrun_change", run.pk))
    assert "There are 7 rows to compare on" not in page
    assert "20" in page
