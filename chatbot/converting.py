"""PDF, DOCX and XLSX to parts and sheets, in a process of its own that may fail alone.

The readers are Python libraries that a hostile file can make slow, hungry or wrong; they run in a child
process (`formats/child.py`) with little memory, little CPU time, no environment and no model, one per
file. Whatever happens there, what comes back is text or one of the refusals below, which say what to do.
The child is no sandbox: it may read what this user may read and reach the network. That no reader does
so is ensured by what they are given: no external entities, no linked files, no macros.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from chatbot.conf import ChatbotSettings
from chatbot.formats.parts import Part
from chatbot.formats.tables import Sheet
from chatbot.recognising import recognised
from services.conf import load
from services.errors import (
    DeadlineExceeded,
    InvalidInput,
    SuiteError,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from services.logs import get_logger

log = get_logger(__name__)

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KINDS = {PDF: "pdf", DOCX: "docx", XLSX: "xlsx"}

MEMORY_BYTES = 2**30
CPU_S = 300
"""CPU time, not the clock's: a busy machine reads more slowly, and no less."""
WALL_S = 1800.0
AT_DOOR_S = 5.0
"""How long a person who uploads a small file waits to hear that it can be read."""
_LOOK_S = 1.0
_RECOGNISABLE = ("pictures", "unmapped")
_ROOT = Path(__file__).resolve().parent.parent
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_TOLD: dict[str, tuple[type[SuiteError], str]] = {
    "password": (
        InvalidInput,
        gettext_noop("The file is protected by a password. Save it without one and upload that."),
    ),
    "pictures": (
        InvalidInput,
        gettext_noop(
            "The PDF holds pictures of pages, no text. Run it through text recognition (OCR) first and "
            "upload the result, or set CHATBOT_OCR so that it is done here."
        ),
    ),
    "unmapped": (
        InvalidInput,
        gettext_noop(
            "The PDF's fonts do not say which letters they print. Upload the document it was made from, or "
            "run it through text recognition (OCR) first, or set CHATBOT_OCR so that it is done here."
        ),
    ),
    "broken": (
        InvalidInput,
        gettext_noop(
            "The file is damaged or incomplete. Open it in its own program, save it again and upload that."
        ),
    ),
    "entities": (
        InvalidInput,
        gettext_noop(
            "The file declares XML entities, which no Word or Excel file needs. Open it in its own program, "
            "save it again and upload that."
        ),
    ),
    "bomb": (
        TooLarge,
        gettext_noop(
            "The file unpacks to more than %(mib)d MiB or %(members)d parts. Remove its pictures or split it."
        ),
    ),
    "rows": (
        TooLarge,
        gettext_noop("With the sheet “%(sheet)s” the workbook has more than %(limit)d rows. Split it."),
    ),
    "columns": (
        TooLarge,
        gettext_noop(
            "The sheet “%(sheet)s” has more than %(limit)d columns. Keep those that answer questions."
        ),
    ),
    "pages": (
        TooLarge,
        gettext_noop("The PDF has %(pages)d pages; at most %(limit)d are read. Split it."),
    ),
    "text": (TooLarge, gettext_noop("The file holds more than %(limit)d characters of text. Split it.")),
    "memory": (
        TooLarge,
        gettext_noop("Reading the file takes too much memory. Split it, or save it again in a simpler form."),
    ),
    "time": (
        DeadlineExceeded,
        gettext_noop("Reading the file takes too long. Split it, or save it again in a simpler form."),
    ),
    "presentation": (
        UnsupportedMediaType,
        gettext_noop("This is a presentation. Save it as PDF and upload that."),
    ),
    "other_archive": (
        UnsupportedMediaType,
        gettext_noop(
            "This is an archive, and neither a Word document nor an Excel workbook. Unpack it and upload "
            "the documents in it."
        ),
    ),
    "old_office": (
        UnsupportedMediaType,
        gettext_noop(
            "This is a format of Word or Excel from before 2007. Save it as .docx or .xlsx and upload that."
        ),
    ),
    "other_office": (
        UnsupportedMediaType,
        gettext_noop("This is an RTF or OpenDocument file. Save it as .docx, .xlsx or .pdf and upload that."),
    ),
}


@dataclass(frozen=True, slots=True)
class Converted:
    """What a file holds: the parts of a document, or the sheets of a workbook."""

    parts: tuple[Part, ...] = ()
    sheets: tuple[Sheet, ...] = ()


def sniff(data: bytes, media_type: str) -> str:
    """The type of a file by its first bytes: `media_type`, or another that is converted.

    Raises UnsupportedMediaType and InvalidInput (a password) for what is known not to be read, and for
    bytes that are not what `media_type` says.
    """
    start = data[:1024]
    if start.lstrip().startswith(b"%PDF-") or (media_type == PDF and b"%PDF-" in start):
        return PDF
    if start.startswith(_OLE):
        raise refusal("password" if "EncryptedPackage".encode("utf-16-le") in data else "old_office")
    if start.startswith(b"{\\rtf") or b"mimetypeapplication/vnd.oasis.opendocument" in start:
        raise refusal("other_office")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if b"word/document" in data or b"word/_rels" in data:
            return DOCX
        if b"xl/workbook" in data or b"xl/_rels" in data:
            return XLSX
        raise refusal("presentation" if b"ppt/presentation" in data else "other_archive")
    if media_type in KINDS and data.strip():
        raise UnsupportedMediaType(
            _("By its content this is no %(kind)s file. Give it the ending of what it is, or save it again.")
            % {"kind": KINDS[media_type].upper()},
            field="file",
        )
    return media_type


def convert(
    data: bytes,
    media_type: str,
    *,
    wall_s: float = WALL_S,
    alive: Callable[[], object] | None = None,
    ocr: str | None = None,
) -> Converted:
    """What is read of a PDF, DOCX or XLSX; `alive` is called every second while it is being read.

    `ocr`: the command for PDFs without text, "" for none; CHATBOT_OCR when not given.
    Raises InvalidInput, UnsupportedMediaType or TooLarge, each naming the field "file" and a remedy;
    DeadlineExceeded after `wall_s` seconds; Unavailable when no process can be started.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as taken:
        given.write(data)
        given.seek(0)
        ended = _run(KINDS[media_type], given, taken, wall_s, alive)
        taken.seek(0)
        answer = _answer(taken.read(), ended)
    if answer.get("refused") in _RECOGNISABLE:
        command = load(ChatbotSettings).chatbot_ocr if ocr is None else ocr
        if command:
            left_s = max(0.0, wall_s - (time.monotonic() - started))
            made = recognised(data, command, wall_s=left_s, alive=alive)
            return convert(made, media_type, wall_s=wall_s, alive=alive, ocr="")
    if "refused" in answer:
        code, facts = str(answer["refused"]), dict(answer.get("facts", {}))
        log.info(
            "file_refused", kind=KINDS[media_type], reason=code, error=facts.pop("error", ""), ended=ended
        )
        raise refusal(code, **facts)
    log.info("file_converted", kind=KINDS[media_type], seconds=round(time.monotonic() - started, 1))
    return Converted(
        tuple(Part.from_json(part) for part in answer.get("parts", [])),
        tuple(
            Sheet(name, [(number, row) for number, row in rows], frozenset(bold))
            for name, rows, bold in answer.get("sheets", [])
        ),
    )


def refusal(code: str, **facts: int | str) -> SuiteError:
    """The error for one of the reasons above, in the reader's language."""
    kind, words = _TOLD.get(code, _TOLD["broken"])
    facts = {name: value[:60] if isinstance(value, str) else value for name, value in facts.items()}
    return kind(_(words) % facts, field="file")


def _run(kind: str, given: Any, taken: Any, wall_s: float, alive: Callable[[], object] | None) -> int | None:
    """The child's exit status; None when it was ended because its time was up."""
    command = [sys.executable, "-m", "chatbot.formats.child", kind]
    limits = [str(MEMORY_BYTES), str(CPU_S), str(int(wall_s) + 5)]
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *limits], stdin=given, stdout=taken, stderr=subprocess.DEVNULL, cwd=_ROOT, env=_env()
        )
    except OSError as error:
        raise Unavailable(
            _("The file cannot be read at the moment. Try again later."), field="file"
        ) from error
    ends = time.monotonic() + wall_s
    try:
        while (left := ends - time.monotonic()) > 0:
            try:
                return child.wait(min(_LOOK_S, left))
            except subprocess.TimeoutExpired:
                if alive is not None:
                    alive()
        return None
    finally:
        child.kill()
        child.wait()


def _env() -> dict[str, str]:
    """No secrets: only what Python needs to find itself, and one thread for libraries that start many."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _answer(said: bytes, ended: int | None) -> dict[str, Any]:
    if ended is None or ended in {-signal.SIGXCPU, -signal.SIGALRM}:
        return {"refused": "time"}
    if ended == -signal.SIGKILL:  # the system was out of memory
        return {"refused": "memory"}
    try:
        answer = json.loads(said) if ended == 0 else None
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"refused": "broken"}
