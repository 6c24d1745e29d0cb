"""What the bench shows of an answer and of a value of carefulness: sentences, bars and tiles.

Every number comes from `bench` and `carefulness`; here it gets its words, in the reader's language, and its
place in a picture. Pictures are lines of _WIDTH units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from chatbot import bench, carefulness
from chatbot.answerability import zones
from chatbot.bench import Looked, Sign

_WIDTH = 1000
_LEAST_SHOWN = 0.0005


def shown(looked: Looked) -> dict[str, Any]:
    """An answer taken apart, in the words and the pictures of the page."""
    top = max((row.found.score for row in looked.rows), default=1.0) or 1.0
    names = _view_names()
    rows = []
    for row in looked.rows:
        bars, at = [], 0.0
        for n, part in enumerate(row.parts):
            width = max(part, 0.0) / max(top, 1e-9) * _WIDTH
            bars.append({"n": n + 1, "x": f"{at:.1f}", "width": f"{width:.1f}"})
            at += width
        views = zip(names.values(), row.found.views, looked.shares, row.parts, strict=True)
        rows.append({"row": row, "bars": bars, "views": list(views)})
    signs = [(sign, _sign_words(sign), _sign_bar(sign, looked.signs)) for sign in looked.signs]
    return {
        "looked": looked,
        "rows": rows,
        "views": [(n + 1, name) for n, name in enumerate(names.values())],
        "spoken": _language(looked.seen.spoken),
        "why": _why(looked),
        "what_if": _what_if(looked),
        "scale": scale(looked.asked.inbox.knowledge_base.carefulness, looked.seen.judged.probability),
        "signs": signs,
        "zone_words": _zone_words(looked.seen.zone),
        "border_words": {
            "faq": _("entries under a question"),
            "documents": _("sections of documents"),
            "words": _("searches by words alone"),
        }.get(looked.border, ""),
    }


def _view_names() -> dict[str, str]:
    names = (_("Question"), _("Best piece"), _("Whole"), _("Words"))
    return dict(zip(bench.VIEWS, names, strict=True))


def _language(tag: str) -> str:
    names = {"en": _("English"), "zh-hans": _("Simplified Chinese"), "zh-hant": _("Traditional Chinese")}
    return names.get(tag, tag)


def _zone_words(zone: str) -> str:
    return {"answer": _("answer"), "offer": _("offer up to three"), "refuse": _("refuse")}.get(zone, zone)


def _why(looked: Looked) -> list[str]:
    """Why the first is first, in sentences."""
    if len(looked.rows) < 2:
        return [_("It is the only passage found.")] if looked.rows else []
    if "failed" in looked.seen.reranking:
        return [_("The reranker did not answer in time: the search's order stands."), *_weighed(looked)]
    if "model" not in looked.seen.reranking:
        return _weighed(looked)
    told = {
        "model": looked.seen.reranking["model"],
        "first": looked.rows[0].found.passage.heading,
        "score": f"{looked.rows[0].found.rerank or 0:.3f}",
    }
    order = (
        _("The reranker %(model)s read the passages beside the question; “%(first)s” got %(score)s.") % told
    )
    return [order, _("By the search's own score, before it:"), *_weighed(looked)]


def _weighed(looked: Looked) -> list[str]:
    """Why the first by the search's score is that, in sentences."""
    by_score = sorted((row.found for row in looked.rows), key=lambda hit: -hit.score)
    first, second = by_score[:2]
    ahead = first.score - second.score
    if ahead < _LEAST_SHOWN:
        return [_("The first two score alike; of equals, the one that was added first comes first.")]
    (most, by), *_rest = looked.ahead
    told = {
        "ahead": f"{ahead:.3f}",
        "by": f"{by:.3f}",
        "first": first.passage.heading,
        "second": second.passage.heading,
    }
    reasons = {
        "question": _("Its title or a variant of its question is nearer to what was asked"),
        "best_piece": _("A stretch of its text is nearer to what was asked"),
        "whole": _("As a whole it is nearer to what was asked"),
        "words": _("It has more of the question's words"),
    }
    lines = [_("“%(first)s” is %(ahead)s ahead of “%(second)s”.") % told]
    lines.append(_("%(reason)s: that view makes %(by)s of it.") % {**told, "reason": reasons[most]})
    against = [(name, gain) for name, gain in looked.ahead if gain <= -_LEAST_SHOWN]
    if against:
        name, gain = against[-1]
        lines.append(
            _("Against it speaks “%(view)s”, by %(by)s.")
            % {"view": _view_names()[name], "by": f"{-gain:.3f}"}
        )
    return lines


def _what_if(looked: Looked) -> list[str]:
    """What would put another passage first, in sentences."""
    if len(looked.rows) < 2:
        return []
    lines = []
    if not looked.by_meaning:
        lines.append(_("Only words were compared: no weight can be moved against another."))
    elif (change := looked.change) is None:
        lines.append(_("No change of a single weight puts another one first."))
    else:
        told = {
            "view": _view_names()[change.view],
            "then": f"{change.then:.2f}",
            "now": f"{change.now:.2f}",
            "title": change.first.passage.heading,
        }
        lines.append(
            _("With the weight of “%(view)s” at %(then)s (now %(now)s) “%(title)s” would be first.") % told
        )
    second = looked.rows[1]
    if second.by_variant is not None:
        words = (
            _("A question variant in this wording would put “%(title)s” first.")
            if second.by_variant
            else _("A question variant in this wording would not by its meaning alone put “%(title)s” first.")
        )
        lines.append(words % {"title": second.found.passage.heading})
    return lines


def scale(value: float, probability: float | None) -> dict[str, Any]:
    """The three zones on a line of _WIDTH, and where a probability lies on it."""
    at = zones(value)
    offer, answer = at.offer * _WIDTH, at.answer * _WIDTH
    return {
        "offer": f"{offer:.0f}",
        "answer": f"{answer:.0f}",
        "offered": f"{answer - offer:.0f}",
        "answered": f"{_WIDTH - answer:.0f}",
        "mark": None if probability is None else f"{probability * _WIDTH:.0f}",
        "offer_from": at.offer,
        "answer_from": at.answer,
    }


def _sign_words(sign: Sign) -> str:
    """A sign as a sentence, and which way it speaks."""
    if sign.value is None:
        return _("There is nothing to tell it by.")
    told = {"value": f"{sign.value:.2f}", "usual": f"{sign.usual:.2f}"}
    words = {
        "dense": _("The nearest of the first four has cosine %(value)s; %(usual)s is usual."),
        "lexical": _(
            "The best of the first four covers %(value)s of the question's words; %(usual)s is usual."
        ),
        "score": _("The first scores %(value)s; %(usual)s is usual."),
        "margin": _("The first is %(value)s ahead of the second; %(usual)s is usual."),
        "lead": _("Its cosine is %(value)s above the mean of the next four; %(usual)s is usual."),
        "agree": _("The first by score is also first by words.")
        if sign.value
        else _("Another passage has more of the question's words."),
    }[sign.name] % told
    if abs(sign.part) < _LEAST_SHOWN:
        return f"{words} {_('It does not count here.')}"
    return (
        f"{words} {_('That speaks for answering.') if sign.part > 0 else _('That speaks against answering.')}"
    )


def _sign_bar(sign: Sign, signs: tuple[Sign, ...]) -> dict[str, str]:
    """A bar to the right for what speaks for answering, to the left for what speaks against."""
    most = max((abs(one.part) for one in signs), default=0.0) or 1.0
    width = abs(sign.part) / most * _WIDTH / 2
    x = _WIDTH / 2 - (width if sign.part < 0 else 0)
    return {"x": f"{x:.0f}", "width": f"{width:.0f}", "way": "for" if sign.part >= 0 else "against"}


def tiles(now: carefulness.Figures, then: carefulness.Figures) -> Iterator[dict[str, str]]:
    """The figures with their change against the saved value; `good`: whether the change is welcome."""
    rows = (
        (_("Answered"), now.answered, then.answered, 0, _("of all cases")),
        (_("Offered"), now.offered, then.offered, 0, _("of all cases")),
        (_("Refused"), now.refused, then.refused, 0, _("of all cases")),
        (_("Right when answering"), now.precision, then.precision, 1, _("of those answered")),
        (_("Refused wrongly"), now.false_refusals, then.false_refusals, -1, _("of those it knows")),
        (_("Refused rightly"), now.refused_rightly, then.refused_rightly, 1, _("of those it does not know")),
    )
    for name, value, before, wish, of in rows:
        change = None if value is None or before is None else 100 * (value - before)
        moved = change is not None and abs(change) >= 0.05
        mood = "" if not moved or not wish else "good" if (change or 0) * wish > 0 else "wrong"
        arrow = "" if not moved else "▲" if (change or 0) > 0 else "▼"
        yield {
            "name": name,
            "of": of,
            "value": "–" if value is None else f"{100 * value:.1f} %",
            "change": f"{arrow} {abs(change or 0):.1f}" if moved else "=",
            "mood": mood,
        }


def side_words(side: carefulness.Side) -> tuple[str, str, str]:
    """Which kind of case it is, what was done with it, what would be."""
    kinds = {
        "known": _("first passage is right") if side.case.right else _("first passage is wrong"),
        "taken": _("its passage taken away"),
        "unknown": _("has no answer"),
    }
    did = {"answer": _("answered"), "offer": _("offered"), "refuse": _("refused")}
    return kinds[side.case.kind], did[side.then], did[side.now]
