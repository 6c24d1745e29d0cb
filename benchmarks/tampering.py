"""One thing changed in a sentence so that it no longer says what its passage says.

Patterns and word lists are this file's own, written before the checker's and never shared with it: what is
measured is whether the checker sees a change that it was not told of. Nothing here is meant to be complete;
a sentence without a number, a date or a verb it knows is left alone (None).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Context:
    """What a tamperer may take from: the passage, and names and numbers of others."""

    passage: str
    other_names: tuple[str, ...]
    draw: random.Random


Tamperer = Callable[[str, Context], str | None]

_MONTH_NAMES = "January February March April May June July August September October November December"
_MONTHS = _MONTH_NAMES.split()
_MONTH = "(?:" + "|".join(_MONTHS) + ")"
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>()，。；、）]*[^\s<>()，。；、）.,;:!?'\"]|[\w.+-]+@\w[\w-]*(?:\.\w+)+"
)
_DATE = re.compile(
    rf"\d{{4}}-\d\d-\d\d|{_MONTH} \d{{1,2}}(?:, \d{{4}})?|\d{{1,2}} {_MONTH}(?: \d{{4}})?|{_MONTH} \d{{4}}"
    r"|\d{4}\s?年(?:\s?\d{1,2}\s?月)?(?:\s?\d{1,2}\s?日)?|\d{1,2}\s?月\s?\d{1,2}\s?日"
    r"|(?<=\b[Ii]n )(?:1[5-9]|20)\d\d\b|(?<=since )\d{4}\b|(?<=until )\d{4}\b|(?<=\bby )1[5-9]\d\d\b"
)
_CODE = re.compile(
    r"(?<![\w.$€£/@:-])(?=[\w.-]*\d)(?=[\w.-]*[A-Za-z])[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*(?![\w/@-])"
    r"|(?<![\w.$€£/-])\d+\.\d+\.\d+(?![\w/-])",
    re.ASCII,
)
_NO_CODE = re.compile(
    r"(?:mid-)?\d+(?:st|nd|rd|th|s)(?:-[a-z]+)?|[\d.]+(?:[kKMGT]?i?[bBWVm]|kg|g|mm|cm|km|h|min|am|pm|x)", re.I
)
_NUMBER = re.compile(
    r"(?<![\w.,/:-])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,/:-])\d+(?:\.\d+)?(?![\w/:-]|[.,]\d)"
)
_HAN_NUMBER = re.compile(
    r"(?<![\w.,-])\d+(?:\.\d+)?(?=\s?[\u4e00-\u9fff%])|(?<=[\u4e00-\u9fff])\d+(?:\.\d+)?(?!\d|\.\d)"
)
_SMALL_WORDS = "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty fifty"
_SMALL = _SMALL_WORDS.split()
_WORD_NUMBER = re.compile(r"\b(?:" + "|".join(_SMALL) + r")\b(?!-)")


def number(sentence: str, context: Context) -> str | None:
    """Another number: one off, a digit more, a digit else, or (half the time) another of the passage."""
    taken = [m.span() for pattern in (_URL, _DATE, _CODE) for m in pattern.finditer(sentence)]
    pattern = _HAN_NUMBER if HAN.search(sentence) else _NUMBER
    places = [
        m for m in pattern.finditer(sentence) if not any(a < m.end() and m.start() < b for a, b in taken)
    ]
    places += list(_WORD_NUMBER.finditer(sentence))
    if not places:
        return None
    place = context.draw.choice(places)
    return _with(sentence, place, _other_number(place.group(), pattern, context))


def _other_number(old: str, pattern: re.Pattern[str], context: Context) -> str | None:
    if old.isalpha():
        return context.draw.choice([word for word in _SMALL if word != old])
    near = {m.group() for m in pattern.finditer(_DATE.sub(" ", context.passage))} - {old}
    near = {n for n in near if n.replace(",", "") != old.replace(",", "")}
    if near and context.draw.random() < 0.5:
        return context.draw.choice(sorted(near))
    value = old.replace(",", "")
    if "." in value:
        return f"{float(value) + context.draw.choice([0.1, 1, 10]):.{len(value.split('.')[1])}f}"
    whole = int(value)
    new = context.draw.choice([whole + 1, whole * 10, whole + 10, whole * 2 + 1])
    return f"{new:,}" if "," in old else str(new)


def date(sentence: str, context: Context) -> str | None:
    """Another day, month or year."""
    places = list(_DATE.finditer(sentence))
    if not places:
        return None
    place = context.draw.choice(places)
    parts = list(re.finditer(rf"{_MONTH}|\d+", place.group()))
    part = context.draw.choice(parts)
    old = part.group()
    if old in _MONTHS:
        new = context.draw.choice([name for name in _MONTHS if name != old])
    elif len(old) == 4:
        new = str(int(old) + context.draw.choice([-10, -2, -1, 1, 3]))
    else:
        most = 12 if place.group()[part.end() :].strip().startswith("月") else 28
        new = str(context.draw.choice([n for n in range(1, most + 1) if n != int(old)])).zfill(len(old))
    return _with(sentence, place, place.group()[: part.start()] + new + place.group()[part.end() :])


def code(sentence: str, context: Context) -> str | None:
    """One character of a product code, an identifier with digits or a version."""
    plain = _URL.sub(lambda m: " " * len(m.group()), sentence)
    places = [m for m in _CODE.finditer(plain) if not _NO_CODE.fullmatch(m.group())]
    if not places:
        return None
    place = context.draw.choice(places)
    digits = [at for at, char in enumerate(place.group()) if char.isdigit()]
    at = context.draw.choice(digits)
    new = context.draw.choice([d for d in "123456789" if d != place.group()[at]])
    return _with(sentence, place, place.group()[:at] + new + place.group()[at + 1 :])


def url(sentence: str, context: Context) -> str | None:
    """Another host, another path, or another name before the @."""
    places = list(_URL.finditer(sentence))
    if not places:
        return None
    place = context.draw.choice(places)
    words = [
        m for m in re.finditer(r"[A-Za-z]{3,}", place.group()) if m.group() not in {"http", "https", "www"}
    ]
    if not words:
        return None
    word = context.draw.choice(words)
    new = context.draw.choice([word.group() + "s", "my-" + word.group(), word.group()[:-1], "example"])
    changed = place.group()[: word.start()] + new + place.group()[word.end() :]
    return _with(sentence, place, None if new == word.group() else changed)


_UNITS = [
    "second minute hour day week month year", "kilometre metre centimetre mile", "kilometer meter mile",
    "feet miles", "km miles", "kg g", "kilogram gram", "pound ounce", "tonne kilogram", "KB MB GB TB",
    "KiB MiB GiB", "million billion", "hundred thousand", "percent degree", "euro dollar", "EUR USD",
    "millisecond second", "分钟 小时 天 周 个月 年", "元 美元 欧元", "公斤 克 吨", "公里 米 厘米", "万 亿",
    "个工作日 个小时",
]  # fmt: skip
_SIGNS = {"$": "€", "€": "£", "£": "$"}
_COUNT = rf"(?:\d|\b(?:{'|'.join(_SMALL)}))[\s-]?"
_AFTER_NUMBER = [
    (
        re.compile(_COUNT + name + ("(?![小个工])" if HAN.search(name) else r"(?=s?\b)")),
        name,
        [other for other in family.split() if other != name],
    )
    for family in _UNITS
    for name in family.split()
]


def unit(sentence: str, context: Context) -> str | None:
    """Another unit after a number, or another sign of a currency before it."""
    found = [(match, _SIGNS[match.group()]) for match in re.finditer(r"[$€£](?=\d)", sentence)]
    for pattern, name, others in _AFTER_NUMBER:
        for match in pattern.finditer(sentence):
            found.append((match, match.group().removesuffix(name) + context.draw.choice(others)))
    return _with(sentence, *context.draw.choice(found)) if found else None


_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][a-z]{2,}|[A-Z]{3,})(?: (?:[A-Z][a-z]{2,}|[A-Z]{3,})){0,2}(?![\w-])")


def names(text: str) -> list[str]:
    """What looks like a name inside the sentences of a text: words with a capital after a small one."""
    return [
        name for name in _NAME.findall(text) if name.split()[0] not in {"The", "This", "You", "For", *_MONTHS}
    ]


def entity(sentence: str, context: Context) -> str | None:
    """A name of another document in place of one."""
    places = [m for m in _NAME.finditer(sentence) if m.group() in names(sentence)]
    known = context.passage.lower()
    for _ in range(20):
        other = context.draw.choice(context.other_names) if places and context.other_names else ""
        if other and not any(word.lower() in known for word in other.split()):
            return _with(sentence, context.draw.choice(places), other)
    return None


_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|can|could|will|would|should|must|may|might|has been|have been)\b(?! not|n't)"
)
_VERB_S = re.compile(
    r"(?<=[a-z] )(?:allow|include|contain|require|support|provide|use|make|take|work|apply|need|become|return"
    r"|create|give|show|begin|remain|offer|continue|lead|help|cause|mean|cover|affect)s\b"
)
_HAN_VERB = re.compile(r"(?<![不没未无])(?:可以|能够|支持|需要|包括|允许|提供|属于|适用|会|是|能)(?![不否])")


def negation_added(sentence: str, context: Context) -> str | None:
    """ "not" after an auxiliary, or "does not" before a verb; 不 before the verb in Chinese."""
    draw = context.draw
    if HAN.search(sentence):
        verbs = list(_HAN_VERB.finditer(sentence))
        return _with(sentence, *(lambda v: (v, "不" + v.group()))(draw.choice(verbs))) if verbs else None
    places = list(_AUXILIARY.finditer(sentence))
    if places:
        place = draw.choice(places)
        first, *rest = place.group().split()
        negative = first + " not" if first in {"may", "might"} or draw.random() < 0.6 else _short(first)
        return _with(sentence, place, " ".join([negative, *rest]))
    verbs = list(_VERB_S.finditer(sentence))
    if not verbs:
        return None
    verb = draw.choice(verbs)
    return _with(sentence, verb, draw.choice(["does not ", "doesn't ", "never "]) + verb.group()[:-1])


def _short(word: str) -> str:
    return {"can": "can't", "will": "won't"}.get(word, word + "n't")


_REMOVALS: list[tuple[str, str]] = [
    (r"\bcannot\b|\bcan not\b|\bcan[’']t\b", "can"), (r"\bwon[’']t\b", "will"),
    (r"\b(\w+)n[’']t\b", r"\1"), (r"\b(?:does|do|did) not ", ""),
    (r"\b(is|are|was|were|could|will|would|should|must|may|has|have|had|to be) not\b", r"\1"),
    (r"\bnot (?=to\b|yet\b|a\b|the\b|\w+ed\b)", ""), (r"\bnever ", ""), (r"\bwithout\b", "with"),
    (r"\b[Nn]o (?=[a-z])(?!longer|more|less|later|one|matter)", "a "), (r"\bneither\b", "either"),
    (r"\bnor\b", "or"), (r"\bno longer ", "still "), (r"\bunable\b", "able"),
    (r"不(?=能|可|会|是|支持|需|提供|参加|适用|在|收|退|包|得|要|允)", ""), (r"没有", "有"),
    (r"无法", "可以"), (r"未(?=能|经|使)", "已"),
]  # fmt: skip
_REMOVED = [(re.compile(old), new) for old, new in _REMOVALS]


def negation_removed(sentence: str, context: Context) -> str | None:
    """A negation taken out."""
    found = [(m, m.expand(new)) for old, new in _REMOVED for m in old.finditer(sentence)]
    found = [(m, new) for m, new in found if sentence[m.end() : m.end() + 5] != " only"]
    return _with(sentence, *context.draw.choice(found)) if found else None


_OPPOSITES = """
before/after; more than/less than; at least/at most; increase/decrease; increases/decreases;
increased/decreased; allowed/prohibited; permitted/forbidden; include/exclude; includes/excludes;
including/excluding; open/closed; always/never; accept/reject; accepts/rejects; accepted/rejected;
enable/disable; enables/disables; enabled/disabled; possible/impossible; legal/illegal;
available/unavailable; minimum/maximum; higher/lower; larger/smaller; first/last; early/late;
public/private; internal/external; start/stop; all/none of the; required/optional; above/below;
greater/smaller; faster/slower; success/failure; successful/unsuccessful; active/inactive; with/without;
最多/最少; 至少/至多; 以上/以下; 之前/之后; 支持/拒绝; 允许/禁止; 包括/不包括; 免费/收费; 增加/减少; 打开/关闭
"""
_SWAPS = [
    (re.compile(old if HAN.search(old) else rf"\b{old}\b"), new)
    for one, other in (pair.strip().split("/") for pair in _OPPOSITES.split(";"))
    for old, new in ((one, other), (other, one))
]


def opposite(sentence: str, context: Context) -> str | None:
    """A word in place of its opposite."""
    found = [(m, new) for pattern, new in _SWAPS for m in pattern.finditer(sentence)]
    return _with(sentence, *context.draw.choice(found)) if found else None


TAMPERERS: dict[str, Tamperer] = {
    "number": number,
    "date": date,
    "code": code,
    "url": url,
    "unit": unit,
    "entity": entity,
    "negation_added": negation_added,
    "negation_removed": negation_removed,
    "opposite": opposite,
}
"""Kind -> the change of that kind, or None where a sentence has nothing of it."""


def _with(sentence: str, place: re.Match[str], new: str | None) -> str | None:
    if new is None or new == place.group():
        return None
    return sentence[: place.start()] + new + sentence[place.end() :]
