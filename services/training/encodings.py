"""In which encoding a file of texts is, told by reading it once, a piece at a time.

What it cannot do: tell apart encodings that differ only in which letters they mean. A file that is not
Unicode is taken for Chinese (GB18030) or Western European (Windows-1252), and whoever reads it says so.
"""

from __future__ import annotations

from typing import BinaryIO

_PIECE = 1 << 20
_LONGEST_LINE = 1 << 22
_KINDS = {
    b"PK\x03\x04": "a spreadsheet or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
}


def binary_kind(head: bytes) -> str | None:
    """What a file that is no text is, in words, from its first bytes; None when it may be text."""
    return next((kind for start, kind in _KINDS.items() if head.startswith(start)), None)


def encoding_of(stream: BinaryIO) -> str:
    """The name of the encoding, as `codecs` knows it; the stream is read to its end in bounded memory.

    A file whose lines are partly UTF-8 and partly not is UTF-8: its other lines are wrong, not the file.
    """
    head = stream.read(4096)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.count(0) > len(head) // 4:
        return "utf-16-be" if head[0::2].count(0) > head[1::2].count(0) else "utf-16-le"
    stream.seek(0)
    unicode_lines = other_lines = pairs = loose = 0
    windows = True
    while line := stream.readline(_LONGEST_LINE):
        if line.isascii():
            continue
        try:
            line.decode()
            unicode_lines += 1
        except UnicodeDecodeError:
            other_lines += 1
            paired, alone = _chinese_bytes(line)
            pairs, loose = pairs + paired, loose + alone
            windows = windows and not any(byte in line for byte in b"\x81\x8d\x8f\x90\x9d")
    if unicode_lines or not other_lines:
        return "utf-8-sig"
    if pairs > 9 * loose:
        return "gb18030"
    return "cp1252" if windows else "latin-1"


def _chinese_bytes(line: bytes) -> tuple[int, int]:
    """How many bytes above ASCII are in pairs as GB 2312 writes its characters, and how many are not."""
    pairs = loose = at = 0
    while at < len(line):
        if line[at] < 0x80:
            at += 1
        elif (0xA1 <= line[at] <= 0xA9 or 0xB0 <= line[at] <= 0xF7) and line[at + 1 : at + 2] >= b"\xa1":
            pairs, at = pairs + 2, at + 2
        else:
            loose, at = loose + 1, at + 1
    return pairs, loose
