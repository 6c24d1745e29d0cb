"""Knowledge written and changed by people: articles as text, FAQ files entry by entry, files taken over.

Whatever is written becomes the document's file and goes the way of every upload: `knowledge.receive` keeps
the file before it as an edition, and the worker reads it. Who changes a text says what they saw of it; where
it is another by now they get Conflict, and nothing is written. Wordings and evaluation cases that name a
passage by its heading follow it when the heading changes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from chatbot import as_markdown, entry_history, faq_files, knowledge, parsing, variants
from chatbot.entry_history import TEXTS
from chatbot.faq_files import Entry
from chatbot.models import Document, EvaluationCase, KnowledgeBase, Passage, Piece, QuestionVariant
from services.errors import Conflict, InvalidInput, NotFound, SuiteError, TooLarge
from services.storage import Storage

MARKDOWN = "text/markdown"
MOST_CHARS = 200_000
LONGEST_TITLE = 150
WRITTEN = "written-answers.jsonl"
"""The file that gathers a knowledge base's FAQ entries written in the console."""
_TITLE = re.compile(r"\A\ufeff?#[ \t]+(?P<title>[^\n]+?)[ \t]*#*[ \t]*(?:\n+|\Z)")
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd]")


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, when, and where files are kept. `max_bytes`: the largest file taken."""

    by: str
    now: datetime
    storage: Storage
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A document as it can be edited: as a "text", as an "faq" of `entries`, or only as a "copy" of it.

    `why` it is only copied: "web" (a crawl would overwrite it), "type", "large" (not even that), "lost".
    """

    document: Document
    kind: str
    text: str = ""
    entries: tuple[Entry, ...] = ()
    why: str = ""


def opened(document: Document, storage: Storage) -> Opened:
    """A document with its text. Raises StorageFailed."""
    if document.source_id or document.url:
        return Opened(document, "copy", why="web")
    if document.media_type not in TEXTS:
        return Opened(document, "copy", why="type")
    try:
        data = storage.read(document.file_path)
        if faq_files.is_faq(data, document.media_type):
            return Opened(document, "faq", entries=tuple(faq_files.read(data, document.media_type)))
        text = parsing.decoded(data).replace("\r\n", "\n")
    except (NotFound, InvalidInput):
        return Opened(document, "copy", why="lost")
    if len(text) > MOST_CHARS:
        return Opened(document, "copy", why="large")
    return Opened(document, "text", text)


def title_and_text(text: str) -> tuple[str, str]:
    """A Markdown text's first line as its title, where it is one, and the rest."""
    found = _TITLE.match(text)
    return (found["title"], text[found.end() :]) if found else ("", text)


def with_title(title: str, text: str) -> str:
    """The Markdown text of a title and what stands below it."""
    title = " ".join(title.split())
    return f"# {title}\n\n{text.lstrip()}" if title else text


def checked(text: str, media_type: str, title: str) -> tuple[bytes, list[parsing.Section]]:
    """A text as its file's bytes, and the sections read of it. Raises InvalidInput, TooLarge on `text`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MOST_CHARS:
        raise TooLarge(
            _("The text has %(has)d characters; at most %(most)d can be edited here. Split it into entries.")
            % {"has": len(text), "most": MOST_CHARS},
            field="text",
            limit_bytes=MOST_CHARS,
        )
    if "\x00" in text or len(_BINARY.findall(text)) > max(3, len(text) // 500):
        raise InvalidInput(
            _("This is the content of a binary file, not text. Upload the file itself under Documents."),
            field="text",
        )
    said = _BINARY.sub("", text)
    if not _below(said, media_type).strip():
        raise InvalidInput(_("Write the text."), field="text")
    front = _FRONT.match(_below(said, media_type))
    if front and not _below(said, media_type)[front.end() :].strip():
        raise InvalidInput(
            _("There is nothing below the lines between “---”. Write the text there."), field="text"
        )
    data = said.encode()
    if parsing.media_type_of(f"text{_ending(media_type)}", data) != media_type:
        raise InvalidInput(
            _("This is the content of a file, not text. Upload the file itself."), field="text"
        )
    try:
        return data, parsing.read_sections(data, media_type, title)
    except InvalidInput as error:
        bare = error.field == "file" and "<" not in said and "#" in said
        told = _("There are headings and no text below them.") if bare else error.detail
        raise InvalidInput(told, field="text", **error.extra) from error


def front_matter(text: str) -> str:
    """The lines between "---" at the top of a text, or "": the reader takes them for text."""
    found = _FRONT.match(text)
    return found[0].strip() if found else ""


def new_article(base_id: int, title: str, text: str, writer: Writer) -> Document:
    """A Markdown document of its own.

    Raises InvalidInput on `title` (empty, too long, another's: `document` in `extra`) and as `checked`;
    NotFound when the knowledge base is gone.
    """
    title = " ".join(title.split()).lstrip("# ").strip()
    if not title or len(title) > LONGEST_TITLE:
        raise InvalidInput(
            _("Write a title of at most %(n)d characters.") % {"n": LONGEST_TITLE}, field="title"
        )
    if not text.strip():
        raise InvalidInput(_("Write the text."), field="text")
    checked(text, MARKDOWN, title)
    data, _sections = checked(with_title(title, text), MARKDOWN, title)
    with transaction.atomic():
        base = _base(base_id)
        for other in base.documents.exclude(state=Document.State.REMOVED).filter(title__iexact=title)[:1]:
            raise InvalidInput(
                _("There is “%(title)s” already. Change that one, or choose another title.")
                % {"title": other.title},
                field="title",
                document=other.pk,
            )
        return _received(base, _free(base, title, ".md"), data, title, writer)


def new_entry(base_id: int, entry: Entry, writer: Writer, document_id: int | None = None) -> Document:
    """An FAQ entry at the end of a document, or of the one that gathers those written here.

    Raises InvalidInput naming the field; NotFound when the knowledge base or the document is gone.
    """
    entry = entry.checked()
    with transaction.atomic():
        base = _base(base_id)
        which = {"pk": document_id} if document_id else {"filename": WRITTEN}
        document = base.documents.filter(**which).first()
        if document is None and document_id:
            raise NotFound(_("This document was removed meanwhile. Your entry was not kept anywhere yet."))
        there = document is not None and document.state != Document.State.REMOVED
        data = writer.storage.read(document.file_path) if document is not None and there else b""
        kind = document.media_type if document is not None else faq_files.JSONL
        _refuse_twins(base, entry, faq_files.read(data, kind) if data else [], None, document)
        made = faq_files.written(data, kind, None, entry)
        title = document.title if document else _("Written answers")
        return _received(base, document.filename if document else WRITTEN, made, title, writer)


def save_text(
    document_id: int, text: str, expected: str, writer: Writer, *, revive: bool = False
) -> Document:
    """Make this the document's text, if its content hash is still `expected`.

    `revive`: bring it back when it was removed. Raises as `checked`, and Conflict (`why` in `extra`:
    "changed" or "removed") or NotFound when it is another by now; nothing was written then.
    """
    seen = _document(document_id)
    data, sections = checked(text, seen.media_type, seen.title)
    with transaction.atomic():
        return _replaced(_held(document_id, expected, revive), data, sections, writer)


def save_entry(
    document_id: int, at: int, entry: Entry | None, expected: str, writer: Writer
) -> Document | None:
    """Change the entry at a place of an FAQ, or take it away (None), if its digest is still `expected`.

    An entry that has only moved is found. None when the document went with its last entry. Raises as
    `Entry.checked`, and Conflict or NotFound as `save_text`.
    """
    entry = entry.checked() if entry is not None else None
    with transaction.atomic():
        document = _held(document_id, "", False)
        data = writer.storage.read(document.file_path)
        entries = faq_files.read(data, document.media_type)
        at = _place(entries, at, expected)
        if entry is not None:
            _refuse_twins(document.knowledge_base, entry, entries, at, document)
        elif len(entries) == 1:
            knowledge.remove(document, writer.now)
            return None
        made = faq_files.written(data, document.media_type, at, entry)
        saved = _received(document.knowledge_base, document.filename, made, document.title, writer)
        if entry is not None:
            _carry(saved, {entries[at].heading: entry.heading}, saved)
        return saved


def take_over(document_id: int, writer: Writer, *, keep: bool) -> Document:
    """What was read of a document as a Markdown document of its own, or an FAQ; `keep`: the original too.

    Without it the wordings and cases of the original follow. Raises InvalidInput when nothing was read of it
    or it is too long, Conflict when it was removed.
    """
    with transaction.atomic():
        original = _held(document_id, "", False)
        passages = list(original.passages.filter(retired_at=None).order_by("ordinal"))
        if not passages:
            raise InvalidInput(_("Nothing was read of this document, so there is nothing to take over."))
        base, is_faq = original.knowledge_base, _was_faq(original)
        data = _faq_of(passages) if is_faq else as_markdown.written(passages).encode()
        if not is_faq:
            data, _sections = checked(data.decode(), MARKDOWN, original.title)
        filename = _free(base, original.title, ".jsonl" if is_faq else ".md")
        copy = _received(base, filename, data, original.title, writer)
        if not keep:
            headings = {passage.heading: passage.heading for passage in passages}
            _carry(original, headings, copy)
            knowledge.remove(original, writer.now)
        return copy


def go_back(document_id: int, edition: str, expected: str, writer: Writer) -> Document:
    """Make the file with the content hash `edition` the document's again, as `save_text` would."""
    with transaction.atomic():
        document = _held(document_id, expected, False)
        data = entry_history.edition_of(document, edition, writer.storage)
        is_text = document.media_type in TEXTS
        sections = parsing.read_sections(data, document.media_type, document.title) if is_text else []
        return _replaced(document, data, sections, writer)


def _below(text: str, media_type: str) -> str:
    return title_and_text(text)[1] if media_type == MARKDOWN and not text.startswith("---") else text


def _ending(media_type: str) -> str:
    return next(ending for ending, known in parsing.MEDIA_TYPES.items() if known == media_type)


def _document(document_id: int) -> Document:
    found = Document.objects.select_related("knowledge_base").filter(pk=document_id).first()
    if found is None:
        raise NotFound(_("This document is gone, with its knowledge base. Save your text as a new entry."))
    return found


def _base(base_id: int) -> KnowledgeBase:
    found = KnowledgeBase.objects.select_for_update().filter(pk=base_id).first()
    if found is None:
        raise NotFound(_("This knowledge base was deleted. Choose another one; your text is still here."))
    return found


def _held(document_id: int, expected: str, revive: bool) -> Document:
    """The document's row, nobody else's until the end of the transaction."""
    rows = Document.objects.select_for_update().select_related("knowledge_base")
    found = rows.filter(pk=document_id).first()
    if found is None:
        _document(document_id)
        raise NotFound
    if found.state == Document.State.REMOVED and not revive:
        raise Conflict(_("This document was removed while you were writing."), why="removed")
    if expected and found.content_hash != expected:
        raise Conflict(_("Somebody else has changed it while you were writing."), why="changed")
    return found


def _place(entries: Sequence[Entry], at: int, expected: str) -> int:
    if at < len(entries) and entries[at].digest == expected:
        return at
    same = [n for n, entry in enumerate(entries) if entry.digest == expected]
    if len(same) != 1:
        raise Conflict(_("Somebody else has changed it while you were writing."), why="changed")
    return same[0]


def _replaced(document: Document, data: bytes, sections: list[parsing.Section], writer: Writer) -> Document:
    if hashlib.sha256(data).hexdigest() == document.content_hash and document.state != Document.State.REMOVED:
        return document
    try:
        before = writer.storage.read(document.file_path) if sections else b""
        old = parsing.read_sections(before, document.media_type, document.title) if before else []
    except SuiteError:
        old = []
    saved = _received(document.knowledge_base, document.filename, data, document.title, writer)
    was, now = (_texts(document, found) for found in (old, sections))
    _carry(saved, entry_history.moved(list(was), list(now), lambda one, other: was[one] == now[other]), saved)
    return saved


def _received(base: KnowledgeBase, filename: str, data: bytes, title: str, writer: Writer) -> Document:
    return knowledge.receive(
        base, filename, data, title=title, storage=writer.storage, max_bytes=writer.max_bytes,
        by=writer.by, now=writer.now,
    )  # fmt: skip


def _texts(document: Document, sections: list[parsing.Section]) -> dict[str, str]:
    """What stands under each heading."""
    found: dict[str, str] = {}
    for passage in knowledge.passages_of(document, sections)[0]:
        found[passage.heading] = f"{found.get(passage.heading, '')}\n{passage.text}"
    return found


def _carry(document: Document, headings: Mapping[str, str], to: Document) -> None:
    """Wordings and cases of a document's headings become those of others, of it or of another document."""
    for old, new in headings.items():
        if (old, document.pk) == (new, to.pk):
            continue
        there = set(to.question_variants.filter(heading=new).values_list("question", flat=True))
        rows = QuestionVariant.objects.filter(document=document, heading=old)
        rows.filter(question__in=there).delete()
        rows.update(document=to, heading=new)
        EvaluationCase.objects.filter(document=document, heading=old).update(document=to, heading=new)


def _refuse_twins(
    base: KnowledgeBase, entry: Entry, entries: Sequence[Entry], at: int | None, document: Document | None
) -> None:
    """Raises InvalidInput where the question or a wording is another entry's already."""
    mine = entries[at].heading if at is not None else None
    others = [(other.question, q) for n, other in enumerate(entries) if n != at for q in _all(other)]
    if document is not None:
        by_hand = document.question_variants.exclude(heading=mine or "").values_list("heading", "question")
        others += [(_last(heading), question) for heading, question in by_hand]
    owner_of = {variants.plain(question): owner for owner, question in others}
    taken = variants.taken(base)
    for name, said in (("question", (entry.question,)), ("variants", entry.variants)):
        for question in said:
            rows = Passage.objects.filter(pk__in=taken.get(variants.plain(question), []))
            passage = rows.exclude(document=document.pk if document else 0).first()
            owner = owner_of.get(variants.plain(question)) or (_last(passage.heading) if passage else "")
            if owner:
                told = {"question": question[:80], "heading": owner[:80]}
                words = _("“%(question)s” is a question of the entry “%(heading)s” already.") % told
                raise InvalidInput(words, field=name, passage=passage.pk if passage else 0)


def _all(entry: Entry) -> tuple[str, ...]:
    return (entry.question, *entry.variants)


def _last(heading: str) -> str:
    return heading.rsplit(" › ", 1)[-1]


def _free(base: KnowledgeBase, title: str, ending: str) -> str:
    """A file name of the title's that no document has or had."""
    stem = re.sub(r"[^\w]+", "-", title.lower()).strip("-")[:80] or "entry"
    name, n = f"{stem}{ending}", 2
    while base.documents.filter(filename=name).exists():
        name, n = f"{stem}-{n}{ending}", n + 1
    return name


def _was_faq(document: Document) -> bool:
    """Whether all it says was embedded under a question, as the answers of an FAQ are."""
    bodies = Piece.objects.filter(passage__document=document, kind=Piece.Kind.BODY)
    return bodies.exists() and not bodies.filter(embedded=F("text")).exists()


def _faq_of(passages: Sequence[Passage]) -> bytes:
    """The passages as FAQ lines; an answer that was cut is one again."""
    entries: dict[str, Entry] = {}
    for passage in passages:
        section, _mark, question = passage.heading.rpartition(" › ")
        known = entries.get(passage.heading)
        answer = f"{known.answer}\n{passage.text}" if known else passage.text
        entries[passage.heading] = Entry(question, answer, tuple(passage.variants), section, passage.language)
    data = b""
    for entry in entries.values():
        data = faq_files.written(data, faq_files.JSONL, None, entry)
    return data
