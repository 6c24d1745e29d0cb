"""What will become of a text that is being written: its passages, what is doubtful about them, its page.

The text is read and cut by the very functions that read files; nothing is written and nothing embedded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from chatbot import entries, faq_files, knowledge, parsing, source_page, variants
from chatbot.answerability import is_entry
from chatbot.faq_files import Entry
from chatbot.models import Document, KnowledgeBase, Passage, Piece

THIN_CHARS = 25
"""A section of fewer characters hardly answers anything."""
MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Draft:
    """What is being written. `entry` of an FAQ, else `text`; `document` is None where it is new.

    `replaces`: the heading of the entry that is changed, "" where it is new.
    """

    base: KnowledgeBase
    media_type: str
    title: str
    text: str = ""
    entry: Entry | None = None
    document: Document | None = None
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """A passage as it will be, with what search is made of; `notes` say what is doubtful about it."""

    passage: Passage
    pieces: tuple[Piece, ...]
    is_faq: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """`cuts` in order; `notes` about the whole; `page`: the first MOST_SHOWN as visitors see them."""

    title: str
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...]
    page: list[dict[str, Any]]

    @property
    def doubts(self) -> int:
        return len(self.notes) + sum(len(cut.notes) for cut in self.cuts)


def look(draft: Draft) -> Preview:
    """Read and cut what is being written. Raises what saving it would, but for another's question."""
    if draft.entry is not None:
        checked = draft.entry.checked()
        draft = replace(draft, entry=checked)
        data, kind = faq_files.written(b"", faq_files.JSONL, None, checked), faq_files.JSONL
        sections = parsing.read_sections(data, kind, draft.title)
    else:
        _data, sections = entries.checked(draft.text, draft.media_type, draft.title)
    document = Document(knowledge_base=draft.base, title=draft.title)
    passages, faq = knowledge.passages_of(document, sections)
    title = draft.title if draft.entry else parsing.document_title(sections, draft.media_type) or draft.title
    taken = _elsewhere(draft)
    cuts = []
    for passage in passages:
        is_faq = passage.content_hash in faq
        pieces = tuple(knowledge.pieces_of(passage, is_faq))
        notes = tuple(_notes(passage, passages, draft, taken, is_faq))
        cuts.append(Cut(passage, pieces, is_faq, notes))
    page = source_page.sections(passages[:MOST_SHOWN])
    return Preview(title, tuple(cuts), tuple(_whole(draft)), page)


def _notes(
    passage: Passage, all_of: Sequence[Passage], draft: Draft, taken: dict[str, str], is_faq: bool
) -> Iterator[str]:
    first = next(other for other in all_of if other.heading == passage.heading)
    parts = sum(other.heading == passage.heading for other in all_of)
    if not is_faq and passage.heading == draft.title and len(all_of) > 1 and not _is_written(draft):
        yield _("It stands under no heading: the title alone leads to it.")
    if parts > 1 and passage is first:
        yield _("Too long for one passage: cut into %(n)d. Headings between them are found better.") % {
            "n": parts
        }
    if len(passage.text) > parsing.SECTION_CHARS:
        yield _("One paragraph of %(n)d characters: break it up.") % {"n": len(passage.text)}
    if len(passage.text) < THIN_CHARS and not is_faq:
        yield _("Only %(n)d characters: it hardly answers anything.") % {"n": len(passage.text)}
    questions = [*passage.variants]
    if is_entry(passage.heading, passage.variants):
        questions.insert(0, passage.heading.rsplit(" › ", 1)[-1])
    for question in questions:
        if (owner := taken.get(variants.plain(question))) is not None:
            told = {"question": question[:80], "heading": owner[:80]}
            yield _("“%(question)s” is a question of the entry “%(heading)s” already.") % told


def _whole(draft: Draft) -> Iterator[str]:
    if draft.entry is not None:
        return
    if entries.front_matter(draft.text):
        yield _("The lines between “---” at the top are read as text. Take them out.")
    if draft.media_type == "text/html":
        low = draft.text.casefold()
        if any(f"<{name}" in low for name in ("script", "style", "form", "iframe")):
            yield _("Scripts, styles, forms and frames are not read; visitors never get them.")
    for heading in _bare_headings(draft):
        yield _("“%(heading)s” has nothing below it and is left out.") % {"heading": heading[:80]}


def _bare_headings(draft: Draft) -> Iterator[str]:
    """Headings with no text of their own, nor a heading below them."""
    if draft.media_type != entries.MARKDOWN:
        return
    found = parsing.markdown_parts(draft.text)
    for part, after in zip(found, [*found[1:], None], strict=True):
        is_bare = after is None or (after.kind == "heading" and after.level <= part.level)
        if part.kind == "heading" and is_bare:
            yield part.words


def _elsewhere(draft: Draft) -> dict[str, str]:
    """The questions of other entries, plain, with their headings."""
    taken = variants.taken(draft.base)
    rows = Passage.objects.filter(document__knowledge_base=draft.base, retired_at=None)
    if draft.document is not None:
        own = {"document": draft.document}
        rows = rows.exclude(**(own | {"heading": draft.replaces} if draft.entry else own))
    headings = dict(rows.values_list("pk", "heading"))
    found: dict[str, str] = {}
    for question, some in taken.items():
        owner = next((headings[pk] for pk in some if pk in headings), None)
        if owner is not None:
            found[question] = owner.rsplit(" › ", 1)[-1]
    return found


def _is_written(draft: Draft) -> bool:
    """Whether the text names its title itself."""
    return bool(entries.title_and_text(draft.text)[0])
