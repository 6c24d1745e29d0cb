"""Sentences that carry the answer: lists come with what announces them, and stand on lines of their own."""

from __future__ import annotations

import pytest

from chatbot import generation, replies
from chatbot.models import Passage
from chatbot.retrieval import Found
from services.inference.fake import FakeEngine
from tests.builders import make_knowledge_base

GUIDE = b"""# Boots

## Waxing boots

Waxing boots keeps them dry. To wax boots you need:

- a soft brush
- boot wax
- an old cloth

Let the boots dry for a night. More about waxing boots:
"""


@pytest.fixture
def passage() -> Passage:
    make_knowledge_base(boots_md=GUIDE)
    return Passage.objects.select_related("document").get()


def said(passage: Passage, question: str) -> list[str]:
    found = [Found(passage, 1.0, 0.8, 0.8)]
    told = generation.extract(question, found, language="en", engine=FakeEngine(), limit=2)
    return replies.answer(told)["text"].split("\n")


@pytest.mark.django_db
def test_what_announces_a_list_brings_its_items(passage: Passage) -> None:
    lines = said(passage, "to wax boots you need what?")
    assert lines[0].endswith("To wax boots you need:")
    assert lines[1:4] == ["a soft brush", "boot wax", "an old cloth"]


@pytest.mark.django_db
def test_what_announces_something_that_does_not_follow_is_not_said(passage: Passage) -> None:
    assert "More about waxing boots:" not in "\n".join(said(passage, "more about waxing boots"))


@pytest.mark.django_db
def test_a_source_is_named_once_with_its_document(passage: Passage) -> None:
    (citation,) = replies.answer(generation.extract(
        "waxing boots", [Found(passage, 1.0, 0.8, 0.8)], language="en", engine=FakeEngine(), limit=1
    ))["citations"]  # fmt: skip
    assert (citation["document"], citation["section"]) == ("Boots", "Waxing boots")
