"""A question that leans on what was said before, made to stand alone for the search.

    "How long does a refund take?"  then  "and for gift cards?"  ->  "and for gift cards? long refund take"

What leans (see `leaning`) gets the telling words of the question before it, and of the heading its answer
came from; everything else stays as it is, to the letter. With a model that writes, what leans is worded by
it, within checks: every number and code stays, nothing is added. The visitor never sees the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatbot import prompts
from chatbot.leaning import asks, is_generic, leans, stops, telling
from services.errors import DeadlineExceeded, SuiteError
from services.inference.engine import Engine
from services.inference.runtimes.circuit import Circuit, CircuitOpen
from services.inference.values import Sampling
from services.inference.writing import write
from services.logs import get_logger
from services.search.tokens import tokenize

log = get_logger(__name__)

TERMS = 8
"""Most words taken over from before."""
TURNS_BACK = 4
"""How many of the visitor's questions are looked at, when one leans on another."""
REWRITE_S = 2.5
_LONGEST = 300
_slow = Circuit(failures=3, cool_off_s=30.0)
"""A model that was too slow three times in a row is not asked for a while: nobody is to wait for it again."""


def resolve(
    question: str,
    earlier: Sequence[tuple[str, str]],
    *,
    language: str,
    engine: Engine | None = None,
    heading: str = "",
) -> str:
    """What to search for: the question itself, unless it leans on what was said before.

    `earlier`: (role, text), oldest first, role "visitor", "bot" or "agent", without this question and without
    personal data. `heading`: of the passage that the last answer cites ("Returns › Refunds"). With an engine
    that writes, a leaning question is worded by its model, for REWRITE_S seconds at most; when that fails a
    check or the engine fails, and without one, words of the earlier question are joined to it.
    Never raises a SuiteError.
    """
    asked = [text for role, text in earlier if role == "visitor"][-TURNS_BACK:]
    if not asked or not leans(question):
        return question
    ours = joined(question, asked, heading)
    if engine is None:
        return ours
    return _worded(question, earlier, language=language, engine=engine, about=ours) or ours


def joined(question: str, asked: Sequence[str], heading: str = "") -> str:
    """The question and, after it, the telling words of the visitor's questions before it that it lacks.

    `asked`: oldest first. The search goes back as long as the questions lean themselves.
    """
    known = set(tokenize(question))
    words: list[str] = []
    for text in reversed(asked):
        new = telling(text, known, asking=not asks(question))
        words = [*new, *words]
        known |= set(tokenize(" ".join(new)))
        if new and not leans(text):
            break
    words += telling(heading.rsplit("›", 1)[-1].strip(), known)
    return " ".join([question.strip(), *words[:TERMS]]) if words else question


def holds(worded: str, question: str, said: Sequence[str]) -> bool:
    """Whether a wording may stand for a question.

    One short line, every number and code of the question in it, none that was never said, and nearly all of
    its words said before.
    """
    if not worded or "\n" in worded or len(worded) > _LONGEST or "<" in worded or "://" in worded:
        return False
    allowed, terms = set(tokenize(" ".join(said))), set(tokenize(worded))
    must = {term for term in tokenize(question) if _has_digit(term)}
    if not must <= terms or not {term for term in terms if _has_digit(term)} <= allowed:
        return False
    new = [t for t in terms if t not in allowed and t not in stops() and not is_generic(t)]
    return len(new) <= len(terms) // 5


def _worded(
    question: str, earlier: Sequence[tuple[str, str]], *, language: str, engine: Engine, about: str
) -> str | None:
    """The model's wording; None when there is no model, it fails, or what it wrote does not hold."""
    if not any(model.kind == "generator" for model in engine.models()):
        return None
    nonce = prompts.new_nonce()
    messages = prompts.rewrite_messages(question, earlier, language=language, nonce=nonce)
    try:
        with _slow.attempt() as attempt:
            try:
                text, finished = write(engine, messages, Sampling(max_tokens=96), deadline_s=REWRITE_S)
            except DeadlineExceeded:
                attempt.failed()
                raise
            attempt.succeeded()
    except CircuitOpen:
        return None
    except SuiteError as error:
        log.info("rewriting_failed", code=error.code)
        return None
    worded = text.strip().strip("\"'“”").strip()
    said = [*(text for _, text in earlier[-prompts.EARLIER_TURNS :]), question, about]
    if finished.reason != "stop" or not holds(worded, question, said) or prompts.leaks(worded, nonce):
        log.info("rewriting_refused")
        return None
    return worded


def _has_digit(term: str) -> bool:
    return any(char.isdigit() for char in term)
