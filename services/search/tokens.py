"""Texts as search terms, for languages with spaces and for Chinese, with product codes kept whole.

    "Returning LM-204518s"  ->  return, lm-204518s, lm, 204518s
    "退货需要多久"            ->  退货, 需要, 多久

Everything is folded first (NFKC, lower case). Words are stemmed (Snowball) and, in queries only, the
commonest ones dropped. A code (letters or digits joined by `-`, `_`, `.` or `/`, with a digit among
them) is a term as a whole and in its parts, so that both the exact code and "order 204518" find it.
A run of Han characters gives the words jieba sees in it, long ones in their parts too, and the pairs of
neighbours where it sees no word: so a name that the dictionary does not know is still found.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import unicodedata
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from services.text.language import HAN, HANGUL, KANA

_LONGEST_RUN = 128
"""Han characters segmented at once: jieba's time grows with the square of a run."""

_TERM = re.compile(
    f"(?P<han>[{HAN}]{{1,{_LONGEST_RUN}}})|(?P<pairs>[{KANA}{HANGUL}]++)"
    rf"|(?P<latin>[^\W_{HAN}{KANA}{HANGUL}]++(?:[-_./,'’][^\W_{HAN}{KANA}{HANGUL}]++)*+)"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_JOINER = re.compile(r"[-_./]")
_HYPHENATED_LETTER = re.compile(r"[a-z]-[a-z]{2,}")
_GLUED = re.compile(r"([a-z]{1,6})(\d{2,})")
_LONGEST_CODE = 40
"""Characters; what is longer is a path or an address, found by its parts."""

_STEMMERS = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
    "ru": "russian",
}

_COMMONEST = """
a about am an and any are as at be been being but by can could did do does doing for from get had has have
having he her him his how i if in into is it its just let like may me might my no not of on or our please
shall she should so some than that the their them then there these they this those to us want was way we
were what when where which who whom whose why will with would you your ive im id dont cant isnt whats hows
wont youre didnt doesnt
的 了 吗 呢 吧 啊 呀 么 是 在 有 和 与 及 或 我 你 您 他 她 它 们 我们 你们 他们 这 那 这个 那个 什么 怎么
怎样 怎么样 如何 为什么 为何 哪里 哪个 哪些 请问 请 可以 能 能否 是否 会 要 想 就 都 也 很 不是 一个 一下
没有 为啥
"""
STOP_WORDS = frozenset(_COMMONEST.split())
"""Words dropped from a query; documents keep them all."""

_local = threading.local()


def tokenize(text: str, language: str | None = None, *, query: bool = False) -> list[str]:
    """The search terms of a text, in order, repeated as often as they stand there.

    `language` chooses the stemmer ("en" when None; a language without one is not stemmed); Chinese is
    recognised by its characters, whatever the language. With `query`, STOP_WORDS are left out, unless
    nothing else would remain.
    """
    terms: list[str] = []
    folded = unicodedata.normalize("NFKC", text).lower()
    for found in _TERM.finditer(folded):
        terms.extend(_terms_of(found))
    if query:
        terms = [term for term in terms if term not in STOP_WORDS] or terms
    return _stemmed(terms, language or "en")


@dataclass(frozen=True, slots=True)
class Run:
    """Letters and digits that stand together, at `text[start:end]`, and the search terms they give."""

    terms: tuple[str, ...]
    start: int
    end: int


def runs(text: str, language: str | None = None) -> list[Run]:
    """The runs of letters with spaces between words, of a text that is folded already; no Chinese."""
    found = [one for one in _TERM.finditer(text) if one.lastgroup == "latin"]
    return [Run(tuple(_stemmed(_terms_of(one), language or "en")), one.start(), one.end()) for one in found]


def _terms_of(found: re.Match[str]) -> list[str]:
    run = found.group().lower()
    if found.lastgroup == "han":
        return _han_terms(run)
    if found.lastgroup == "pairs":
        return _pairs(run) or [run]
    return _latin_terms(run)


def _latin_terms(run: str) -> list[str]:
    """The terms of a run of letters and digits with signs between them: don't, 1,000.50, LM-204518, a/b."""
    run = run.replace("'", "").replace("’", "")
    if _THOUSANDS.fullmatch(run):
        return [run.replace(",", "")]
    terms: list[str] = []
    for word in run.split(","):
        parts = _JOINER.split(word)
        if len(parts) == 1:
            glued = _GLUED.fullmatch(word)  # a code without its hyphen: "lk4410" is also lk and 4410
            terms.extend([word, *(glued.groups() if glued else ())])
        elif any(char.isdigit() for char in word):
            terms.extend([word] if len(word) <= _LONGEST_CODE else [])
            terms.extend(part for part in parts if len(part) > 1)
        elif _HYPHENATED_LETTER.fullmatch(word):
            terms.append(word.replace("-", ""))  # e-mail
        else:
            terms.extend(parts)
    return terms


def _stemmed(terms: list[str], language: str) -> list[str]:
    """Snowball; a stemmer keeps state while it works, so each thread has its own."""
    name = _STEMMERS.get(language.lower().split("-")[0])
    if name is None:
        return terms
    stemmers: dict[str, Any] = _local.__dict__.setdefault("stemmers", {})
    if name not in stemmers:
        import Stemmer

        stemmers[name] = Stemmer.Stemmer(name)
    stemmed: list[str] = stemmers[name].stemWords(terms)
    return stemmed


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def _han_terms(run: str) -> list[str]:
    """jieba's search words, and the pairs of neighbours where it sees single characters only."""
    spans = {(start, end) for _, start, end in _jieba().tokenize(run, mode="search")}
    alone = {start for start, end in spans if end - start == 1}
    spans |= {(start, start + 2) for start in alone if start + 1 in alone}
    return [run[start:end] for start, end in sorted(spans)]


@cache
def _jieba() -> Any:
    """The segmenter, loaded on first use; its prebuilt dictionary is kept in a folder of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.CRITICAL)
    segmenter = jieba.Tokenizer()
    segmenter.tmp_dir = str(_private_folder())
    segmenter.initialize()
    return segmenter


def _private_folder() -> Path:
    """A temporary folder that only this user can write: what lies in it is loaded as code would be."""
    folder = Path(tempfile.gettempdir()) / f"trefoil-jieba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and facts.st_uid == os.getuid():
            folder.chmod(0o700)
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="trefoil-jieba-"))
