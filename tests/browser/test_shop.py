"""The demo shop: shelves that live in the address, and a row that follows what the shopper does."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.chat import posted
from tests.browser.conftest import Visit

ITEM = "/shop/items/LK-4410/"
ACCEPTED = 201


def titles(page: Page) -> list[str]:
    """The titles on the shelf that is shown."""
    return page.locator("#grid h3").all_text_contents()


def picks(page: Page) -> list[str]:
    """The ids of the items picked for the shopper, once they are there."""
    expect(page.locator("#picked")).not_to_have_attribute("aria-busy", "true")
    cards = "#picked .picks:not(.ghosts) > li"
    return [str(item) for item in page.eval_on_selector_all(cards, "all => all.map(c => c.dataset.itemId)")]


def is_event(response: Response) -> bool:
    return response.url.endswith("/shop/events/")


def is_row(response: Response) -> bool:
    return "/shop/for-you/" in response.url


def test_what_is_shown_follows_from_the_address_alone(visit: Visit) -> None:
    page = visit("/shop/")
    expect(page.locator("#grid .card")).to_have_count(24)
    page.locator('.tile[data-shelf="kitchen"]').click()
    expect(page).to_have_url("/shop/?category=kitchen")
    expect(page.locator("#hero")).to_be_hidden()
    expect(page.locator("#items-title")).to_be_focused()
    page.locator('.leaves a[data-kind="cast-iron"]').click()
    page.locator("#sort").select_option("price")
    expect(page).to_have_url("/shop/?category=kitchen&kind=cast-iron&sort=price")
    prices = page.eval_on_selector_all("#grid .card", "all => all.map(c => Number(c.dataset.price))")
    assert prices == sorted(prices)
    assert len(prices) > 1

    shown = titles(page)
    page.reload()
    expect(page.locator("#sort")).to_have_value("price")
    assert titles(page) == shown
    page.go_back()
    expect(page).to_have_url("/shop/?category=kitchen&kind=cast-iron")
    expect(page.locator("#items-title")).to_have_text("Cast Iron")


def test_search_overlooks_case_and_accents_and_says_when_nothing_matches(visit: Visit) -> None:
    page = visit(ITEM)
    page.locator("#q").fill("tent")
    page.keyboard.press("Enter")
    expect(page).to_have_url("/shop/?q=tent")
    expect(page.locator("#items-title")).to_have_text("Everything: “tent”")
    found = titles(page)
    assert 1 < len(found) <= 24
    page.locator("#q").fill("TÉNT")
    expect(page.locator("#items-title")).to_have_text("Everything: “TÉNT”")
    assert titles(page) == found
    page.locator("#q").fill("zzzz")
    expect(page.locator("#empty")).to_be_visible()
    page.locator("#empty a").click()
    expect(page.locator("#grid .card")).to_have_count(24)
    expect(page.locator("#q")).to_have_value("")
    page.locator("#more").click()
    expect(page.locator("#grid .card")).to_have_count(48)
    expect(page.locator("#grid .card").nth(24).locator("a")).to_be_focused()


def test_every_kind_of_item_has_its_picture(visit: Visit) -> None:
    page = visit("/live")
    drawn = page.request.get("/static/sample/art.svg").text()
    used = set(re.findall(r"sample/art[^\"]*\.svg#([\w-]+)", page.request.get("/shop/").text()))
    assert len(used) > 40
    assert [name for name in used if f'id="{name}"' not in drawn] == []


def test_without_scripts_everything_is_shown_and_nothing_is_dead(visit: Visit) -> None:
    page = visit("/shop/", java_script_enabled=False)
    assert page.locator("#grid .card").count() > 400
    expect(page.locator("#picked")).to_be_hidden()
    page.goto(ITEM)
    expect(page.locator("#picked .card")).to_have_count(4)
    expect(page.locator("#picked")).to_be_visible()
    expect(page.get_by_role("button", name="Add to basket")).to_have_count(0)


@pytest.mark.parametrize("path", ["/shop/", ITEM])
def test_nothing_hangs_over_the_edge_of_a_small_screen(visit: Visit, path: str) -> None:
    page = visit(path, viewport={"width": 320, "height": 640})
    assert picks(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_visitor_gets_eight_picks_each_with_its_reason(visit: Visit) -> None:
    page = visit("/shop/")
    assert len(set(picks(page))) == 8
    reasons = page.locator("#picked .reason").all_inner_texts()
    assert len(reasons) == 8
    assert all(reasons)


def test_a_basket_changes_the_row_in_place_and_keeps_the_keyboard_there(visit: Visit) -> None:
    page = visit("/shop/")
    before = picks(page)
    page.evaluate("window.sameage = true")
    button = page.locator("#picked .card").first.get_by_role("button", name="Add to basket")
    button.focus()
    with page.expect_response(is_event) as sent, page.expect_response(is_row):
        page.keyboard.press("Enter")
    assert sent.value.status == ACCEPTED
    assert sent.value.request.post_data_json == {"item": before[0], "type": "cart"}
    expect(page.locator("#picked .card.fresh")).not_to_have_count(0)
    assert picks(page) != before
    assert page.evaluate("window.sameage")
    assert page.evaluate("document.activeElement.closest('#picked') !== null")
    expect(page.locator("#picked [data-said]")).to_have_text("Your picks have changed.")


def test_what_is_turned_down_goes_at_once_and_stays_away(visit: Visit) -> None:
    page = visit("/shop/")
    before = picks(page)
    turned_down = page.locator(f'#picked [data-item-id="{before[2]}"]')
    button = turned_down.get_by_role("button", name="Not for me")
    button.focus()
    with page.expect_response(is_event) as sent, page.expect_response(is_row):
        page.keyboard.press("Enter")
        expect(turned_down).to_have_count(0)
    assert sent.value.status == ACCEPTED
    assert sent.value.request.post_data_json == {"item": before[2], "type": "dislike"}
    assert before[2] not in picks(page)
    assert page.evaluate("document.activeElement.closest('#picked') !== null")
    page.reload()
    assert before[2] not in picks(page)
    assert len(picks(page)) == 8


def test_what_could_not_be_noted_is_put_back_and_said(visit: Visit) -> None:
    page = visit("/shop/")
    before = picks(page)
    page.route("**/shop/events/", lambda route: route.abort())
    card = page.locator("#picked .card").nth(1)
    card.get_by_role("button", name="Not for me").click()
    expect(page.locator("#picked [data-said]")).to_contain_text("could not be noted")
    assert picks(page) == before
    basket = page.locator("#picked .card").first.get_by_role("button", name="Add to basket")
    basket.click()
    expect(basket).not_to_have_attribute("aria-disabled", "true")
    expect(basket).to_contain_text("Add to basket")


def test_a_row_that_cannot_be_loaded_says_so_and_tries_again(visit: Visit) -> None:
    page = visit("/live")
    page.route("**/shop/for-you/", lambda route: route.abort())
    page.goto("/shop/")
    expect(page.locator("#picked .calm")).to_contain_text("could not be loaded")
    expect(page.locator("#grid .card")).to_have_count(24)
    page.unroute("**/shop/for-you/")
    page.locator("#picked").get_by_role("button", name="Try again").click()
    expect(page.locator("#picked .reason")).to_have_count(8)


def test_two_shoppers_see_different_rows_and_a_new_visitor_neither(visit: Visit) -> None:
    page = visit("/shop/")
    shopper = page.get_by_label("Shop as")
    people = [str(one.get_attribute("value")) for one in shopper.locator("option").all()]
    assert len(people) > 2
    rows = {"": picks(page)}
    for person in people[1:3]:
        shopper.select_option(person)
        page.get_by_role("button", name="Switch").click()
        expect(page).to_have_url("/shop/#picked")
        expect(shopper).to_have_value(person)
        rows[person] = picks(page)
    assert len({tuple(row) for row in rows.values()}) == 3
    shopper.select_option("")
    page.get_by_role("button", name="Switch").click()
    expect(shopper).to_have_value("")
    assert picks(page) == rows[""]


def test_a_look_and_a_click_are_noted_and_the_row_at_home_says_because(visit: Visit) -> None:
    page = visit("/live")
    sent = posted(page, "/shop/events/")
    with page.expect_response(is_event) as seen:
        page.goto(ITEM)
    assert seen.value.status == ACCEPTED
    beside = picks(page)
    assert len(beside) == 8
    assert "LK-4410" not in beside
    page.locator("#picked .card a").first.click()
    expect(page).to_have_url(f"/shop/items/{beside[0]}/")
    picks(page)
    assert sent == [
        {"item": "LK-4410", "type": "view"},
        {"item": beside[0], "type": "click"},
        {"item": beside[0], "type": "view"},
    ]
    page.goto("/shop/")
    assert len(picks(page)) == 8
    name = page.locator("#picked .reason").first.inner_text()
    assert "tent" in name.lower()
