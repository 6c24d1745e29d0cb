"""Yes and no are told apart near the predicate, through double negations, opposites and bounds."""

from __future__ import annotations

import pytest

from services.text.polarity import disagreement

CONTRARY = [
    ("Sale items can be returned.", "Sale items cannot be returned."),
    ("Sale items cannot be returned.", "Sale items can be returned."),
    (
        "Sale items can be returned, but gift cards cannot.",
        "Sale items cannot be returned, but gift cards can.",
    ),
    ("Gift cards cannot be refunded.", "Sale items cannot be returned and gift cards can be refunded."),
    ("We share your data.", "We never share your data."),
    ("Refunds are accepted.", "Refunds are refused."),
    ("Opened items are allowed.", "Opened items are forbidden."),
    ("Opened items can be returned.", "Items that are not opened can be returned."),
    ("The order is refundable.", "The order is non-refundable."),
    ("You can cancel with a fee.", "You can cancel without a fee."),
    ("Cancel before shipping.", "Cancel after shipping."),
    ("It takes at least 5 days.", "It takes no more than 5 days."),
    ("Wash it at least once a year.", "Wash it at most once a year."),
    ("It is possible to change the address.", "The address cannot be changed."),
    ("The shop is open on Sunday.", "The shop is closed on Sunday."),
    ("The set excludes batteries.", "The set includes batteries."),
    ("Returns cost a fee.", "Returns cost no fee."),
    ("Necessary cookies can be switched off.", "Necessary cookies cannot be switched off."),
    (
        "What counts is the day the parcel reaches us.",
        "What counts is the day you send it, not the day it reaches us.",
    ),
    ("Linseed oil is suitable.", "Oil: Linseed; Suitable: no, the layer chips"),
    ("打折商品不能退货。", "打折商品可以退货。"),
    ("打折商品可以退货。", "打折商品不可退货。"),
    ("订单可以修改。", "订单无法修改。"),
    ("最多退50%。", "至少退50%。"),
    ("签收前可以取消。", "签收后可以取消。"),
    ("运费由我们承担。", "运费不由我们承担。"),
    ("该功能已启用。", "该功能已停用。"),
    ("没有手续费。", "有手续费。"),
    ("需要签名。", "不需要签名。"),
    ("允许携带。", "禁止携带。"),
    ("价格不包括税。", "价格包括税。"),
]


@pytest.mark.parametrize(("claim", "source"), CONTRARY)
def test_the_contrary_is_seen(claim: str, source: str) -> None:
    assert disagreement(claim, source)


ALIKE = [
    ("Sale items can't be returned.", "Sale items cannot be returned."),
    ("You cannot return sale items.", "Sale items cannot be returned."),
    ("Sale items are not returnable.", "Sale items cannot be returned."),
    ("We do not offer refunds.", "We offer no refunds."),
    ("Refunds are refused.", "Refunds are not accepted."),
    ("Opened items are not allowed.", "Opened items are forbidden."),
    ("Unopened items can be returned.", "Items that are not opened can be returned."),
    ("Gift cards can be refunded.", "Sale items cannot be returned and gift cards can be refunded."),
    ("It works not only with iOS but also with Android.", "It works with iOS and Android."),
    ("It takes at most 5 days.", "It takes no more than 5 days."),
    ("It takes 5 days or more.", "It takes at least 5 days."),
    ("You can cancel.", "You can cancel without paying a fee."),
    ("The order is not refundable.", "The order is non-refundable."),
    ("It is impossible to change the address.", "The address cannot be changed."),
    ("It is not uncommon to see delays.", "It is common to see delays."),
    ("We never share your data.", "We do not share your data."),
    ("The shop isn't open on Sunday.", "The shop is closed on Sunday."),
    ("There is no charge for returns.", "Returns are free."),
    ("Nobody can see your password.", "No one can see your password."),
    ("The set does not include batteries.", "Batteries are excluded from the set."),
    ("I do not think returns are possible.", "Returns are not possible."),
    (
        "If we can't repair it, you get a better model.",
        "If a repair is not possible, we send a better model.",
    ),
    ("Linseed oil isn't suitable.", "Oil: Linseed; Suitable: no, the layer chips"),
    ("打折商品不支持退货。", "打折商品不能退货。"),
    ("不仅支持支付宝，还支持微信。", "支持支付宝和微信。"),
    ("礼品卡不得不使用。", "礼品卡必须使用。"),
    ("不超过30公斤。", "最多30公斤。"),
    ("请在发货之前取消。", "请在发货前取消。"),
    ("订单无法修改。", "订单不能修改。"),
    ("拆封后不可退。", "拆封后的商品不能退。"),
    ("不用再付钱。", "不需要再付钱。"),
    ("退货免运费。", "退货包邮。"),
]


@pytest.mark.parametrize(("claim", "source"), ALIKE)
def test_the_same_in_other_words_is_no_contradiction(claim: str, source: str) -> None:
    assert disagreement(claim, source) == ""


@pytest.mark.parametrize("text", [text for pair in [*CONTRARY, *ALIKE] for text in pair])
def test_no_sentence_contradicts_itself(text: str) -> None:
    assert disagreement(text, text) == ""


def test_a_question_is_answered_by_yes_or_no() -> None:
    asked = "Can I return sale items?"
    assert disagreement("Sale items can be returned.", f"{asked} No, they are final.") == "opposed"
    assert disagreement("Sale items cannot be returned.", f"{asked} No, they are final.") == ""
    assert disagreement("Sale items can be returned.", f"{asked} Yes, within 30 days.") == ""
    assert disagreement("Sale items can be returned.", "No, they are final.", asked) == "opposed"
    assert disagreement("打折商品可以退货。", "打折商品可以退货吗？不可以。") == "opposed"


def test_a_question_that_nobody_answers_says_neither() -> None:
    assert disagreement("Sale items can be returned.", "Why can't I return sale items?") == ""


def test_a_heading_may_negate_what_stands_under_it() -> None:
    heading = "What cannot be returned"
    assert disagreement("Gift cards can be returned.", "Item: Gift cards; Why: value used", heading)
    assert not disagreement("Gift cards can't be returned.", "Item: Gift cards; Why: value used", heading)
    assert not disagreement(
        "Why are gift cards listed? Value used.", "Item: Gift cards; Why: value used", heading
    )


def test_a_negation_that_the_source_does_not_know_is_unsaid_not_opposed() -> None:
    assert disagreement("Refunds take 5 days, but never on Sundays.", "Refunds take 5 days.") == "unsaid"
