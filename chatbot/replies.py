"""A reply as the widget gets it: sentences with their sources, entries to choose from, a refusal.

Only shapes; what is said was decided before. Every sentence names the citation it rests on, or the template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from chatbot.generation import Sentence
from chatbot.intents import Decision
from chatbot.models import Passage
from chatbot.retrieval import Found

MOST_CHOICES = 3
EXCERPT_CHARS = 180
_WITHOUT_SPACES = ("zh", "ja")


def answer(sentences: Sequence[Sentence]) -> dict[str, Any]:
    """Sentences and their sources; sentences that follow one another in a passage share one source.

    List items and table rows stand on lines of their own.
    """
    said: list[dict[str, Any]] = []
    runs: list[list[Sentence]] = []
    for sentence in sentences:
        if runs and _goes_on(runs[-1][-1], sentence):
            runs[-1].append(sentence)
        else:
            runs.append([sentence])
        said.append({"text": sentence.text, "citation": len(runs)})
    citations = [_citation(n, run[0], run[-1]) for n, run in enumerate(runs, start=1)]
    return {"text": _joined(sentences), "sentences": said, "citations": citations}


def worth_offering(found: Sequence[Found]) -> list[Found]:
    """The best passages, at most three, of different titles."""
    offered: dict[str, Found] = {}
    for hit in found:
        offered.setdefault(_title(hit.passage.heading).casefold(), hit)
    return list(offered.values())[:MOST_CHOICES]


def choices(excerpts: Sequence[Sentence], language: str) -> dict[str, Any]:
    """Entries to choose from, none sure enough to be said as the answer, each with its likeliest sentence."""
    with translation.override(language):
        text = _("I am not sure that I understood. Did you mean one of these?")
    offered = [
        {
            "text": _title(one.passage.heading),
            "passage": one.passage.pk,
            "document": one.passage.document.title,
            "excerpt": one.text if len(one.text) <= EXCERPT_CHARS else one.text[: EXCERPT_CHARS - 1] + "…",
        }
        for one in excerpts
    ]
    return {"text": text, "sentences": [_plain(text)], "citations": [], "choices": offered}


def refusal(language: str) -> dict[str, Any]:
    """That the answer is not there, and what can be done."""
    with translation.override(language):
        text = _("I could not find an answer to this in our help pages, so I would rather not guess.")
        advice = pgettext("refusal", "Please put it in other words, or write to our support team.")
    return {"text": f"{text} {advice}", "sentences": [_plain(text), _plain(advice)], "citations": []}


def of_intent(wish: Decision) -> tuple[str, dict[str, Any]]:
    """The outcome and payload of what an intent, a form or small talk says."""
    payload: dict[str, Any] = {
        "text": wish.text,
        "sentences": [{**_plain(wish.text), "template": wish.template}],
        "citations": [],
        "language": wish.language,
        "offers_person": wish.offers_person,
    }
    if wish.choices:
        payload["choices"] = [{"text": choice} for choice in wish.choices]
    return wish.kind, payload


def _joined(sentences: Sequence[Sentence]) -> str:
    text = ""
    for before, sentence in zip([None, *sentences], sentences, strict=False):
        apart = before is not None and before.text != sentence.text and (before.is_item or sentence.is_item)
        gap = "" if sentence.passage.language.startswith(_WITHOUT_SPACES) else " "
        text += ("" if before is None else "\n" if apart else gap) + sentence.text
    return text


def _plain(text: str) -> dict[str, Any]:
    return {"text": text, "citation": None}


def section_of(passage: Passage) -> str:
    """The headings above a passage, without the document's own title before them."""
    first, _, rest = passage.heading.partition(" › ")
    same = first.casefold().strip() == passage.document.title.casefold().strip()
    return rest if same and rest else passage.heading


def _title(heading: str) -> str:
    return heading.rsplit(" › ", 1)[-1]


def _goes_on(before: Sentence, after: Sentence) -> bool:
    """Whether nothing but white space stands between two sentences of one passage."""
    if before.passage.pk != after.passage.pk or after.start < before.end:
        return False
    return not before.passage.text[before.end : after.start].strip()


def _citation(n: int, first: Sentence, last: Sentence) -> dict[str, Any]:
    passage, start, end = first.passage, first.start, last.end
    url = f"/help/{passage.document_id}/?passage={passage.pk}&start={start}&end={end}#passage-{passage.pk}"
    quote = passage.text[start:end]
    return {
        "n": n,
        "document": passage.document.title,
        "section": section_of(passage),
        "quote": quote,
        "url": url,
        "passage": passage.pk,
        "start": start,
        "end": end,
        "hash": hashlib.sha256(quote.encode()).hexdigest()[:16],
    }
