"""The widget on somebody's page: what it costs before it is opened, the keyboard, phones, other sites."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from tests.browser.chat import posted, say, wait_for_replies
from tests.browser.conftest import OPEN_SHADOWS, Live, Visit

ITEM = "/shop/items/LK-4410/"
PHONE = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
EMBED = """(url) => {
    const script = document.createElement("script");
    script.src = `${url}/static/chatbot/widget/widget.js`;
    script.dataset.inbox = "larkmoor";
    document.head.append(script);
}"""
"""What a site's owner pastes, put into a page that knows nothing of the chat."""


def focused_in_frame(page: Page) -> str:
    """The id, class or tag of what has the focus in the chat's frame; "" when the focus is elsewhere."""
    return str(
        page.frames[1].evaluate(
            """() => {
                const it = document.activeElement;
                return document.hasFocus() ? it.id || it.className || it.tagName : "";
            }"""
        )
    )


def test_before_the_first_open_nothing_is_stored_and_nothing_is_asked_for(visit: Visit, live: Live) -> None:
    page = visit("/live")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.removeprefix(live.url)))
    page.evaluate(EMBED, live.url)
    page.wait_for_function("window.trefoil")
    page.wait_for_load_state("networkidle")
    assert requests == ["/static/chatbot/widget/widget.js"]
    assert len(page.frames) == 1
    stored = "Object.keys(localStorage).length + Object.keys(sessionStorage).length + document.cookie.length"
    assert page.evaluate(stored) == 0
    assert page.context.cookies() == []
    assert page.evaluate("document.querySelector('[data-trefoil]').shadowRoot") is None


def test_on_another_website_that_the_inbox_names_the_chat_opens_and_leaves_nothing_there(
    visit: Visit, live: Live
) -> None:
    host = f"http://localhost:{live.port}/live"  # not 127.0.0.1, so another origin
    page = visit(f"{host}?from=newsletter#top", before=OPEN_SHADOWS)
    opened = posted(page, "/conversations")
    page.evaluate(EMBED, live.url)
    page.wait_for_function("window.trefoil")
    page.evaluate("trefoil.open()")
    chat = page.frame_locator("iframe")
    say(chat, "How long do refunds take?")
    wait_for_replies(chat, 1)
    assert opened[0]["page_url"] == host  # no query, no fragment
    assert page.evaluate("Object.keys(sessionStorage).length + document.cookie.length") == 0
    page.evaluate("trefoil.setTheme('dark')")
    expect(chat.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_keyboard_alone_opens_asks_follows_a_source_and_closes(visit: Visit) -> None:
    page = visit(ITEM, before=OPEN_SHADOWS)
    launcher = page.locator(".launcher")
    expect(launcher).to_have_attribute("aria-label", "Open chat")
    page.locator("main a").last.focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if launcher.evaluate("node => node.getRootNode().activeElement === node"):
            break
    page.keyboard.press("Enter")
    expect(launcher).to_have_attribute("aria-expanded", "true")
    chat = page.frame_locator("iframe")
    expect(chat.locator("#box")).to_be_focused()
    page.keyboard.type("How long do refunds take?")
    page.keyboard.press("Enter")
    wait_for_replies(chat, 1)
    for _ in range(6):
        page.keyboard.press("Shift+Tab")
        if focused_in_frame(page) == "marker":
            break
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value.locator("mark")).to_contain_text("5 business days")
    opened.value.close()
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    assert launcher.evaluate("node => node.getRootNode().activeElement === node")


def test_an_answer_that_comes_after_closing_is_counted_on_the_launcher(visit: Visit) -> None:
    page = visit(ITEM, before=OPEN_SHADOWS)
    page.locator(".launcher").click()
    chat = page.frame_locator("iframe")
    expect(chat.locator("#box")).to_be_focused()
    held: list[Route] = []
    page.route("**/messages", lambda route: held.append(route))
    say(chat, "How long do refunds take?")
    chat.locator("#box").press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    expect(page.locator(".launcher")).to_have_attribute("aria-label", "Open chat (1 unread)")
    expect(page.locator(".badge")).to_have_text("1")
    page.locator(".launcher").click()
    expect(page.locator(".launcher")).to_have_attribute("aria-label", "Close chat")
    expect(chat.locator("#box")).to_be_focused()


def test_on_a_phone_the_chat_fills_the_screen_keeps_the_focus_and_holds_the_page_still(visit: Visit) -> None:
    page = visit(ITEM, before=OPEN_SHADOWS, **PHONE)
    page.locator("[data-open-chat]").tap()
    chat = page.frame_locator("iframe")
    expect(chat.locator("#title")).to_be_focused()
    assert page.frames[1].evaluate("[innerWidth, innerHeight]") == [360, 700]
    assert page.evaluate("document.documentElement.style.overflow") == "hidden"
    expect(page.locator(".panel")).to_have_attribute("aria-modal", "true")
    say(chat, "How long do refunds take?")
    wait_for_replies(chat, 1)
    assert page.frames[1].evaluate("document.documentElement.scrollWidth") == 360
    stops = []
    for _ in range(10):
        page.keyboard.press("Tab")
        stops.append(focused_in_frame(page))
    assert "" not in stops
    assert {"close", "box", "marker"} <= set(stops)
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()
    assert page.evaluate("document.documentElement.style.overflow") == ""


def test_a_page_that_only_claims_to_be_the_host_gets_no_connection(visit: Visit, live: Live) -> None:
    page = visit(ITEM)
    page.evaluate(
        """(url) => {
            const frame = document.createElement("iframe");
            frame.src = `${url}/chat/frame/?inbox=larkmoor&host=${encodeURIComponent("https://other.example")}`;
            document.body.append(frame);
        }""",
        live.url,
    )
    frame = page.frame_locator("iframe")
    expect(frame.locator("#suggestions")).to_be_visible()
    expect(frame.locator("#close")).to_be_hidden()


def test_every_word_of_the_launcher_is_in_the_language_of_the_page(visit: Visit) -> None:
    page = visit(ITEM, before=OPEN_SHADOWS, locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", re.compile("zh", re.IGNORECASE))
    launcher = page.locator(".launcher")
    expect(launcher).to_have_attribute("aria-label", "打开聊天")
    launcher.click()
    expect(launcher).to_have_attribute("aria-label", "关闭聊天")
    expect(page.frame_locator("iframe").locator(".welcome > .bubble")).to_contain_text("您好")
