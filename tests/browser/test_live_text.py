"""An answer that is being written grows in one bubble, unheard, until the answer itself takes its place."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.chat import FRAME, say, wait_for_replies
from tests.browser.conftest import Live, Visit

NOW = "2026-03-04 12:00:00"


class Log:
    """The rows of the one conversation in a running server's database, written as another process would."""

    def __init__(self, live: Live) -> None:
        self.path = next(Path(live.folder / "data").glob("**/*.sqlite3"))
        ((self.conversation, self.seq),) = self.do(
            "SELECT id, last_seq FROM chatbot_conversation ORDER BY created_at DESC LIMIT 1"
        )

    def do(self, sql: str, *values: Any) -> list[Any]:
        with sqlite3.connect(self.path, timeout=10) as database:
            return database.execute(sql, values).fetchall()

    def add(self, kind: str, payload: dict[str, Any]) -> int:
        self.seq += 1
        self.do(
            "INSERT INTO chatbot_conversationevent (conversation_id, seq, kind, payload, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            self.conversation, self.seq, kind, json.dumps(payload), NOW,
        )  # fmt: skip
        self.do("UPDATE chatbot_conversation SET last_seq = ? WHERE id = ?", self.seq, self.conversation)
        return self.seq

    def ask(self, text: str) -> int:
        question = self.add("visitor_message", {"text": text, "idempotency_key": "other-tab"})
        self.do(
            "INSERT INTO chatbot_turn (conversation_id, question_seq, claimed_at, attempts, outcome, partial,"
            " trace, model_version, created_at) VALUES (?, ?, ?, 1, '', '', '{}', '', ?)",
            self.conversation, question, NOW, NOW,
        )  # fmt: skip
        return question

    def speak(self, question: int, text: str) -> None:
        self.do(
            "UPDATE chatbot_turn SET partial = ? WHERE conversation_id = ? AND question_seq = ?",
            text, self.conversation, question,
        )  # fmt: skip

    def answer(self, question: int, text: str) -> None:
        self.do(
            "UPDATE chatbot_turn SET partial = '', answered_at = ?"
            " WHERE conversation_id = ? AND question_seq = ?",
            NOW, self.conversation, question,
        )  # fmt: skip
        said = {"text": text, "sentences": [{"text": text, "citation": None}], "citations": []}
        self.add("bot_message", {"reply_to": question, "outcome": "answer", "language": "en", **said})


def begin(page: Page, live: Live) -> Log:
    say(page, "How long do refunds take?")
    wait_for_replies(page, 1)
    return Log(live)


def test_the_text_grows_in_one_bubble_and_the_answer_takes_its_place(visit: Visit, live: Live) -> None:
    page = visit(FRAME)
    log = begin(page, live)
    question = log.ask("And for boots?")
    expect(page.locator(".message.visitor")).to_have_count(2)
    log.speak(question, "Boots can be exchanged.")
    bubble = page.locator(".message.partial .bubble")
    expect(bubble).to_have_text("Boots can be exchanged.")
    expect(page.locator("#typing")).to_be_visible()
    assert page.locator(".message.partial").get_attribute("aria-hidden") == "true"
    page.evaluate("window.kept = document.querySelector('.message.partial')")
    log.speak(question, "Boots can be exchanged. <b>Once</b>, free of charge.")
    expect(bubble).to_have_text("Boots can be exchanged. <b>Once</b>, free of charge.")
    assert page.evaluate("window.kept === document.querySelector('.message.partial')")
    expect(page.locator(".message b")).to_have_count(0)
    log.answer(question, "Boots can be exchanged once.")
    wait_for_replies(page, 2)
    expect(page.locator(".message.partial")).to_have_count(0)
    assert page.locator(".message.bot .bubble").all_inner_texts()[-1] == "Boots can be exchanged once."
    assert "partial" not in page.evaluate("JSON.stringify({ ...sessionStorage })")


def test_whoever_wants_less_motion_gets_it(visit: Visit, live: Live) -> None:
    moving, still = visit(FRAME), visit(FRAME, reduced_motion="reduce")
    for page, animation in ((moving, "appear"), (still, "none")):
        log = begin(page, live)
        log.speak(log.ask("And for boots?"), "Boots can be exchanged.")
        fresh = page.locator(".message.partial .fresh")
        expect(fresh).to_have_text("Boots can be exchanged.")
        assert fresh.evaluate("node => getComputedStyle(node).animationName") == animation


def test_without_a_stream_the_text_comes_with_the_asking(visit: Visit, live: Live) -> None:
    page = visit(FRAME)
    page.route("**/events", lambda route: route.abort())
    log = begin(page, live)
    log.speak(log.ask("And for boots?"), "Boots can be exchanged.")
    expect(page.locator(".message.partial .bubble")).to_have_text("Boots can be exchanged.")
