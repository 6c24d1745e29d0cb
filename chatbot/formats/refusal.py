"""Why a file is not read, and how much of one is: the limits of every reader."""

from __future__ import annotations

MAX_PAGES = 1000
MAX_ROWS = 20_000
"""Rows of all sheets of a workbook together, or of a CSV table."""
MAX_COLUMNS = 200
MAX_CHARS = 5_000_000
"""Characters of text one file may give."""
MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 200 * 2**20
"""Files inside a DOCX or XLSX, and their size together once unpacked."""


class Refusal(Exception):
    """A file that is not read; `code` is one of the sentences in `chatbot/converting.py`.

    `facts` are the numbers and names that sentence shows.
    """

    def __init__(self, code: str, **facts: int | str) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts
