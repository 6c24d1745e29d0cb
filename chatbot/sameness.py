"""What a sentence is about: its words without its figures, and without words that tell nothing apart.

    "We pay refunds within 5 business days of delivery."   refund, pay
    "Your money is refunded in 10 business days."          refund

Two sentences may be held against each other when neither has a word of its own here: "standard" on one side
alone is another case, "customer" is not. Words that mean one thing to a shop's customers (money back and
refund, postage and delivery) count as one. Lists, no model: other wordings of one thing are taken for two
things, and the two are then not compared. Knows no passages and no rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from services.text.clauses import Token, read
from services.text.facts import Fact

_ALIKE = """
refund: refunds refunded refunding refundable reimburse reimbursed reimbursement
deliver: delivery delivered deliveries delivering ship ships shipped shipping shipment shipments dispatch
  dispatched postage post posted send sends sent
return: returns returned returning returnable
cancel: cancels cancelled canceled cancelling canceling cancellation
exchange: exchanges exchanged exchanging swap swapped
warranty: guarantee guaranteed guarantees warranties
discount: discounts discounted reduction rebate
cost: costs price prices priced
expire: expires expired expiry expiring valid validity lapse lapses lapsed lapsing
open: opening opened opens
photo: photos picture pictures image images
phone: telephone
email: mail e-mail emails
telefax: fax
sign: signup register registers registered registration
"""
_LIGHT = """
all every each any anything something everything item items product products goods article articles thing
things order orders ordered ordering purchase purchases purchased buy buys bought customer customers shopper
shoppers buyer buyers person people user users everyone anyone everybody guest
take takes taken taking took come comes coming get gets getting got give gives given giving offer offers
offered offering provide provides provided supply supplied make makes made making need needs needed want
wants wish use uses used using usually usual normally normal generally general typically typical currently
now always ever total total possible allow allowed allows permit permitted accept accepts accepted accepting
available availability simply easily long longer keep kept within with without after before until
time times period day days date dates weeks hours hour minute minutes month months year years
receipt receive receives received arrive arrives arrived arrival reach reaches reached parcel parcels package
packages hand hands start starts starting begin begins beginning count counted counting
able let lets include includes included including contain contains case cases way ways place places
last lasts pay pays paid paying charge charged charges fee fees amount amounts worth full whole complete
completely back us shop store company team do yes no of course free
receives holds held hold automatically about around approximately roughly ca circa exactly right well
standing together over under more less than least most maximum minimum max min up down out off
run runs running try one another unfortunately cost costs price prices
required require requires must optional business working process processed processing via via
"""
_GENERIC = """
how what when where which who why can is there will my long much many often soon help faq faqs question
questions answer answers policy policies guide guides terms condition conditions information info details
detail overview general about contact contacts contacting support service services customer customers manual
page pages handbook rule rules section topic topics common frequently asked our your find know get want
forgot forgotten pay hours hour opening open time times cost costs price prices fee fees offer offers
country countries using
rates rate limit limits basics note notes notice short summary box care inside more plan plans story extra
extras area visit visiting see
"""
_NARROWING = """
paid free full over under maximum minimum automatically optional
"""
_PROCESS = """
return returns refund refunds order orders ordering delivery deliver shipping ship payment payments pay paying
account accounts exchange exchanges shop store shopping warranty cancel cancellation postage sale buying
"""
_HAN_ALIKE = """
zreturn: 退货 退回 退还
zrefund: 退款 返款
zdeliver: 配送 送货 快递 发货 寄送 派送 运送 物流 送达 送到 寄到
zfee: 运费 邮费 快递费 配送费
zitem: 商品 产品 货品 物品 货物 宝贝
zexpire: 有效期 有效 失效 过期
zwarranty: 保修期 保修 质保 质保期
zservice: 客服 客户服务 人工服务
zwork: 工作时间 服务时间 营业时间 上班时间
zcancel: 取消 撤销
zpay: 支付 付款
"""
_HAN_LIGHT_WORDS = """
zitem 收到 签收 购买 订单 顾客 客户 用户 您 你 我们 可以 能够 能 可 一般 通常 大约 约 左右 预计 需要 需 内
之内 以内
提供 支持 享受 享有 享 将 为 是 的 了 在 会 于 后 之后 起 从 自 到账 到 至 前 之前 均 都 所有 全部 每 任何
一律 申请
进行 接受 允许 包括 即可 时间 日 号 天 共 总 最 多 少 长 达 有 请 办理 使用 方式 下单 满 期 限 期限 为期 本
店 我
"""
_HAN_GENERIC = """
带 怎么 怎样 如何 什么 时候 什么时候 多久 多少 吗 呢 能 可以 是否 有 没有 哪些 哪里 问题 常见 帮助 说明 政策
规则 须知
指南 联系 我们 关于 信息 范围 时间 费用 收到 介绍 概述 服务 客服 支持 需要 要 几天 多长 方式
"""
_HAN_PROCESS = (
    "退货 退款 配送 运费 支付 订单 换货 发票 账户 会员 保修 包邮 下单 zreturn zrefund zdeliver zfee zpay"
)

_WORD = re.compile(r"[A-Za-z]+")
_PHRASES = (
    (re.compile(r"\bmoney (?:back|is returned)\b|\bget (?:your|my|the) money\b", re.IGNORECASE), " refund "),
    (re.compile(r"\b(?:send|sends|sent|sending|give|bring) (?:\w+ ){0,2}back\b", re.IGNORECASE), " return "),
    (re.compile(r"\bno longer\b|\bany longer\b|\bany ?more\b|\bnot yet\b", re.IGNORECASE), " not "),
    (
        re.compile(
            r"\b(?:of|after|from|following|since|upon) (?:the |your |its )?(?:(?:date|day) of )?(?:the )?"
            r"(?:delivery|purchase|receipt|arrival|order|receiving \w+)\b(?! (?:of|to)\b)",
            re.IGNORECASE,
        ),
        " ",
    ),
    (re.compile("不(?=包含|包括|含)"), "不 "),
)


def _lines(lists: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lists.strip().splitlines():
        head, colon, words = line.partition(":")
        name, words = (head.strip(), words) if colon else (name, line)
        found |= dict.fromkeys([name, *words.split()], name)
    return found


_CLASS = _lines(_ALIKE)
_HAN_CLASS = _lines(_HAN_ALIKE)
_HAN_ANY = re.compile("|".join(sorted(map(re.escape, _HAN_CLASS), key=len, reverse=True)))


def about(text: str, taken: Sequence[Fact | tuple[int, int]] = ()) -> frozenset[str]:
    """The ideas of a sentence that tell it from others. `taken`: its figures, left out."""
    return frozenset(token.idea for token in tokens(text, taken)) - _light()


def tokens(text: str, taken: Sequence[Fact | tuple[int, int]] = ()) -> list[Token]:
    """Every idea of a sentence with the side it is on, each word as the one that stands for its like."""
    for span in taken:
        start, end = span if isinstance(span, tuple) else (span.start, span.end)
        text = text[:start] + " " * (end - start) + text[end:]
    return list(_tokens(text))


@lru_cache(maxsize=20_000)
def _tokens(text: str) -> tuple[Token, ...]:
    return tuple(read(_one_wording(text).rstrip("?？ ")).tokens)


def heading_words(heading: str) -> frozenset[str]:
    """The ideas of a heading but those that any heading may have ("How", "FAQ", 常见问题)."""
    told = frozenset(token.idea for token in tokens(heading)) - (_light() - _narrowing()) - _generic()
    return frozenset(word for word in told if not word.isdecimal())


def codes(heading: str) -> frozenset[str]:
    """What a heading has with digits: models, years, steps."""
    return frozenset(re.findall(r"\w*\d[\w.-]*", heading.lower()))


def without_processes(ideas: frozenset[str]) -> frozenset[str]:
    """Ideas but for what a shop's chapters are called: returns, orders, delivery."""
    return ideas - _process()


def _one_wording(text: str) -> str:
    for pattern, words in _PHRASES:
        text = pattern.sub(words, text)
    text = _HAN_ANY.sub(lambda match: f" {_HAN_CLASS[match.group()]} ", text)
    return _WORD.sub(lambda match: _CLASS.get(match.group().lower(), match.group()), text)


@lru_cache(maxsize=1)
def _light() -> frozenset[str]:
    return _ideas(_LIGHT) | _ideas(_HAN_LIGHT_WORDS)


@lru_cache(maxsize=1)
def _generic() -> frozenset[str]:
    return _ideas(_GENERIC) | _ideas(_HAN_GENERIC)


@lru_cache(maxsize=1)
def _process() -> frozenset[str]:
    return _ideas(_PROCESS) | _ideas(_HAN_PROCESS)


@lru_cache(maxsize=1)
def _narrowing() -> frozenset[str]:
    return _ideas(_NARROWING)


def _ideas(words: str) -> frozenset[str]:
    """Each word of a list as the idea that `tokens` gives it."""
    return frozenset(
        token.idea for word in words.split() for token in read(_one_wording(word.strip())).tokens
    )
