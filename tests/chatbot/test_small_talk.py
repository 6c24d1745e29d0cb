"""Greetings, thanks, goodbyes and the wish for a person are seen, and questions behind them are not taken."""

from __future__ import annotations

import time

import pytest

from chatbot import small_talk

SAID = {
    "greeting": [
        "Hi",
        "hello there!",
        "Good morning",
        "hey 👋",
        "Hi, how are you?",
        "你好",
        "您好呀",
        "在吗",
    ],
    "thanks": [
        "Thanks!",
        "ok thank you so much",
        "Great, thanks",
        "that helped, thanks",
        "谢谢你",
        "好的，谢谢",
    ],
    "goodbye": ["bye", "ok thanks bye", "that's all", "have a nice day", "再见"],
    "agreed": ["ok", "Got it", "好的", "嗯嗯"],
    "bot": [
        "are you a bot?",
        "Am I talking to a real person?",
        "who are you?",
        "你是机器人吗",
        "您是真人还是机器人",
    ],
    "abuse": ["you are useless", "stupid bot", "this is garbage", "垃圾", "你真是个废物", "滚"],
    "stop": ["never mind", "Cancel", "nevermind, thanks", "forget it", "取消", "算了", "不用了谢谢"],
    "person": [
        "I want to talk to a person",
        "human please",
        "Can I speak to someone?",
        "I'd like to talk to customer service about my return",
        "can you connect me with a real person please",
        "转人工",
        "人工客服",
        "我想和真人聊",
        "能不能转人工",
    ],
}
QUESTIONS = [
    "thanks, and how do I return it?",
    "hi, where is my order?",
    "ok but when does it arrive",
    "cancel my order",
    "stop order LM-204518",
    "What are your customer service hours?",
    "How do I talk to customer service by phone?",
    "I don't want to talk to a person",
    "my agent picked up the parcel",
    "This damn parcel has still not arrived",
    "can I return a useless lamp",
    "are you open today?",
    "is it a real leather boot?",
    "你好，退款多久到账？",
    "谢谢，那怎么退货？",
    "取消订单",
    "人工客服几点上班",
    "客服电话是多少",
    "",
    "???",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SAID.items() for text in texts])
def test_small_talk_is_seen(kind: str, text: str) -> None:
    assert small_talk.kind_of(text) == kind


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_is_never_small_talk(text: str) -> None:
    assert small_talk.kind_of(text) == ""


def test_not_knowing_and_asking_are_told_apart() -> None:
    assert all(map(small_talk.declines, ["I don't know", "no idea", "I don't have my order number", "忘了"]))
    assert not any(map(small_talk.declines, ["LM-204518", "I do", "where do I find it?"]))
    assert all(map(small_talk.is_question, ["where do I find it", "Really?", "怎么查", "多久能到"]))
    assert not any(map(small_talk.is_question, ["LM-204518", "it is in the mail", "昨天"]))


def test_no_message_takes_long() -> None:
    began = time.perf_counter()
    for text in ("a " * 60, "ok " * 40, "real live " * 12, "好的" * 60, "我想要" * 40, "thanks so much " * 8):
        small_talk.kind_of(text)
        small_talk.is_question(text * 20)
    assert time.perf_counter() - began < 1
