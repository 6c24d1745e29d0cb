"""Short ways through the chat page and what it sends, for tests that look at what comes of them."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import FrameLocator, Page, Request, expect

FRAME = "/chat/frame/?inbox=larkmoor&locale=en"
Chat = Page | FrameLocator


def say(chat: Chat, text: str) -> None:
    """Write a message and press Enter."""
    box = chat.locator("#box")
    box.fill(text)
    box.press("Enter")


def wait_for_replies(chat: Chat, count: int) -> None:
    """Until there are so many replies, and no question is open."""
    expect(chat.locator(".message.bot")).to_have_count(count)
    expect(chat.locator("#typing")).to_be_hidden()


def said(chat: Chat) -> list[str]:
    """What the visitor said, in the order of the page."""
    return chat.locator(".message.visitor .bubble").all_inner_texts()


def replies(chat: Chat) -> list[str]:
    """What was replied, in the order of the page."""
    return chat.locator(".message.bot .bubble").all_inner_texts()


def posted(page: Page, ending: str) -> list[dict[str, Any]]:
    """The JSON bodies posted to addresses with this ending; the list grows as they leave the page."""
    bodies: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith(ending):
            bodies.append(json.loads(request.post_data or "{}"))

    page.on("request", note)
    return bodies
