"""How careful the assistant is: what another value would do, seen before it is saved.

The evaluation cases of a knowledge base are asked of its live version once, a part at a time, and kept in
the cache; a value between 0 and 1 only moves the borders of the zones over those probabilities. A case with
an answer is asked a second time without the passage that answers: what the knowledge does not hold should be
refused. Saving is one conditional update, kept in the knowledge base's history.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from chatbot import evaluation, retrieval
from chatbot.answerability import Zone, zones
from chatbot.models import KnowledgeBase
from services.errors import Conflict, InvalidInput
from services.inference.engine import Engine
from services.storage import Storage

KEPT_S = 3600
"""Seconds for which the cases' probabilities are kept."""
STEP_S = 1.5
_AT_ONCE = 32
MOST_SIDES = 60

Kind = Literal["known", "taken", "unknown"]
"""known: the live version holds the answer; taken: the same with it taken away; unknown: it has no answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A case as it was asked: how likely the first passage answers, and whether it is the right one.

    `among`: how likely one of the first three does.
    """

    question: str
    title: str
    kind: Kind
    probability: float
    right: bool
    among: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the cases are asked; `asked` when all are."""

    done: int
    total: int
    asked: tuple[Asked, ...] | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What is done with the cases as they are, in shares of them; None where there are none to tell it by.

    `precision`: answered rightly among those answered; `false_refusals`: refused among those the knowledge
    answers; `refused_rightly`: refused among those it does not, the ones with their passage taken away too.
    """

    answered: float | None
    offered: float | None
    refused: float | None
    precision: float | None
    false_refusals: float | None
    refused_rightly: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """A case that another value treats otherwise. `better`: the change is for the better."""

    case: Asked
    then: Zone
    now: Zone
    better: bool


def step(
    knowledge_base: KnowledgeBase,
    engine: Engine,
    storage: Storage,
    *,
    clock: Callable[[], float] = time.monotonic,
    budget_s: float = STEP_S,
) -> Progress:
    """Ask some more cases, for `budget_s` seconds; what is asked is kept, so the next step goes on.

    Raises the engine's and the index's SuiteErrors; what was asked before is kept.
    """
    live = knowledge_base.live_version
    cases = evaluation.cases_of(knowledge_base, frozenset(live.passage_ids) if live else frozenset())
    if not cases or not knowledge_base.index_path:
        return Progress(0, 0, ())
    key = _key(knowledge_base, cases, engine)
    done, rows = cache.get(key) or (0, [])
    if done < len(cases):
        index = retrieval.open_index(knowledge_base.index_path, engine, storage)
        borders = retrieval.borders_of(knowledge_base, storage)
        ends = clock() + budget_s
        while done < len(cases) and clock() < ends:
            part = cases[done : done + _AT_ONCE]
            asked = evaluation.ask(part, index, borders, engine, knowledge_base)
            rows += [row for pair in zip(part, asked, strict=True) for row in _told(*pair)]
            done += len(part)
        cache.set(key, (done, rows), KEPT_S)
    return Progress(done, len(cases), tuple(rows) if done == len(cases) else None)


def figures(asked: tuple[Asked, ...], carefulness: float) -> Figures:
    """What the cases would come to at that value."""
    borders = zones(carefulness)
    did = [(case, borders.of(case.probability, case.among)) for case in asked]
    answered = [case for case, zone in did if zone == "answer" and case.kind != "taken"]
    known = [zone for case, zone in did if case.kind == "known"]
    others = [zone for case, zone in did if case.kind != "known"]
    whole = Counter(zone for case, zone in did if case.kind != "taken")
    return Figures(
        _share(whole["answer"], whole.total()),
        _share(whole["offer"], whole.total()),
        _share(whole["refuse"], whole.total()),
        _share(sum(case.right for case in answered), len(answered)),
        _share(known.count("refuse"), len(known)),
        _share(others.count("refuse"), len(others)),
    )


def sides(asked: tuple[Asked, ...], saved: float, tried: float) -> list[Side]:
    """The cases that change sides from the saved value to another, those for the worse first."""
    then, now = zones(saved), zones(tried)
    found = []
    for case in asked:
        before, after = then.of(case.probability, case.among), now.of(case.probability, case.among)
        if before != after:
            bolder = ("refuse", "offer", "answer").index(after) > ("refuse", "offer", "answer").index(before)
            wanted = case.right or (case.kind == "known" and after != "answer" and before != "answer")
            found.append(Side(case, before, after, bolder == wanted))
    return sorted(found, key=lambda side: (side.better, side.case.probability))


def parsed(value: str) -> float:
    """A value between 0 and 1, to two decimals. Raises InvalidInput on `carefulness`."""
    try:
        number = float(value.replace(",", "."))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise InvalidInput(_("Give a number between 0 and 1, such as 0.5."), field="carefulness")
    return round(number, 2)


def save(knowledge_base: KnowledgeBase, value: float, *, expected: float, who: str) -> None:
    """Keep a value while `expected` is the one that is kept; it holds for the next question.

    Raises Conflict when another was saved meanwhile; nothing was changed.
    """
    rows = KnowledgeBase.objects.filter(pk=knowledge_base.pk)
    with transaction.atomic():
        kept = rows.select_for_update().values_list("carefulness", flat=True).get()
        if not math.isclose(kept, expected, abs_tol=0.005):
            raise Conflict(
                _("Somebody saved %(kept)s meanwhile. Nothing was changed: look at its effect, then decide.")
                % {"kept": f"{kept:.2f}"}
            )
        rows.update(carefulness=value)
        user = User.objects.get(username=who)
        told = json.dumps([{"changed": {"fields": [f"carefulness: {kept:.2f} → {value:.2f}"]}}])
        LogEntry.objects.log_actions(user.pk, rows, CHANGE, told, single_object=True)
    knowledge_base.carefulness = value


def _told(case: evaluation.Case, asked: evaluation.Asked) -> Iterator[Asked]:
    """A case as one question or two; one whose passage the live version does not hold says nothing."""
    if not case.answerable:
        yield Asked(case.question, "", "unknown", asked.probability, False, asked.among)
    elif asked.held:
        yield Asked(case.question, case.title, "known", asked.probability, asked.rank == 1, asked.among)
        yield Asked(case.question, case.title, "taken", asked.without, False, asked.among_without)


def _key(knowledge_base: KnowledgeBase, cases: list[evaluation.Case], engine: Engine) -> str:
    """A name for everything the probabilities depend on."""
    told: list[Any] = [knowledge_base.pk, knowledge_base.index_path, engine.encoder().version]
    told += [(case.question, sorted(map(str, case.places)), case.origin) for case in cases]
    return f"carefulness-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}"


def _share(some: int, of: int) -> float | None:
    return some / of if of else None
