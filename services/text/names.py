"""Names that one text has and another has not, told by their capitals; and what stands in quotation marks.

In English a name is a word with a capital inside a sentence, or the first words of one when several have
it; in Chinese it is a word in Latin letters, or what stands in “”, 「」 or 《》. "German" is taken for
"Germany", "EU" for "European Union". What it does not see: a lone name that begins a sentence, and Chinese
names without marks.
"""

from __future__ import annotations

import re

from services.text.language import HAN

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:[.&'’-][A-Za-z\u00c0-\u024f]+)*")
_QUOTED = re.compile(r"[“「《]([^“”「」《》]{1,40})[”」》]|(?<!\w)\"([^\"]{2,40})\"(?!\w)")
_STARTS = re.compile(r"(?:^|[.!?:;。！？：]\s*|[-*•]\s+|[“「《\"'(\[]\s*|\n\s*|^[^A-Za-z]+)$")
_ENDING_WORDS = "s es n an ean ian ish ese e y ia ic i o a er ers ain ns"
_ENDINGS = frozenset(["", *_ENDING_WORDS.split()])
_COMMON_WORDS = """
a an the this that these those it its they their he she we our you your i if when while where there here in
on at by for from to of as and or but so no not yes all any some most many each every both with without
within under after before during once until unless since because although please note also however then
first next finally only use click select choose open go see ok mr mrs ms dr monday tuesday wednesday
thursday friday saturday sunday january february march april may june july august september october november
december am pm
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_TITLE_CASE = 0.6
"""Share of capitals from which a line is a heading, whose capitals say nothing."""


def unknown_names(text: str, source: str) -> list[str]:
    """The names and quoted words of a text that a source has nowhere, in order."""
    known = {word.lower() for word in _WORD.findall(source)}
    known |= {part for word in known for part in re.split(r"[-'’.&]", word)}
    capitals = "".join(word[0] for word in _WORD.findall(source) if word[0].isupper())
    missing = [name for name in names(text) if not _is_known(name, known, capitals)]
    flat = _flat(source)
    for quoted in _QUOTED.finditer(text):
        words = quoted.group(1) or quoted.group(2)
        if _flat(words) not in flat and not all(
            _flat(word) in flat for word in re.findall(rf"\w+|[{HAN}]", words)
        ):
            missing.append(words)
    return missing


def names(text: str) -> list[str]:
    """The single words of a text that are names or parts of one, in order."""
    words = list(_WORD.finditer(text))
    chinese = re.search(f"[{HAN}]", text) is not None
    capitals = [word for word in words if word.group()[0].isupper()]
    if not chinese and len(words) > 3 and len(capitals) >= _TITLE_CASE * len(words):
        return []
    found = []
    for n, word in enumerate(words):
        name = word.group()
        if name.lower() in _COMMON or len(name) < 2:
            continue
        if chinese or _is_name(text, words, n):
            found.append(name)
    return found


def _is_name(text: str, words: list[re.Match[str]], n: int) -> bool:
    word = words[n]
    name = word.group()
    if not any(char.isupper() for char in name):
        return False
    if not _STARTS.search(text[: word.start()]):
        return name[0].isupper() or name[1:2].isupper()
    if len(name) > 1 and name.isupper():
        return True
    after = words[n + 1] if n + 1 < len(words) else None
    return (
        after is not None
        and after.group()[0].isupper()
        and after.group().lower() not in _COMMON
        and text[word.end() : after.start()] == " "
    )


def _is_known(name: str, known: set[str], capitals: str) -> bool:
    lowered = re.sub(r"['’]s$", "", name.lower())
    if lowered in known:
        return True
    parts = [part for part in re.split(r"[-'’.&]", lowered) if part]
    if len(parts) > 1 and all(part in known for part in parts):
        return True
    if name.isupper() and name.replace(".", "") in capitals:
        return True
    return any(_related(lowered, other) for other in known)


def _related(one: str, two: str) -> bool:
    """Germany, German, Germans: one stem of four letters or more, and endings as names take them."""
    shared = 0
    for a, b in zip(one, two, strict=False):
        if a != b:
            break
        shared += 1
    return any(one[cut:] in _ENDINGS and two[cut:] in _ENDINGS for cut in range(4, shared + 1))


def _flat(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()
