"""Visitors' pages: framed only where allowed, every word escaped, the cited words marked."""

from __future__ import annotations

import pytest
from django.test import Client

from chatbot.models import KnowledgeBase, Passage
from tests.builders import RETURNS_MD, make_inbox, make_knowledge_base

pytestmark = pytest.mark.django_db


def test_the_frame_names_the_websites_that_may_show_it(client: Client) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    make_inbox(base, allowed_origins=["https://shop.example.com"])
    answer = client.get("/chat/frame/?inbox=shop")
    assert answer.status_code == 200
    policy = answer["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' https://shop.example.com")
    assert "unsafe-inline" not in policy
    assert "x-frame-options" not in answer


def test_a_frame_without_a_known_inbox_is_not_found(client: Client) -> None:
    assert client.get("/chat/frame/?inbox=nope").status_code == 404


def test_only_the_cited_words_are_marked(client: Client) -> None:
    make_knowledge_base(returns_md=RETURNS_MD)
    passage = Passage.objects.get(heading__endswith="Refunds")
    end = passage.text.index(".") + 1
    page = client.get(f"/help/{passage.document_id}/?passage={passage.pk}&start=0&end={end}").content.decode()
    assert page.count("<mark>") == 1
    assert f"<mark>{passage.text[:end]}</mark>" in page


def test_a_document_full_of_markup_is_shown_as_words(client: Client) -> None:
    make_knowledge_base(
        evil_md=b"# <img src=x onerror=alert(1)>\n\n&lt;script&gt;alert(2)&lt;/script&gt; end"
    )
    passage = Passage.objects.get()
    page = client.get(f"/help/{passage.document_id}/?passage={passage.pk}&start=0&end=9999").content.decode()
    assert "<img src=x" not in page
    assert "<script>alert(2)" not in page
    assert "&lt;script&gt;alert(2)" in page


@pytest.mark.parametrize(
    "query", ["passage=x&start=y&end=z", "start=-5&end=1e9", "passage=99999999999999999999"]
)
def test_a_citation_of_nonsense_shows_the_document_unmarked(client: Client, query: str) -> None:
    make_knowledge_base(returns_md=RETURNS_MD)
    document_id = Passage.objects.first().document_id  # type: ignore[union-attr]
    answer = client.get(f"/help/{document_id}/?{query}")
    assert answer.status_code == 200
    assert "<mark>" not in answer.content.decode()
