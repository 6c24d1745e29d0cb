"""The chat page: questions, answers with their sources, and what must never happen to words."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.chat import FRAME, replies, said, say, wait_for_replies
from tests.browser.conftest import Visit
from tests.browser.seed import GREETING, SUGGESTIONS

PAID = "We pay refunds within 5 business days after the parcel reaches us."


def test_an_answer_streams_in_with_its_source_and_the_source_opens_at_the_marked_words(visit: Visit) -> None:
    page = visit(FRAME)
    with page.expect_response(lambda r: r.url.endswith("/events")) as stream:
        say(page, "How long do refunds take?")
    assert stream.value.headers["content-type"].startswith("text/event-stream")
    wait_for_replies(page, 1)
    assert said(page) == ["How long do refunds take?"]
    expect(page.locator(".message.bot .bubble")).to_contain_text(PAID)
    expect(page.locator(".message.visitor .status")).to_contain_text("Sent")

    source = page.locator(".bot a.marker")
    assert (source.get_attribute("aria-label") or "").startswith("Source 1: Faq · Refunds")
    with page.context.expect_page() as opened:
        source.click()
    help_page = opened.value
    expect(help_page.locator("mark")).to_have_text(PAID)
    expect(help_page.locator(".passage.cited")).to_have_count(1)
    expect(help_page.locator("mark")).to_be_in_viewport()
    assert help_page.evaluate("window.opener") is None


def test_a_question_the_help_pages_do_not_answer_is_refused_without_a_source(visit: Visit) -> None:
    page = visit(FRAME)
    say(page, "What is the capital of France?")
    wait_for_replies(page, 1)
    expect(page.locator(".message.bot")).to_have_attribute("data-outcome", "refusal")
    expect(page.locator(".message.bot .bubble")).to_contain_text("I would rather not guess")
    expect(page.locator(".bot a")).to_have_count(0)


def test_html_in_a_question_and_in_a_document_stays_words(visit: Visit) -> None:
    page = visit(FRAME)
    question = "May a label hold <b>bold</b> words?"
    say(page, question)
    wait_for_replies(page, 1)
    assert said(page) == [question]
    expect(page.locator(".bot .bubble")).to_contain_text("<img src=x onerror=")
    expect(page.locator(".message img, .message b, .message script")).to_have_count(0)

    with page.context.expect_page() as opened:
        page.locator(".bot a.marker").click()
    source = opened.value
    expect(source.locator("mark")).to_contain_text("<script>")
    expect(source.locator("main img, main b, main script")).to_have_count(0)
    assert "owned" not in (page.title(), source.title())


def test_a_suggestion_is_asked_with_one_press_and_then_all_of_them_go(visit: Visit) -> None:
    page = visit(FRAME)
    expect(page.locator(".welcome > .bubble")).to_have_text(GREETING)
    buttons = page.locator("#suggestions button")
    assert buttons.all_inner_texts() == SUGGESTIONS
    buttons.nth(1).click()
    wait_for_replies(page, 1)
    assert said(page) == [SUGGESTIONS[1]]
    expect(page.locator("#suggestions")).to_be_hidden()
    expect(page.locator("#box")).to_be_focused()
    expect(page.locator(".bot .bubble")).to_contain_text("9.90 EUR")


def test_the_count_appears_near_the_limit_and_2000_characters_is_the_limit(visit: Visit) -> None:
    page = visit(FRAME)
    box, count = page.locator("#box"), page.locator("#count")
    box.fill("x" * 1799)
    expect(count).to_be_hidden()
    box.fill("x" * 1900)
    expect(count).to_have_text("1900 / 2000")
    expect(page.locator("#aloud")).to_have_text("100 characters left")
    box.fill("字" * 2005)
    expect(count).to_have_text("5 characters too many")
    box.press("Enter")
    assert said(page) == []
    assert len(box.input_value()) == 2005
    box.fill("😀" * 2000)
    expect(count).to_have_text("2000 / 2000")
    box.press("Enter")
    wait_for_replies(page, 1)
    assert said(page) == ["😀" * 2000]
    expect(count).to_be_hidden()


def test_enter_sends_shift_enter_breaks_the_line_and_choosing_a_character_does_neither(visit: Visit) -> None:
    page = visit(FRAME)
    box = page.locator("#box")
    box.press("Enter")
    assert said(page) == []
    box.press_sequentially("Hello")
    box.press("Shift+Enter")
    box.press_sequentially("How long do refunds take?")
    box.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown',"
        " { key: 'Enter', isComposing: true, bubbles: true, cancelable: true }))"
    )
    assert said(page) == []
    box.press("Enter")
    wait_for_replies(page, 1)
    assert said(page) == ["Hello\nHow long do refunds take?"]


def test_a_visitor_who_reads_chinese_gets_chinese_words_and_a_chinese_answer(visit: Visit) -> None:
    page = visit(FRAME.replace("locale=en", "locale=zh-hans"))
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    expect(page.locator("#box")).to_have_attribute("placeholder", "请输入您的问题…")
    expect(page.get_by_role("button", name="发送")).to_be_visible()
    page.get_by_role("button", name="退款多久到账？").click()
    wait_for_replies(page, 1)
    expect(page.locator(".bot .bubble")).to_contain_text("包裹到达仓库后 5 个工作日内退款。")
    expect(page.locator(".sources h3")).to_have_text("来源")
    expect(page.locator(".message.visitor .status")).to_contain_text("已发送")
    words = page.locator("body").inner_text()
    english = re.findall(r"\b(?:Sent|Source|Send|Close|Assistant|question|message)\b", words)
    assert english == []


def test_a_failure_is_told_calmly_and_the_question_can_be_asked_again(visit: Visit) -> None:
    page = visit(FRAME.replace("larkmoor", "lost"))
    say(page, "How long do refunds take?")
    wait_for_replies(page, 1)
    notice = page.locator(".bot.failure")
    expect(notice).to_contain_text("Your question is kept")
    notice.get_by_role("button", name="Try again").click()
    wait_for_replies(page, 2)
    assert said(page) == ["How long do refunds take?"] * 2
    expect(page.get_by_role("button", name="Try again")).to_have_count(1)


def test_a_reload_brings_the_conversation_back_and_it_goes_on(visit: Visit) -> None:
    page = visit(FRAME)
    say(page, "How long do refunds take?")
    wait_for_replies(page, 1)
    page.reload()
    wait_for_replies(page, 1)
    expect(page.locator("#suggestions")).to_be_hidden()
    say(page, "What does express delivery cost?")
    wait_for_replies(page, 2)
    assert said(page) == ["How long do refunds take?", "What does express delivery cost?"]


def test_what_the_server_refuses_is_kept_with_its_reason(visit: Visit) -> None:
    page = visit(FRAME)
    page.route(
        "**/messages",
        lambda route: route.fulfill(
            status=422,
            content_type="application/problem+json",
            body='{"status": 422, "code": "invalid_input", "detail": "We cannot take this text."}',
        ),
    )
    say(page, "Keep me")
    status = page.locator(".message.visitor .status")
    expect(status).to_contain_text("Not sent. We cannot take this text.")
    page.unroute("**/messages")
    status.get_by_role("button", name="Try again").click()
    wait_for_replies(page, 1)
    assert said(page) == ["Keep me"]
    assert len(replies(page)) == 1


def test_every_brand_colour_is_made_readable(visit: Visit) -> None:
    page = visit(FRAME)
    lowest = page.evaluate(
        """async () => {
            const { applyBrand, contrast } = await import("/static/chatbot/widget/colour.js");
            const ratios = [];
            for (const colour of ["#1d6b45", "#ffcc00", "#ffffff", "#000000", "#3366ff", "#ff0066"]) {
                const root = document.createElement("div");
                applyBrand(root, colour);
                const rgb = (name) => root.style.getPropertyValue(name).match(/\\d+/g).map(Number);
                ratios.push(contrast(rgb("--brand"), rgb("--brand-ink")));
                ratios.push(contrast(rgb("--accent-on-light"), [255, 255, 255]));
                ratios.push(contrast(rgb("--accent-on-dark"), [22, 28, 25]));
            }
            return Math.min(...ratios);
        }"""
    )
    assert lowest >= 4.5
