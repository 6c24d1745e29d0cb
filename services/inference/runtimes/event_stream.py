"""Server-sent events, read: bytes cut anywhere in, the data of each event out.

As the HTML standard has it (section 9.2.6, "Interpreting an event stream"), but for one kindness: an event
that the end of the stream cuts off is given out too, since some servers end without the last empty line.
Only `data` is kept; comments, ids and event names are skipped. Knows nothing of what the data means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_BYTES = 2**20
"""A line, or the data of one event, may be this long."""
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """A line or an event is over the limit; the rest of the stream cannot be trusted."""


class EventStream:
    """One stream's parser. Lines are decoded whole, so a character cut in two comes out in one piece."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The data of every event that this chunk completes. Raises EventTooLong."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = _LINE_END.split(chunk)
        for part in ended:
            self._extend(part)
            yield from self._end_line()
        self._extend(rest)

    def end(self) -> Iterator[str]:
        """The data of an event that the end of the stream left unfinished, if there is one."""
        yield from self._end_line()
        yield from self._end_event()

    def _extend(self, part: bytes) -> None:
        if len(self._line) + len(part) > self._most:
            raise EventTooLong
        self._line += part

    def _end_line(self) -> Iterator[str]:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if not line:
            yield from self._end_event()
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._most:
                raise EventTooLong

    def _end_event(self) -> Iterator[str]:
        if self._data:
            data = b"\n".join(self._data).decode("utf-8", "replace")
            self._data.clear()
            self._data_bytes = 0
            yield data
