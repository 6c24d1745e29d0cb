"""What a document said before: an edition's bytes, two texts compared, and which heading became which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from django.utils.translation import gettext as _

from chatbot import differences, faq_files, parsing
from chatbot.models import Document
from services.errors import InvalidInput, NotFound
from services.storage import Storage

TEXTS = {"text/markdown", "text/html", "text/plain", faq_files.CSV, faq_files.JSONL}


def edition_of(document: Document, edition: str, storage: Storage) -> bytes:
    """The bytes of a document's file with that content hash, present or earlier. Raises NotFound."""
    if edition == document.content_hash:
        return storage.read(document.file_path)
    for one in document.editions:
        if one["hash"] == edition:
            return storage.read(str(one["path"]))
    raise NotFound(_("This edition is not kept any more."))


def as_people_read(data: bytes, media_type: str) -> str | None:
    """A file as a text to compare, None where it is none."""
    if media_type not in TEXTS:
        return None
    try:
        if faq_files.is_faq(data, media_type):
            return faq_files.as_text(faq_files.read(data, media_type))
        return parsing.decoded(data).replace("\r\n", "\n")
    except InvalidInput:
        return None


def compared(before: str, after: str, around: int = 2) -> list[tuple[str, str]]:
    """Two texts as one: ("same" | "gone" | "new", words), or ("left out", how many lines stayed)."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    parts: list[tuple[str, str]] = []
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for n, (tag, a, b, c, d) in enumerate(codes):
        if tag != "equal":
            parts += differences.marked("".join(old[a:b]), "".join(new[c:d]))
            continue
        first, last = (0 if n == 0 else around), (0 if n == len(codes) - 1 else around)
        if b - a <= first + last + 2:
            parts.append(("same", "".join(old[a:b])))
            continue
        parts.append(("same", "".join(old[a : a + first])))
        parts.append(("left out", str(b - a - first - last)))
        parts.append(("same", "".join(old[b - last : b])))
    return [part for part in parts if part[1]]


def moved(before: Sequence[str], after: Sequence[str], same: Callable[[str, str], bool]) -> dict[str, str]:
    """Which heading became which, where that is plain: the same words below it, or the same place."""
    old, new = list(dict.fromkeys(before)), list(dict.fromkeys(after))
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    found: dict[str, str] = {}
    for name in gone:
        alike = [other for other in come if same(name, other) and other not in found.values()]
        if not alike and len(old) == len(new):
            other = new[old.index(name)]
            alike = [other] if other in come and other not in found.values() else []
        if len(alike) == 1:
            found[name] = alike[0]
    return found
