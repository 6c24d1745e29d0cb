"""The ZIP archive a DOCX or XLSX is: which of the two, and nothing in it that could harm its reader.

Checked before anything is parsed: how many files and bytes it unpacks to (zipfile never gives more than
it declares), passwords, and document type declarations, which Office files never have and which external
entities and entity bombs need.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import BinaryIO
from xml.parsers import expat

from chatbot.formats.refusal import MAX_MEMBERS, MAX_UNPACKED_BYTES, Refusal

DOCX, XLSX = "docx", "xlsx"
_MAIN_TYPES = {
    b"wordprocessingml": DOCX,
    b"ms-word": DOCX,
    b"spreadsheetml": XLSX,
    b"ms-excel.sheet.macroEnabled": XLSX,
    b"ms-excel.template.macroEnabled": XLSX,
}
_MAIN = re.compile(
    rb"application/vnd\.(?:openxmlformats-officedocument\.)?"
    rb"(wordprocessingml|ms-word|spreadsheetml|ms-excel\.sheet\.macroEnabled|ms-excel\.template\.macroEnabled"
    rb"|presentationml|ms-powerpoint)[\w.]*main\+xml"
)
_BLOCK = 2**16


def check(stream: BinaryIO) -> str:
    """Which document the archive is: "docx" or "xlsx".

    Raises Refusal: broken, bomb, password, entities, presentation, other_archive.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES:
                raise Refusal("bomb", mib=MAX_UNPACKED_BYTES // 2**20, members=MAX_MEMBERS)
            if any(member.flag_bits & 0x1 for member in members):
                raise Refusal("password")
            kind = _kind(archive)
            for member in members:
                _no_declarations(archive, member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise Refusal("broken") from error
    finally:
        stream.seek(0)
    return kind


def _kind(archive: zipfile.ZipFile) -> str:
    try:
        with archive.open("[Content_Types].xml") as types:
            found = _MAIN.search(types.read(2**20))
    except KeyError:
        found = None
    if found is None:
        raise Refusal("other_archive")
    if found[1] not in _MAIN_TYPES:
        raise Refusal("presentation")
    return _MAIN_TYPES[found[1]]


def _no_declarations(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a file of the archive that is XML, in whatever encoding, and declares a document type."""
    with archive.open(member) as content:
        start = content.read(_BLOCK)
        if not start.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n").startswith(b"<"):
            return
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = _refuse
        try:
            while start:
                parser.Parse(start)
                start = content.read(_BLOCK)
        except expat.ExpatError:
            return  # not XML; whoever needs it will say so


def _refuse(*_declaration: object) -> None:
    raise Refusal("entities")
