"""A sentence said otherwise, with its meaning kept: what a careful writer or a language model does to it.

Each way is deterministic, has patterns of its own, and gives None where it finds nothing to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable

HAN = re.compile(r"[\u4e00-\u9fff]")
_MONTH_NAMES = "January February March April May June July August September October November December"
_MONTHS = _MONTH_NAMES.split()
_MONTH = "|".join(_MONTHS)
_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve"
_WORDS = _NUMBER_WORDS.split()

_CONTRACTIONS = [
    ("does not", "doesn't"), ("do not", "don't"), ("did not", "didn't"), ("is not", "isn't"),
    ("are not", "aren't"), ("was not", "wasn't"), ("were not", "weren't"), ("cannot", "can't"),
    ("can not", "can't"), ("will not", "won't"), ("would not", "wouldn't"), ("could not", "couldn't"),
    ("should not", "shouldn't"), ("has not", "hasn't"), ("have not", "haven't"), ("had not", "hadn't"),
    ("it is", "it's"), ("It is", "It's"), ("that is", "that's"), ("you will", "you'll"),
    ("you are", "you're"), ("there is", "there's"), ("There is", "There's"), ("they are", "they're"),
]  # fmt: skip


_SHORTER = [(re.compile(rf"\b{full}\b"), short) for full, short in _CONTRACTIONS]
_LONGER = [
    (re.compile(rf"\b{short.replace(chr(39), '[’' + chr(39) + ']')}\b"), full)
    for full, short in _CONTRACTIONS
]


def contractions(sentence: str) -> str | None:
    """Every "do not" as "don't", or every "don't" as "do not"."""
    for pairs in (_SHORTER, _LONGER):
        new = sentence
        for old, other in pairs:
            new = old.sub(other, new)
        if new != sentence:
            return new
    return None


def _twelve_hours(found: re.Match[str]) -> str:
    hour, half = int(found["hour"]) % 12, found["half"].lower()[0]
    return f"{hour + 12 * (half == 'p'):02}:{found['minute'] or '00'}"


_FORMATS: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"(?<![\d.,])(\d{1,3}),(\d{3})(?![\d,])", r"\1\2"),
    (r"(?<![\w.,/$€£-])(\d{2,3})(\d{3})(?= [a-z])", r"\1,\2"),
    (r"(?<=\d) ?%", " percent"),
    (r"(?<=\d) percent\b", "%"),
    (r"(?<![A-Z])\$(\d++(?:[.,]\d++)*+)(?! ?(?:million|billion|[MBk]\b))", r"\1 USD"),
    (r"€(\d++(?:[.,]\d++)*+)(?! ?(?:million|billion|[MBk]\b))", r"\1 euros"),
    (rf"\b({_MONTH}) (\d{{1,2}}), (\d{{4}})\b", r"\2 \1 \3"),
    (rf"\b(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b", r"\2 \1, \3"),
    (
        r"\b(\d{4})-(\d\d)-(\d\d)\b(?![-T_])",
        lambda m: f"{int(m[3])} {_MONTHS[int(m[2]) - 1]} {m[1]}" if 0 < int(m[2]) < 13 else m[0],
    ),
    (r"\b(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>[ap]\.?m\b)\.?", _twelve_hours),
    (rf"\b({'|'.join(_WORDS)})\b(?= [a-z]+s\b)", lambda m: str(_WORDS.index(m[0]) + 2)),
    (r"(?<![\w.,/:$€£-])([2-9])(?= [a-z]+s\b)", lambda m: _WORDS[int(m[0]) - 2]),
    (r"(\d+)-(day|hour|minute|month|year)\b (?=[a-z])", r"\1 \2 "),
    (r"(\d{4}) ?年 ?(\d{1,2}) ?月 ?(\d{1,2}) ?日", lambda m: f"{m[1]}-{int(m[2]):02}-{int(m[3]):02}"),
    (r"(?<=\d) (?=[\u4e00-\u9fff])", ""),
    (r"(?<![\d.])([2-9])(?= ?个(?:月|工作日|小时))", lambda m: "两三四五六七八九"[int(m[0]) - 2]),
    (r"两(?=[个周天年])", "2"),
]
_REFORMATS = [(re.compile(old), new) for old, new in _FORMATS]


def formats(sentence: str) -> str | None:
    """The first number, date, time or amount that can be, in another way of writing."""
    for old, new in _REFORMATS:
        changed = old.sub(new, sentence, count=1)
        if changed != sentence:
            return changed
    return None


_LEADING = re.compile(
    r"(?P<a>(?:If|When|Although|Because|After|Before|While|Once|By|In|During|For|To|Since|Until|As) "
    r"[^,;:()]{6,90}), (?P<b>(?!and\b|or\b|which\b|but\b|who\b)[^,;:]{15,})(?P<end>[.])$"
)
_TRAILING = re.compile(
    r"^(?P<b>[A-Z][^,;:]{15,}?),? (?P<a>(?:if|when|although|because|while) [^,;:()]{8,})(?P<end>[.])$"
)
_HAN_LEADING = re.compile(r"^(?P<a>如果[^，。]{3,40})，(?P<b>[^，。]{4,60})(?P<end>。)$")


def order(sentence: str) -> str | None:
    """ "If A, B." as "B if A.", and the other way round."""
    if found := _HAN_LEADING.search(sentence):
        return f"{found['b']}，{found['a']}{found['end']}"
    if found := _LEADING.search(sentence):
        first = found["b"] if _is_name(found["b"].split()[0]) else _lower(found["b"])
        return f"{_upper(first)} {_lower(found['a'])}{found['end']}"
    if found := _TRAILING.search(sentence):
        return f"{_upper(found['a'])}, {_lower(found['b'])}{found['end']}"
    return None


def _is_name(word: str) -> bool:
    return word[:1].isupper()


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


_SMALL_WORDS = {
    "the", "a", "an", "if", "when", "although", "because", "after", "before", "while", "once", "by", "in",
    "during", "for", "to", "since", "until", "as", "you", "it", "they", "we", "he", "she", "this", "these",
    "that", "those", "there", "its", "your", "their", "his", "each", "some", "most", "all", "many", "use",
}  # fmt: skip


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:] if words.split()[0].lower() in _SMALL_WORDS else words


_SYNONYMS = """
use=utilise; used=utilised; large=big; begin=start; began=started; obtain=get; such as=like;
 purchase=buy; assist=help; approximately=about; must=have to; many=a lot of; often=frequently;
show=display; shows=displays; create=make; creates=makes; allow=let; additional=extra; several=some;
entire=whole; various=different; important=significant; main=principal; near=close to; ensure=make sure;
provide=give; provides=gives; choose=select; delete=remove; end=finish; finished=completed; quickly=fast;
therefore=so; for example=for instance; in order to=to; due to=because of; located=situated; called=named;
specify=state; specifies=states; contains=holds; receive=get; received=got; built=constructed;
wide=broad; area=region; people=persons; small=little; usually=normally; difficult=hard;
可以=能够; 需要=须; 如果=若; 购买=买; 联系=联络; 大约=约; 并且=而且; 以及=和; 例如=比如; 目前=现在
"""
_SYNONYMOUS = [
    (re.compile(f"{old}" if HAN.search(old) else rf"\b{old}\b(?!ly| not)"), other)
    for old, other in (pair.strip().split("=") for pair in _SYNONYMS.split(";"))
]


def synonyms(sentence: str) -> str | None:
    """Up to two words from a short list, by others that mean the same."""
    new, changed = sentence, 0
    for old, other in _SYNONYMOUS:
        replaced = old.sub(other, new, count=1)
        if replaced != new:
            new, changed = replaced, changed + 1
        if changed == 2:
            break
    return new if changed else None


def opening(sentence: str) -> str | None:
    """A few words before the sentence that add nothing to it."""
    if HAN.search(sentence):
        return "根据说明，" + sentence
    first = sentence.split()[0]
    if first.lower() in _SMALL_WORDS:
        return "According to the documentation, " + _lower(sentence)
    return "According to the documentation, " + sentence


REWORDINGS: dict[str, Callable[[str], str | None]] = {
    "contractions": contractions,
    "formats": formats,
    "order": order,
    "synonyms": synonyms,
    "opening": opening,
}
"""Name -> the rewording, or None where a sentence offers nothing to it."""
