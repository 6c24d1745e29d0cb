"""The line between visitor and server: dropped, gone, slow, restarted. Nothing is lost, nothing doubled."""

from __future__ import annotations

import json

from playwright.sync_api import Page, Request, Route, expect

from tests.browser.chat import FRAME, replies, said, say, wait_for_replies
from tests.browser.conftest import Live, Visit

REFUNDS = "How long do refunds take?"
EXPRESS = "What does express delivery cost?"
BOOTS = "Can I exchange boots for another size once, free of charge?"


def delivered(page: Page) -> list[str]:
    """The messages that reach the server from now on, as they reach it."""
    texts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/messages"):
            texts.append(json.loads(request.post_data or "{}")["text"])

    page.on("requestfinished", note)
    return texts


def test_after_a_crash_of_the_server_each_message_is_there_exactly_once(visit: Visit, live: Live) -> None:
    page = visit(FRAME)
    say(page, REFUNDS)
    wait_for_replies(page, 1)

    live.kill()
    say(page, EXPRESS)
    expect(page.locator(".message.visitor .status").nth(1)).to_have_text("Waiting to send")
    say(page, BOOTS)
    live.start()
    wait_for_replies(page, 3)

    assert said(page) == [REFUNDS, EXPRESS, BOOTS]
    assert sorted(text[:24] for text in replies(page)) == [  # two were asked at once, so either came first
        "Express delivery takes 1",
        "We pay refunds within 5 ",
        "You can exchange boots f",
    ]
    expect(page.locator("#line")).to_be_hidden()
    expect(page.locator('.message.visitor[data-state="sent"]')).to_have_count(3)

    say(page, "How much is standard delivery?")  # over a stream that was opened anew
    wait_for_replies(page, 4)
    assert len(said(page)) == 4


def test_what_is_written_offline_is_sent_once_and_in_order(visit: Visit) -> None:
    page = visit(FRAME)
    say(page, REFUNDS)
    wait_for_replies(page, 1)
    sent = delivered(page)

    page.context.set_offline(True)
    expect(page.locator("#line")).to_contain_text("You are offline")
    say(page, EXPRESS)
    say(page, BOOTS)
    waiting = page.locator('.message.visitor[data-state="waiting"]')
    expect(waiting).to_have_count(2)

    page.context.set_offline(False)
    wait_for_replies(page, 3)
    assert sent == [EXPRESS, BOOTS]
    assert said(page) == [REFUNDS, EXPRESS, BOOTS]
    expect(page.locator("#line")).to_be_hidden()


def test_what_is_not_yet_sent_survives_a_reload(visit: Visit) -> None:
    page = visit(FRAME)
    page.route("**/api/v1/chatbot/**", lambda route: route.abort())
    say(page, REFUNDS)
    expect(page.locator('.message.visitor[data-state="waiting"]')).to_have_count(1)
    page.reload()
    assert said(page) == [REFUNDS]
    page.unroute("**/api/v1/chatbot/**")
    wait_for_replies(page, 1)
    assert said(page) == [REFUNDS]


def test_without_a_stream_the_answer_comes_by_asking(visit: Visit) -> None:
    page = visit(FRAME)
    page.route("**/events", lambda route: route.abort())
    say(page, REFUNDS)
    wait_for_replies(page, 1)
    assert len(replies(page)) == 1
    expect(page.locator("#line")).to_be_hidden()


def test_a_lost_receipt_does_not_double_the_message(visit: Visit) -> None:
    page = visit(FRAME)

    def deliver_and_lose_the_receipt(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/messages", deliver_and_lose_the_receipt, times=1)
    say(page, REFUNDS)
    wait_for_replies(page, 1)
    expect(page.locator('.message.visitor[data-state="sent"]')).to_have_count(1)
    page.reload()
    wait_for_replies(page, 1)
    assert said(page) == [REFUNDS]


def test_a_conversation_the_server_no_longer_knows_is_closed_and_a_new_one_opened(visit: Visit) -> None:
    page = visit(FRAME)
    say(page, REFUNDS)
    wait_for_replies(page, 1)
    page.evaluate(
        """() => {
            const key = Object.keys(sessionStorage).find((name) => name.endsWith(":conversation"));
            const kept = JSON.parse(sessionStorage.getItem(key));
            sessionStorage.setItem(key, JSON.stringify({ ...kept, token: "no longer valid" }));
        }"""
    )
    page.reload()
    expect(page.locator(".divider")).to_have_text(
        "The earlier conversation has ended. Your next message starts a new one."
    )
    say(page, EXPRESS)
    wait_for_replies(page, 1)
    expect(page.locator(".bot .bubble")).to_contain_text("9.90 EUR")


def test_the_stream_reads_the_same_wherever_it_is_cut(visit: Visit) -> None:
    page = visit(FRAME)
    events, differing = page.evaluate(
        r"""async () => {
            const { createSseParser } = await import("/static/chatbot/widget/sse.js");
            const source = '\uFEFF: hi\r\nid: 7\r\nevent: bot\r\ndata: a\r\ndata:  b\r\n\r\nretry: 250\r' +
                'data\r\rid: 8\ndata: {"x":"é字😀"}\n\n\nevent: none\n\ndata: cut';
            const run = (cuts) => {
                const events = [];
                const push = createSseParser({
                    onEvent: (event) => events.push(event),
                    onRetry: (ms) => events.push(ms),
                });
                let from = 0;
                for (const cut of [...cuts, source.length]) {
                    push(source.slice(from, cut));
                    from = cut;
                }
                return JSON.stringify(events);
            };
            const whole = run([]);
            let differing = 0;
            for (let i = 0; i <= source.length; i += 1) {
                for (let j = i; j <= source.length; j += 1) differing += run([i, j]) !== whole;
            }
            return [JSON.parse(whole), differing];
        }"""
    )
    assert differing == 0
    assert events == [
        {"id": "7", "kind": "bot", "data": "a\n b"},
        250,
        {"id": "7", "kind": "message", "data": ""},
        {"id": "8", "kind": "message", "data": '{"x":"é字😀"}'},
    ]
