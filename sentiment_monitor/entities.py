"""Which watched companies a text is about, without the usual traps.

A long or rare name is taken as it stands. A name that is also a word (Crest, META, ALL, one letter)
counts only in the company's own spelling and with company around it: a context word, a ticker mark
($ALL, NYSE: ALL, (ALL)), or the company's full name in the same text. A Chinese name that begins a
longer ordinary word (流星 in 流星雨) does not count inside that word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sentiment_monitor.models import Company

_CHINESE_FORMS = ("集团", "公司", "股份", "控股", "科技", "银行", "证券", "电器", "食品", "系统")
_WORDS_THAT_ARE_NAMES = """
all any are best big can cap car cash chase city come core cost crest cross delta east edge ever
fast five focus ford form free gap gas general global gold good green group grow harvest hero high
home horizon imperial it key king lead life link long low main mars match meta mint most navigator
new next nice north now oak ocean on one open oracle orange pace pan peak phoenix pioneer pool post
prime pure ridge rise rock root safe sage sail see shell sky snap so southern spark sprint square star
state stone summit sun sure target team times tower trade trust two unity vale vista visa west
wing wish work world you zoom
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A company in a text: `relevance` 0 to 1, and the words that named it."""

    company_id: int
    relevance: float
    matched: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A company of the watch-list with its names made ready to be searched for."""

    company_id: int
    sure: tuple[str, ...]
    unsure: tuple[str, ...]
    tickers: tuple[str, ...]
    chinese: tuple[str, ...]
    context: tuple[str, ...]


def watch_list(companies: Iterable[Company]) -> list[Watched]:
    """The names of each company, told apart by how easily they are taken for something else."""
    return [_watched(company) for company in companies]


def find(title: str, body: str, watched: Sequence[Watched]) -> list[Found]:
    """The watched companies a text is about, most relevant first; each at most once."""
    text = f"{title}\n{body}"
    found = []
    for company in watched:
        matched = _match(company, text)
        if matched is not None:
            in_title = _match(company, title) is not None or matched in title
            count = min(4, text.count(matched))
            relevance = min(1.0, (0.7 if in_title else 0.3) + 0.075 * count)
            found.append(Found(company.company_id, round(relevance, 3), matched))
    return sorted(found, key=lambda f: (-f.relevance, f.company_id))


def _watched(company: Company) -> Watched:
    names = [company.name, *company.aliases]
    sure = tuple(name for name in names if _is_sure(name))
    return Watched(
        company_id=company.pk,
        sure=sure,
        unsure=tuple(name for name in names if name not in sure),
        tickers=tuple(company.tickers),
        chinese=tuple(company.aliases_zh),
        context=tuple(word.lower() for word in company.context),
    )


def _is_sure(name: str) -> bool:
    """Two words or more, or a single one that is no ordinary word."""
    return " " in name.strip() or (len(name) >= 5 and name.lower() not in _ordinary_words())


def _match(company: Watched, text: str) -> str | None:
    for name in company.sure:
        if _named(name).search(text):
            return name
    for ticker in company.tickers:
        if found := _ticker(ticker).search(text):
            return found.group(0).strip("( )")
    has_context = any(word in text.lower() for word in company.context)
    for name in company.chinese:
        if _chinese(name, text, company.context, has_context):
            return name
    if has_context:
        for name in company.unsure:
            if _stands_alone(name, text):
                return name
        for ticker in company.tickers:
            plain = len(ticker) >= 3 and ticker.lower() not in _ordinary_words()
            if plain and _named(ticker).search(text):
                return ticker
    return None


@lru_cache(maxsize=4096)
def _named(name: str) -> re.Pattern[str]:
    """The name in its own spelling, between word borders (a possessive or a hyphen may follow)."""
    return re.compile(rf"(?<![\w.-]){re.escape(name)}(?:['’]s)?(?![\w])")


@lru_cache(maxsize=4096)
def _ticker(ticker: str) -> re.Pattern[str]:
    """A ticker with a mark that says it is one: $T, (T), EXCHANGE: T, T shares."""
    t = re.escape(ticker)
    marks = [
        rf"\${t}(?![\w.])",
        rf"\((?:[A-Z]{{2,8}}\s?:\s?)?{t}\)",
        rf"\b[A-Z]{{2,8}}\s?:\s?{t}(?![\w.])",
    ]
    if len(ticker) >= 4 or "." in ticker:
        marks.append(rf"(?<![\w.$]){t}(?![\w])")
    return re.compile("|".join(marks))


def _stands_alone(name: str, text: str) -> bool:
    """A name that is also a word: in capitals' spelling, and not merely because it begins a sentence.

    In a headline in title case the capital says nothing, so another mark is asked for as well.
    """
    for found in _named(name).finditer(text):
        before = text[: found.start()].rstrip()
        begins = not before or before[-1] in '.!?\n:“"' or text[: found.start()].endswith("\n")
        follows = text[found.end() : found.end() + 24].lstrip()
        if not begins or re.match(
            r"(?:shares?|stock|said|says|reports?|reported|warns?|cuts?|raises?|to |plans?|posts?)\b", follows
        ):
            return True
    return False


def _chinese(name: str, text: str, context: tuple[str, ...], has_context: bool) -> bool:
    """A Chinese name that is a word of its own, told by the segmenter; a short one needs context too."""
    if name not in text:
        return False
    if len(name) >= 4:
        return True
    import jieba

    jieba.setLogLevel(60)
    # A longer word that begins with the name is another word, unless the rest is what companies add.
    words = [word for word in jieba.cut(text) if name in word]
    ends = tuple(name + more for more in ("", *context, *_CHINESE_FORMS))
    stands = not words or any(word.endswith(ends) for word in words)
    return stands and (has_context or len(name) >= 3)


@lru_cache(maxsize=1)
def _ordinary_words() -> frozenset[str]:
    """Words a headline may hold that are also companies' names or tickers somewhere."""
    return frozenset(_WORDS_THAT_ARE_NAMES.split())
