"""The knowledge editor in a browser: written, previewed, asked, live; unsaved text comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.conftest import OPERATOR, PASSWORD, Enter, Live
from tests.config.conftest import clean_environment

NEW = "/console/support/knowledge/new/"
NARROW = {"viewport": {"width": 360, "height": 740}}
BEYOND = """[...document.querySelectorAll(".tr-page *")]
    .filter((e) => !e.closest(".tf-unseen, table") && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map((e) => e.outerHTML.slice(0, 80))"""
"""What reaches beyond the screen."""


def main(what: str) -> None:
    """Somebody who may sign in; or a worker, which reads what waits until it is ended."""
    django.setup()
    if what == "people":
        from django.contrib.auth.models import User

        User.objects.create_superuser(OPERATOR, password=PASSWORD)
        return
    from chatbot import tasks

    while True:
        tasks.resume_ingest()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def live(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running server with an editor, and a worker."""
    server = Live(tmp_path_factory.mktemp("editor"), seed)
    environment = clean_environment(
        server.folder / "data", DJANGO_SETTINGS_MODULE="config.settings", LOG_LEVEL="WARNING"
    )
    command = [sys.executable, "-m", "tests.browser.test_editor"]
    subprocess.run([*command, "people"], cwd=server.folder, env=environment, check=True, timeout=120)
    worker = subprocess.Popen([*command, "worker"], cwd=server.folder, env=environment)
    server.start()
    yield server
    server.kill()
    worker.kill()
    worker.wait(10)
    assert "Traceback" not in server.log


def test_an_article_is_written_previewed_asked_saved_changed_and_brought_back(enter: Enter) -> None:
    page = enter(f"{NEW}?kind=text")
    preview = page.locator("#preview")
    page.get_by_label("Title", exact=True).fill("Gift cards")
    page.get_by_label("Text", exact=True).fill("## How long is a gift card valid?\n\nIt is valid 3 years.\n")
    expect(preview.locator(".ed-cuts h3")).to_have_text(["Gift cards › How long is a gift card valid?"])
    page.get_by_role("button", name="As visitors see it").click()
    expect(preview.locator(".ed-page h2")).to_have_text("Gift cards")
    page.get_by_label("A visitor's question").fill("How long is a gift card valid?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".ed-verdict")).to_contain_text("It would be answered from this text.")
    page.get_by_label("Text", exact=True).press("Control+s")
    expect(page.locator(".ed-way")).to_contain_text("Live.")
    expect(page.locator("[data-dirty]")).to_be_empty()
    address = page.url
    assert "saved" not in address
    page.get_by_label("Text", exact=True).fill("## How long is a gift card valid?\n\nIt is valid 5 years.\n")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".ed-way")).to_contain_text("Live.")
    expect(page.locator("[data-restored]")).to_be_hidden()
    page.goto("/console/support/bench/")
    page.locator("#bench-question").fill("How long is a gift card valid?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".bn-said")).to_contain_text("It is valid 5 years.")
    page.goto(address)
    page.locator(".ed-editions a").first.click()
    expect(page.locator(".ed-compared ins")).to_have_text("5")
    page.get_by_role("button", name="Go back to this one").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(
        "## How long is a gift card valid?\n\nIt is valid 3 years.\n"
    )
    expect(page.locator(".ed-way")).to_contain_text("Live.")


def test_unsaved_text_warns_comes_back_and_can_be_discarded(enter: Enter) -> None:
    page = enter(f"{NEW}?kind=faq")
    page.get_by_label("Question, in a visitor's words").fill("Do you gift-wrap?")
    expect(page.locator("[data-dirty]")).to_have_text("● Not saved")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.goto("/console/support/bench/")
    assert asked == ["beforeunload"]
    page.goto(f"{NEW}?kind=faq")
    expect(page.get_by_label("Question, in a visitor's words")).to_have_value("Do you gift-wrap?")
    expect(page.locator("[data-restored]")).to_be_visible()
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_label("Question, in a visitor's words")).to_have_value("")
    page.reload()
    expect(page.locator("[data-restored]")).to_be_hidden()


def test_the_second_of_two_sees_both_texts_and_saves_after_all(enter: Enter) -> None:
    page = enter(f"{NEW}?kind=faq")
    page.get_by_label("Question, in a visitor's words").fill("Can I pay in cash?")
    page.get_by_label("Answer", exact=True).fill("No.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".ed-way")).to_contain_text("Live.")
    second = page.context.new_page()
    second.goto(page.url)
    for one, words in ((page, "Only in our shop."), (second, "Only at our counter.")):
        one.get_by_label("Answer", exact=True).fill(words)
        one.get_by_role("button", name="Save", exact=True).click()
    told = second.get_by_role("alert", name="Changed meanwhile")
    expect(told).to_contain_text("rosa saved it while you were writing")
    expect(told.locator("ins").first).to_contain_text("Only")
    expect(second.get_by_label("Answer", exact=True)).to_have_value("Only at our counter.")
    second.get_by_role("button", name="Save mine over it").click()
    expect(second.locator(".ed-way")).to_contain_text("Live.")
    expect(second.get_by_label("Answer", exact=True)).to_have_value("Only at our counter.")
    expect(second.locator("[data-restored]")).to_be_hidden()
    second.get_by_placeholder("A further wording").fill("pay with coins")
    second.locator(".ed-add button").first.click()
    expect(second.locator(".ed-wordings").first).to_contain_text("pay with coins")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_the_editor(enter: Enter, scheme: str) -> None:
    page = enter(f"{NEW}?kind=text", color_scheme=scheme, **NARROW)
    page.get_by_label("Title", exact=True).fill("A title of some length, as titles are")
    page.get_by_label("Text", exact=True).fill(
        "| Country | Label |\n|---|---|\n| Norway | 6.90 EUR |\n" + "x" * 90
    )
    expect(page.locator(".ed-cuts li")).to_have_count(1)
    assert page.evaluate(BEYOND) == []


if __name__ == "__main__":
    main(sys.argv[1])
