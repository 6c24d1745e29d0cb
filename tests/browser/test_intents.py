"""Support → Intents in a browser: slots come and go, a wrong placeholder is told at once, phones show all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OPERATOR, PASSWORD, Enter, Live
from tests.config.conftest import clean_environment

PAGE = "/console/chatbot/intent/"
NARROW = {"viewport": {"width": 360, "height": 740}}
BEYOND = """[...document.querySelectorAll(".tr-page *")]
    .filter((e) => !e.closest(".tf-unseen") && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map((e) => e.outerHTML.slice(0, 80))"""
"""What reaches beyond the screen."""


def main() -> None:
    """Somebody who may sign in, for the seeded data."""
    django.setup()
    from django.contrib.auth.models import User

    User.objects.create_superuser(OPERATOR, password=PASSWORD)


@pytest.fixture(scope="module")
def live(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running server with an operator."""
    server = Live(tmp_path_factory.mktemp("intents"), seed)
    environment = clean_environment(server.folder / "data", DJANGO_SETTINGS_MODULE="config.settings")
    command = [sys.executable, "-m", "tests.browser.test_intents"]
    subprocess.run(command, cwd=server.folder, env=environment, check=True, timeout=120)
    server.start()
    yield server
    server.kill()
    assert "Traceback" not in server.log


def test_an_intent_is_made_with_a_slot_and_tried(enter: Enter) -> None:
    page = enter(f"{PAGE}add/")
    page.get_by_label("Name").first.fill("order_status")
    page.get_by_label("Examples, one a line").fill("Where is my order?")
    page.get_by_label("Answer", exact=True).fill("I look for {order_number}.")
    told = page.locator("[data-unknown-of=template]")
    expect(told).to_have_text("▲ Nothing fills {order_number}.")
    add = page.get_by_role("button", name="Add a slot")
    add.click()
    page.locator("[data-slot-name]").fill("order_number")
    expect(told).to_be_hidden()
    add.click()
    expect(page.locator("[data-slot]")).to_have_count(2)
    page.locator("[data-kind]").last.select_option("choice")
    expect(page.locator("[name=slot-1-choices]")).to_be_visible()
    expect(page.locator("[name=slot-1-pattern]")).to_be_hidden()
    page.get_by_role("button", name="Remove").last.click()
    expect(page.locator("[data-slot]")).to_have_count(1)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**{PAGE}")
    page.get_by_role("link", name="Try it").first.click()
    page.get_by_label("Sentence").fill("where is my order LM-204518")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".in-said")).to_have_text("I look for LM-204518.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_the_form(enter: Enter, scheme: str) -> None:
    page = enter(f"{PAGE}add/", color_scheme=scheme, **NARROW)
    page.get_by_role("button", name="Add a slot").click()
    page.get_by_text("Headers and fields that are sent").click()
    assert page.evaluate(BEYOND) == []


if __name__ == "__main__":
    main()
