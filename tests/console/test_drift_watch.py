"""Drift between the rows a live version learned from and those that came in since."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from services.console import drift_watch
from services.console.datasets import row_of
from services.console.models import Dataset, TrainingRun
from services.console.storage import storage
from services.inference.fake import FakeEngine
from services.registry.store import ModelStore
from services.training.dataset import Example
from services.training.order import Order
from tests.console.training import make_dataset, stand_in

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live_run(tmp_path: object, settings: object) -> TrainingRun:
    """A run on 120 rows, whose version is live."""
    from django.utils import timezone

    from services.console import training_runs

    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    run = training_runs.ask(Order("sentiment", "text_head"), [make_dataset(rows=120)], "rosa")
    training_runs.claim(run.pk, "w", NOW)
    store = ModelStore(storage())
    training_runs.perform(run.pk, 1, store, timezone.now, train=stand_in)
    run.refresh_from_db()
    store.promote("sentiment", run.version, NOW)
    return run


def come_in(dataset: Dataset, texts: list[str]) -> None:
    for n, text in enumerate(texts):
        row_of(dataset, 1000 + n, Example(text), "open").save()


def banner() -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    return client.get(reverse("admin:console_trainingrun_active")).content.decode()


def test_rows_of_another_kind_propose_a_retraining_on_the_page_of_runs(
    live_run: TrainingRun, engine: FakeEngine
) -> None:
    come_in(live_run.datasets.get(), [f"the kettle boils {n} litres of warm water" for n in range(80)])
    assert drift_watch.look(ModelStore(storage()), engine, NOW) == [live_run]
    page = banner()
    assert 'data-drift="sentiment"' in page
    assert "The texts lie elsewhere" in page
    assert f"?like={live_run.pk}" in page


def test_rows_of_the_same_kind_and_too_few_of_another_propose_nothing(
    live_run: TrainingRun, engine: FakeEngine
) -> None:
    dataset = live_run.datasets.get()
    come_in(dataset, ["the kettle boils warm water"] * 20)
    assert drift_watch.look(ModelStore(storage()), engine, NOW) == []
    dataset.rows.filter(state="open").delete()
    words = ("losses widen", "shares were unchanged", "profit rises")
    come_in(dataset, [f"Firm {n} says {words[n % 3]} in quarter {n}" for n in range(120)])
    assert drift_watch.look(ModelStore(storage()), engine, NOW) == []
    assert "data-drift" not in banner()
