"""The process a DOCX, XLSX or PDF is read in: little memory, little time, no files, no environment.

`python -m chatbot.formats.child KIND MEMORY_BYTES CPU_S WALL_S`: the file on stdin (seekable), the parts
as JSON on stdout. Whatever a hostile file makes a reader do ends with this process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import signal
import sys
import warnings
from typing import Any, BinaryIO

from chatbot.formats.refusal import MAX_CHARS, Refusal

OUTPUT_BYTES = 64 * 2**20


def main(kind: str, memory_bytes: int, cpu_s: int, wall_s: int) -> None:
    """Read stdin, write one JSON object: {"parts": [...]}, {"sheets": [...]} or {"refused", "facts"}."""
    _limit(memory_bytes, cpu_s, wall_s)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    answer_to, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not spoil the answer
    answer_to.write(reply(sys.stdin.buffer, kind))
    answer_to.flush()


def reply(stream: BinaryIO, kind: str) -> str:
    """What is read of the file, or why it is not, as JSON; raises nothing."""
    try:
        answer = json.dumps(_read(stream, kind))
        if len(answer) > OUTPUT_BYTES:
            raise Refusal("text", limit=MAX_CHARS)
    except Refusal as refusal:
        answer = json.dumps({"refused": refusal.code, "facts": refusal.facts})
    except Exception as error:  # whatever a reader stumbles over: the file is broken
        reason = "memory" if _is_of_memory(error) else "broken"
        answer = json.dumps({"refused": reason, "facts": {"error": type(error).__name__}})
    return answer


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, told by the error or by the one it was made of."""
    while error is not None:
        if isinstance(error, MemoryError) or any(isinstance(told, MemoryError) for told in error.args):
            return True
        error = error.__cause__ or error.__context__
    return False


def _read(stream: BinaryIO, kind: str) -> dict[str, Any]:
    if kind == "pdf":
        from chatbot.formats import pdf

        return {"parts": _within_limit([part.as_json() for part in pdf.read(stream)])}
    from chatbot.formats import archive

    if archive.check(stream) == archive.DOCX:
        from chatbot.formats import word

        return {"parts": _within_limit([part.as_json() for part in word.read(stream)])}
    from chatbot.formats import workbook

    sheets = workbook.read(stream)
    if sum(len(words) for sheet in sheets for _n, row in sheet.rows for words in row) > MAX_CHARS:
        raise Refusal("text", limit=MAX_CHARS)
    return {"sheets": [[sheet.name, sheet.rows, sorted(sheet.bold)] for sheet in sheets]}


def _within_limit(parts: list[list[Any]]) -> list[list[Any]]:
    if sum(len(part[1]) for part in parts) > MAX_CHARS:
        raise Refusal("text", limit=MAX_CHARS)
    return parts


def _limit(memory_bytes: int, cpu_s: int, wall_s: int) -> None:
    signal.alarm(wall_s)  # ends the process even when its parent is gone
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that lacks one of them keeps the others
            resource.setrlimit(what, (least, least))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
