"""Models in a browser: a person labels, trains, promotes, sees the answer change, and rolls back.

The web server, the worker, the training, the gate and the model that serves are real.
`python -m tests.browser.test_training` fills DATA_DIR with an operator, a data set and a live version.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import django
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OPERATOR, PASSWORD, Enter
from tests.config.conftest import clean_environment
from tests.conftest import free_port, wait_for_port

RUNS, VERSIONS, SETS = (f"/console/console/{name}/" for name in ("trainingrun", "modelversion", "dataset"))
SLOW_MS = 180_000
"""A worker loads its parts and an encoder in between."""
NARROW = {"viewport": {"width": 320, "height": 740}}
BEYOND = """[...document.querySelectorAll(".tr-page *")]
    .filter((e) => !e.closest(".tr-scroll, .tf-unseen, .tr-log") && e.getBoundingClientRect().right > 320.5)
    .map((e) => e.outerHTML.slice(0, 80))"""
"""What reaches beyond a narrow screen, scrolled regions left out."""
REMEMBER_POINTS = """
    new MutationObserver(() => {
        const drawn = [...document.querySelectorAll("[data-points]")];
        const points = drawn.reduce((n, { dataset }) => n + Number(dataset.points), 0);
        sessionStorage.counts = [sessionStorage.counts, points].filter(Boolean).join(" ");
    }).observe(document, { subtree: true, attributeFilter: ["data-points"] });
"""
"""How many points the curves of a page had, from its first drawing on."""
SENTENCE = "Zennor raises dividend"


def main() -> None:
    """Somebody who may sign in, 500 headlines, and a live version that has learned from a few."""
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from services.console.datasets import as_set, row_of
    from services.console.models import Dataset
    from services.console.storage import storage
    from services.console.training_runs import folder_of
    from services.registry.store import ModelStore
    from services.training.fine_tune import train
    from services.training.order import Order, Silent
    from tests.services.training.headlines import LABELS, headlines

    call_command("migrate", verbosity=0, interactive=False)
    User.objects.create_superuser(OPERATOR, password=PASSWORD)
    sets = []
    for name, examples in (("Headlines", headlines(500, seed=1)), ("Few", headlines(24))):
        dataset = Dataset.objects.create(name=name, task="sentiment", labels=list(LABELS), licence="CC0-1.0")
        for n, example in enumerate(examples, 1):
            row_of(dataset, n, example, "labelled").save()
        sets.append(as_set(dataset))
    store, now = ModelStore(storage()), datetime.now(UTC)
    few = Order("sentiment", "text_head", test_share=0.25)
    made = train(few, sets[1:], store=store, folder=folder_of(0), watch=Silent(), now=now)
    store.promote("sentiment", made.version, now)


class Studio:
    """A web server and a worker for training on one data folder, with the encoder that ships."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = clean_environment(
            folder / "data",
            INFERENCE_RUNTIME="auto",
            LOG_LEVEL="WARNING",
            DJANGO_SETTINGS_MODULE="config.settings",
        )
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Seed the database, then start both and wait for the server."""
        assert self._run("-m", "tests.browser.test_training").wait(300) == 0, self.log
        worker = "-m celery -A config --quiet worker --queues gpu,batch --pool threads --concurrency 2"
        self._processes = [
            self._run(
                "-m", "uvicorn", "config.asgi:application", "--port", str(self.port), "--log-level", "warning"
            ),
            self._run(*worker.split(), "--loglevel", "warning", "--without-gossip", "--without-mingle"),
        ]
        wait_for_port(self.port, 300)

    def stop(self) -> None:
        """End them; a run's process dies with its worker."""
        for process in self._processes:
            process.kill()
            process.wait(10)

    @property
    def log(self) -> str:
        """What they said."""
        return (self.folder / "log").read_text()

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=self.folder, env=self._environment, stdout=log, stderr=log
            )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The running suite; `visit` opens its pages."""
    studio = Studio(tmp_path_factory.mktemp("studio"))
    try:
        studio.start()
        yield studio
    finally:
        studio.stop()
    assert "Traceback" not in studio.log


def start_run(page: Page, *, control: bool = False) -> None:
    """Fill in the form and see the run begin."""
    page.goto(f"{RUNS}add/")
    page.get_by_role("checkbox", name="Few").uncheck()
    page.get_by_role("checkbox", name="Headlines").check()
    page.locator("#task").fill("sentiment")
    if control:
        page.get_by_label("Control run").check()
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#run")).to_be_visible()


def answered_by(page: Page, version: str) -> str:
    """Ask the live model; its likeliest label, once that version answers."""
    page.locator("#try-text").fill(SENTENCE)
    page.get_by_role("button", name="Ask the live model").click()
    expect(page.locator("[data-answered-by]")).to_have_text(re.compile(f"^{version}\\b"), timeout=SLOW_MS)
    expect(page.locator("[data-again]")).to_have_count(0)  # it is not asked again: this one is live
    return str(page.locator("[data-answer] dt").first.text_content())


@pytest.mark.timeout(900)
def test_a_person_trains_promotes_sees_the_answer_change_and_rolls_back(enter: Enter) -> None:
    page = enter(f"{VERSIONS}?task=sentiment", before=REMEMBER_POINTS)
    poor = str(page.locator(".tr-live code").text_content())
    assert answered_by(page, poor) == "neutral"
    page.get_by_role("button", name="Why?").click()
    expect(page.locator("[data-why]")).to_have_text(SENTENCE, timeout=SLOW_MS)

    start_run(page)
    gate = page.locator(".tr-verdict")
    expect(gate.get_by_role("heading", name="The gate lets it through")).to_be_visible(timeout=SLOW_MS)
    counts = [int(n) for n in page.evaluate("sessionStorage.counts").split()]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1]  # it grew while it was looked at
    expect(gate).to_contain_text(re.compile(r"Macro F1 went from 0\.\d+ \(the live version\) to"))
    expect(page.locator("[data-log]")).to_contain_text("rows to learn")
    expect(page.locator("[data-confusion] tbody tr")).to_have_count(3)
    expect(page.locator("[data-robustness] tbody tr")).to_have_count(3)
    good = str(gate.locator("code").first.text_content())
    gate.get_by_role("button", name="Promote", exact=True).click()
    expect(page.locator(".tr-verdict")).to_contain_text("live")

    page.goto(f"{VERSIONS}?task=sentiment")
    expect(page.locator(".tr-live")).to_have_text(good)
    assert answered_by(page, good) == "positive"
    page.get_by_text("Roll back", exact=True).click()
    page.get_by_label("Reason (kept in the audit log)").first.fill("to see the other answer")
    page.get_by_role("button", name=f"Roll back to {poor}").click()
    expect(page.locator(".tr-live")).to_have_text(poor)
    expect(page.locator(".tr-history li").first).to_contain_text("to see the other answer")
    assert answered_by(page, poor) == "neutral"
    row = page.locator(f'tr[data-version="{good}"]')
    row.get_by_text("Promote", exact=True).click()
    row.get_by_role("button", name=f"Promote {good}").click()
    expect(page.locator(".tr-live")).to_have_text(good)
    assert answered_by(page, good) == "positive"

    start_run(page, control=True)
    expect(gate.get_by_role("heading", name="The gate refuses it")).to_be_visible(timeout=SLOW_MS)
    expect(gate).to_contain_text("no better than the same answers dealt out at random")
    expect(gate.get_by_role("button", name="Promote anyway")).to_be_visible()
    expect(gate.get_by_role("button", name="Promote", exact=True)).to_have_count(0)


@pytest.mark.timeout(600)
def test_texts_are_imported_and_labelled_by_keys_alone(enter: Enter) -> None:
    page = enter(SETS)
    page.locator("#result_list, table").get_by_role("link", name="Few").first.click()
    rows = "text\nOrders grow\nPlant closes\nNothing new\n"
    file = {"name": "new.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    page.locator("#file").set_input_files([file])  # type: ignore[list-item]
    page.get_by_label("texts that people will label here").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("[data-job]")).to_contain_text("3 rows added", timeout=SLOW_MS)
    page.get_by_role("link", name="Label texts").click()
    text = page.locator("[data-text]")
    expect(text).to_have_text("Orders grow")
    page.keyboard.press("3")
    expect(page.locator("[data-told]")).to_have_text("Labelled: positive.")
    expect(text).to_have_text("Plant closes")
    page.keyboard.press("s")
    expect(text).to_have_text("Nothing new")
    page.keyboard.press("u")
    expect(text).to_have_text("Plant closes")
    page.keyboard.press("1")
    expect(page.locator("[data-told]")).to_have_text("Labelled: negative.")
    expect(page.locator("[data-today]")).to_have_text("2")
    expect(page.locator("[data-left]")).to_have_text("1")
    page.keyboard.press("?")
    expect(page.get_by_text("take back what you did last")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_is_never_scrolled_sideways(enter: Enter, scheme: str) -> None:
    page = enter(f"{RUNS}add/", color_scheme=scheme, **NARROW)
    for path in (f"{RUNS}add/", f"{VERSIONS}?task=sentiment", f"{SETS}1/change/", f"{SETS}1/label/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        assert page.evaluate(BEYOND) == [], path


if __name__ == "__main__":
    main()
