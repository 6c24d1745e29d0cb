"""From an empty folder to a cited answer in a browser, as the first command does it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.journeys.conftest import Suite, wait_until
from tests.requirements import chromium

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]


@pytest.mark.timeout(600)
def test_a_visitor_gets_a_cited_answer_and_a_second_start_keeps_everything(
    suite: Suite, tmp_path: Path
) -> None:
    suite.start()
    wait_until(lambda: "Sign in as" in suite.log(), 180)  # said once the sample can be asked about
    assert documents_left(suite) == 0
    assert stat.S_IMODE((suite.data_dir / "secret_key").stat().st_mode) == 0o600
    ask_in_the_browser(suite, tmp_path / "answer.png")

    assert suite.stop() == 0 or suite.process is None
    suite.start()
    assert suite.log().count("Sign in as") == 1  # the password is shown once
    assert suite.rows("[Conversation.objects.count(), ConversationEvent.objects.count()]") == [1, 2]


def documents_left(suite: Suite) -> int:
    """Documents not read yet, plus indexes that are behind."""
    return suite.count(
        "SELECT (SELECT COUNT(*) FROM chatbot_document WHERE state <> 'done')"
        " + (SELECT COUNT(*) FROM chatbot_knowledgebase WHERE revision > indexed_revision)"
    )


def ask_in_the_browser(suite: Suite, picture: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{suite.address}/shop/")
        page.wait_for_function("window.trefoil")
        with page.expect_event("frameattached"):
            page.evaluate("window.trefoil.open()")
        wait_until(lambda: page.frame(url=re.compile("/chat/frame/")) or page.wait_for_timeout(100), 30)
        frame = page.frame(url=re.compile("/chat/frame/"))  # inside a closed shadow root: found by address
        assert frame is not None
        box = frame.get_by_role("textbox")
        box.fill("How long do refunds take?")
        box.press("Enter")
        answer = frame.get_by_text("within 5 business days")
        expect(answer.first).to_be_visible(timeout=30_000)
        page.screenshot(path=str(picture))
        with page.context.expect_page() as opened:
            frame.locator("a[href*='/help/']").first.click()
        source = opened.value
        expect(source.locator("mark").first).to_contain_text("5 business days")
        browser.close()
