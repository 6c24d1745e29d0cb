"""Models → Serving: what processes tell of their engines, and what the page makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from services.console import engine_reports, serving
from services.console.engine import configure
from services.console.engine_reports import Publisher, publish, role_of
from services.console.models import EngineProcess
from services.errors import Unavailable
from services.inference.engine import get_engine, set_engine
from services.inference.fake import FakeEngine
from services.inference.meters import Meter, Report
from services.inference.values import ModelInfo

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
ENCODER = ModelInfo("embed", "encoder", "small", "3", "openvino", "cpu", loaded=True)
PAGE = "admin:console_engineprocess_changelist"
NUMBERS = "admin:console_engineprocess_numbers"


class Metered(FakeEngine):
    """An engine that counts by a real Meter on a clock of the test's own."""

    def __init__(self, started_at: datetime = NOW - timedelta(hours=1), *, loaded: bool = True) -> None:
        super().__init__()
        self.now = started_at
        self.meter = Meter(lambda: self.now.timestamp())
        self.served: tuple[ModelInfo, ...] = (ENCODER,) if loaded else ()
        self.waiting = 0
        self.dead = False
        self.trouble: Exception | None = None

    def ask(self, at: datetime, texts: int = 10, took_s: float = 0.01, error_code: str = "") -> None:
        """One call that ended then."""
        self.now = at
        self.meter.count("embed", texts, took_s, error_code)

    def report(self) -> Report:
        if self.trouble is not None:
            raise self.trouble
        return self.meter.report(queue=self.waiting, lanes=1, alive=not self.dead)

    def models(self) -> tuple[ModelInfo, ...]:
        return self.served

    @property
    def alive(self) -> bool:
        return not self.dead


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def told(engine: Metered, name: str = "one", at: datetime = NOW, role: str = "worker") -> EngineProcess:
    """Publish the row of a process on a host of that name."""
    engine.now = at
    publish(engine, role, at, host=name, pid=7)
    return EngineProcess.objects.get(host=name)


def at_slot(page: serving.Page, seconds_ago: float) -> int:
    """The index of the slot that began then."""
    return page.line.at.index(round(ago(seconds_ago).timestamp() * 1000))


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_user("rosa", is_staff=True))
    return client


# What runs here


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("/venv/bin/uvicorn config.asgi:application", "web"),
        ("/site-packages/uvicorn/__main__.py config.asgi:application --port 80", "web"),
        ("manage.py runserver", "web"),
        ("/site-packages/celery/__main__.py -A config --quiet worker --pool threads", "worker"),
        ("/venv/bin/celery -A config beat", "command"),
        ("manage.py load_sample", "command"),
        ("/venv/bin/pytest tests/console", "command"),
        ("", "command"),
    ],
)
def test_only_web_servers_and_workers_serve(command: str, role: str) -> None:
    assert role_of(command.split()) == role


def test_a_command_makes_its_engine_and_publishes_nothing() -> None:
    configure()
    set_engine(None)
    assert get_engine().alive
    assert "engine-reports" not in {thread.name for thread in threading.enumerate()}


# Publishing


def test_a_process_keeps_one_row_with_what_its_engine_said_last(db: None) -> None:
    engine = Metered()
    told(engine, at=ago(20))
    engine.ask(ago(12), texts=4)
    row = told(engine, at=ago(0))
    assert EngineProcess.objects.count() == 1
    assert row.name == "worker on one (7)"
    assert row.seen_at == NOW
    assert row.started_at == NOW - timedelta(hours=1)
    assert row.report["texts"] == {"embed": 4}
    assert row.models[0]["name"] == "small"
    assert [moment["texts"] for moment in row.report["moments"]] == [4]


def test_a_row_of_its_own_names_this_machine_and_process(db: None) -> None:
    import os
    import socket

    publish(Metered(), "web", NOW)
    row = EngineProcess.objects.get()
    assert (row.role, row.host, row.pid) == ("web", socket.gethostname(), os.getpid())


def test_a_busy_engine_is_published_at_each_turn_and_an_idle_one_now_and_then(db: None) -> None:
    engine = Metered()
    publisher = Publisher(engine, "worker")

    def turn(seconds: float) -> bool:
        engine.now = NOW + timedelta(seconds=seconds)
        return publisher.turn(engine.now)

    assert turn(0)
    engine.ask(NOW + timedelta(seconds=3))
    assert turn(5)
    assert EngineProcess.objects.get().report["moments"][-1]["texts"] == 10  # the slot was over by then
    assert not turn(10)
    assert not turn(30)
    assert turn(35)
    assert EngineProcess.objects.get().seen_at == NOW + timedelta(seconds=35)


def test_what_was_under_way_at_one_turn_is_told_at_the_next(db: None) -> None:
    engine = Metered()
    publisher = Publisher(engine, "worker")
    engine.ask(NOW + timedelta(seconds=1))
    engine.now = NOW + timedelta(seconds=2)
    assert publisher.turn(engine.now)
    assert EngineProcess.objects.get().report["moments"] == []
    engine.now = NOW + timedelta(seconds=7)
    assert publisher.turn(engine.now)
    assert len(EngineProcess.objects.get().report["moments"]) == 1


def test_an_engine_that_cannot_report_is_in_trouble_and_keeps_its_last_report(db: None) -> None:
    engine = Metered()
    engine.ask(ago(30))
    told(engine, at=ago(20))
    engine.trouble = Unavailable("gone")
    row = told(engine)
    assert row.seen_at == NOW
    assert row.report["calls"] == {"embed": 1}
    assert serving.state(row, NOW) == "trouble"
    assert serving.state_words(row, NOW) == f"does not answer: {Unavailable.code}"
    line = serving.look(NOW).line
    assert line.calls_per_s[-1] is None  # it has told nothing since


def test_an_engine_in_trouble_from_the_start_has_a_row(db: None) -> None:
    engine = Metered()
    engine.trouble = Unavailable("gone")
    told(engine)
    assert serving.look(NOW).processes[0].state == "trouble"


def test_rows_unseen_for_a_day_are_deleted_when_a_process_publishes(db: None) -> None:
    told(Metered(), "old", at=NOW - timedelta(days=1, seconds=1))
    told(Metered(), "yesterday", at=NOW - timedelta(hours=23))
    assert Publisher(Metered(NOW), "web").turn(NOW)
    assert set(EngineProcess.objects.values_list("host", flat=True)) >= {"yesterday"}
    assert not EngineProcess.objects.filter(host="old").exists()


def test_a_write_that_fails_costs_one_turn(transactional_db: None) -> None:
    publisher = Publisher(Metered(NOW), "worker")

    def broken(*_: Any) -> Any:
        raise OperationalError("database is locked")

    with connection.execute_wrapper(broken):
        assert not publisher.turn(NOW)
    assert publisher.turn(NOW + timedelta(seconds=5))
    assert EngineProcess.objects.count() == 1


@pytest.fixture
def without_the_table(transactional_db: None) -> Iterator[list[str]]:
    """A database that refuses every write to the table until the test says otherwise."""
    table = EngineProcess._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    back = [f"ALTER TABLE {table}_away RENAME TO {table}"]
    yield back
    with connection.cursor() as cursor:
        for statement in back:
            cursor.execute(statement)


def test_the_publisher_outlives_a_database_that_refuses(without_the_table: list[str]) -> None:
    asked: list[float] = []

    class Watched(Metered):
        def report(self) -> Report:
            asked.append(time.monotonic())
            return super().report()

    publisher = engine_reports.start_publishing(Watched(), "worker", every_s=0.02)
    try:
        until(lambda: len(asked) >= 3)
        with connection.cursor() as cursor:
            cursor.execute(without_the_table.pop())
        until(EngineProcess.objects.exists)
    finally:
        publisher.stop()


def until(happens: Any, timeout_s: float = 20.0) -> None:
    ends = time.monotonic() + timeout_s
    while not happens():
        assert time.monotonic() < ends
        time.sleep(0.02)


# Putting processes together


def test_what_processes_did_in_a_slot_adds_up_and_the_worst_percentile_is_shown(db: None) -> None:
    fast, slow = Metered(), Metered(NOW - timedelta(hours=2))
    for _ in range(3):
        fast.ask(ago(60), texts=10, took_s=0.01)
    slow.ask(ago(59), texts=20, took_s=1.0, error_code="overloaded")
    fast.meter.queue(6)
    told(fast, "fast")
    told(slow, "slow", role="web")
    page = serving.look(NOW)
    i = at_slot(page, 60)
    assert page.engines == 2
    assert page.line.texts_per_s[i] == (30 + 20) / 5
    assert page.line.calls_per_s[i] == 4 / 5
    assert page.line.errors[i] == 1
    alone = {row.host: serving.look(NOW, row.pk).line.p99_ms[i] for row in EngineProcess.objects.all()}
    assert alone["slow"] > 500 > alone["fast"]
    assert page.line.p99_ms[i] == alone["slow"]
    assert page.figures.p99_ms == max(one.figures.p99_ms for one in page.processes if one.figures.p99_ms)
    assert page.figures.errors_by_code == [{"code": "overloaded", "n": 1}]
    assert (page.figures.calls, page.figures.errors) == (4, 1)


def test_one_process_is_shown_alone_when_it_is_chosen(db: None) -> None:
    one, other = Metered(), Metered(NOW - timedelta(hours=2))
    one.ask(ago(60), texts=10)
    other.ask(ago(60), texts=20)
    chosen = told(one, "one")
    told(other, "other")
    page = serving.look(NOW, chosen.pk)
    assert (page.chosen, page.engines) == (chosen.pk, 1)
    assert page.line.texts_per_s[at_slot(page, 60)] == 2.0
    assert len(page.processes) == 2


def test_processes_that_ask_one_inference_server_are_not_counted_twice(db: None) -> None:
    shared = Metered()
    shared.ask(ago(60), texts=10)
    told(shared, "web", at=ago(4), role="web")
    told(shared, "worker")
    page = serving.look(NOW)
    assert len(page.processes) == 2
    assert page.engines == 1
    assert page.line.texts_per_s[at_slot(page, 60)] == 2.0


def test_throughput_now_is_the_mean_of_the_last_thirty_seconds(db: None) -> None:
    engine = Metered()
    for seconds in (35, 30, 25):
        engine.ask(ago(seconds), texts=30)
    told(engine)
    assert serving.look(NOW).figures.texts_per_s == 3 * 30 / 30
    assert serving.look(NOW + timedelta(seconds=15)).figures.texts_per_s == 0.0


def test_a_model_is_named_once_with_how_many_processes_have_loaded_it(db: None) -> None:
    waiting = Metered(NOW - timedelta(hours=2))
    waiting.served = (ModelInfo("embed", "encoder", "small", "3", "openvino", "cpu", loaded=False),)
    told(Metered(), "one")
    told(waiting, "two")
    (model,) = serving.look(NOW).models
    assert (model["loaded"], model["of"], model["kind_words"]) == (1, 2, "encoder")


def test_the_cache_hit_rate_is_over_all_look_ups(db: None) -> None:
    one, other = Metered(), Metered(NOW - timedelta(hours=2))
    one.meter.cache(30, 10)
    other.meter.cache(0, 60)
    told(one, "one")
    told(other, "other")
    assert serving.look(NOW).figures.cache_hit_rate == 0.3


# Gaps, and processes that are gone


def test_idle_is_zero_and_before_the_start_is_a_gap(db: None) -> None:
    engine = Metered(ago(120))
    engine.ask(ago(60))
    told(engine, at=ago(25))  # idle since, so not published since
    line = serving.look(NOW).line
    assert line.texts_per_s[0] is None
    assert line.texts_per_s[-1] == 0.0
    assert line.p95_ms[-1] is None
    assert len(line.at) == 120


def test_a_process_unseen_for_a_minute_is_stopped_and_after_ten_it_is_not_shown(db: None) -> None:
    engine = Metered()
    engine.waiting = 3
    row = told(engine)

    def after(seconds: float) -> serving.Page:
        return serving.look(NOW + timedelta(seconds=seconds))

    assert serving.state(row, NOW + timedelta(seconds=59)) == "running"
    assert after(59).figures.queue == 3
    gone = after(61)
    assert gone.processes[0].state == "stopped"
    assert gone.processes[0].state_words.startswith("stopped or hung: last seen 1")
    assert gone.figures.queue is None
    assert gone.figures.texts_per_s is None
    assert gone.line.texts_per_s[-1] is None
    assert gone.line.texts_per_s[0] == 0.0
    assert after(601).processes == []


def test_a_stopped_process_does_not_blur_the_figures_of_those_that_run(db: None) -> None:
    stopped, running = Metered(), Metered(NOW - timedelta(hours=2))
    stopped.ask(ago(130), took_s=30.0)
    running.ask(ago(30), took_s=0.01)
    told(stopped, "stopped", at=ago(120))
    told(running, "running")
    assert serving.look(NOW).figures.p99_ms < 100


def test_an_engine_that_has_ended_says_so_in_words(db: None) -> None:
    engine = Metered()
    engine.dead = True
    row = told(engine)
    assert serving.state(row, NOW) == "dead"
    assert "restart the process" in serving.state_words(row, NOW)


def test_a_report_of_another_version_is_read_as_far_as_it_goes(db: None) -> None:
    row = told(Metered())
    EngineProcess.objects.filter(pk=row.pk).update(report={"alive": True}, models=[{"name": "new"}])
    page = serving.look(NOW)
    assert page.processes[0].state == "running"
    assert page.models[0]["name"] == "new"
    assert page.figures.p95_ms is None


# Doors


@pytest.mark.parametrize("name", [PAGE, NUMBERS])
def test_strangers_are_sent_to_sign_in(db: None, client: Client, name: str) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("name", [PAGE, NUMBERS])
def test_people_who_are_not_staff_see_nothing(db: None, client: Client, name: str) -> None:
    told(Metered(), at=datetime.now(UTC))
    client.force_login(User.objects.create_user("guest"))
    answer = client.get(reverse(name), follow=True)
    assert answer.redirect_chain[0][0].startswith(reverse("admin:login"))
    assert b"worker on one" not in answer.content


def test_the_numbers_have_what_the_page_draws(operator: Client) -> None:
    now = datetime.now(UTC)
    engine = Metered(now - timedelta(minutes=30))
    engine.ask(now - timedelta(seconds=60), texts=10)
    row = told(engine, at=now)
    answer = operator.get(reverse(NUMBERS), {"process": row.pk})
    shown = answer.json()
    assert "no-store" in answer["Cache-Control"]
    assert set(shown) == {"at", "processes", "chosen", "engines", "figures", "models", "line"}
    assert shown["chosen"] == row.pk
    assert {len(values) for values in shown["line"].values()} == {120}
    assert shown["line"]["at"] == sorted(shown["line"]["at"])
    assert sum(value or 0 for value in shown["line"]["texts_per_s"]) == 2.0
    assert shown["figures"]["calls"] == 1
    assert shown["models"][0]["task"] == "embed"


@pytest.mark.parametrize("process", ["", "x", "-1", "999999", "9" * 40, "²"])
def test_a_process_that_is_not_there_means_all_together(operator: Client, process: str) -> None:
    answer = operator.get(reverse(NUMBERS), {"process": process})
    assert answer.status_code == 200
    assert answer.json()["chosen"] is None


def test_without_any_engine_the_numbers_are_empty_and_the_page_stands(operator: Client) -> None:
    shown = operator.get(reverse(NUMBERS)).json()
    assert (shown["processes"], shown["models"], shown["engines"]) == ([], [], 0)
    assert set(shown["line"]["texts_per_s"]) == {None}
    page = operator.get(reverse(PAGE))
    assert page.status_code == 200
    assert "Nothing was asked in the last ten minutes." in page.content.decode()


def test_names_from_processes_cannot_end_the_script_they_are_written_in(operator: Client) -> None:
    told(Metered(), "</script><b>host", at=datetime.now(UTC))
    assert "</script><b>host" not in operator.get(reverse(PAGE)).content.decode()


def test_the_sidebar_leads_to_the_page(operator: Client) -> None:
    assert f'href="{reverse(PAGE)}"' in operator.get(reverse("admin:index")).content.decode()


def test_nobody_edits_what_engines_said(operator: Client) -> None:
    row = told(Metered())
    User.objects.update(is_superuser=True)
    for rest in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert operator.get(reverse(PAGE) + rest).status_code == 404
    assert operator.post(reverse(PAGE)).status_code == 405
