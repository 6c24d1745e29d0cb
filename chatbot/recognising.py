"""Scanned PDFs through the operator's own text recognition: a program that CHATBOT_OCR names.

The program gets the file's path and the path to write to, no shell, none of this process's secrets, and so
much time. What it writes is read like any other PDF. Which program, and which languages it knows, is not
known here.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.utils.translation import gettext as _

from services.errors import DeadlineExceeded, InvalidInput, Unavailable
from services.logs import get_logger

log = get_logger(__name__)

INPUT, OUTPUT = "{input}", "{output}"
_LOOK_S = 1.0
_SAID_CHARS = 400
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TESSDATA_PREFIX")


def recognised(
    data: bytes, command: str, *, wall_s: float, alive: Callable[[], object] | None = None
) -> bytes:
    """The PDF with its text; `alive` is called every second meanwhile.

    Raises Unavailable when the program cannot be started, DeadlineExceeded after `wall_s` seconds, and
    InvalidInput when it fails or writes nothing.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.pdf"), Path(folder, "made.pdf")
        given.write_bytes(data)
        places = {INPUT: str(given), OUTPUT: str(made)}
        status, said = _run(_filled(command, places), Path(folder), wall_s, alive)
        result = made.read_bytes() if status == 0 and made.is_file() else b""
    log.info(
        "text_recognised", status=status, bytes=len(result), seconds=round(time.monotonic() - started, 1)
    )
    if not result:
        log.warning("recognition_failed", status=status, said=said)
        raise InvalidInput(
            _("The PDF holds pictures of pages, and the text recognition set by CHATBOT_OCR failed on it. ")
            + _("What it said is in the log. Upload the document the PDF was made from."),
            field="file",
        )
    return result


def _filled(command: str, places: dict[str, str]) -> list[str]:
    words = shlex.split(command)
    for mark, path in places.items():
        words = [word.replace(mark, path) for word in words]
    return words


def _run(
    command: list[str], folder: Path, wall_s: float, alive: Callable[[], object] | None
) -> tuple[int, str]:
    """The program's exit status and the end of what it said."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with (folder / "said").open("w+b") as said:
        try:
            program = subprocess.Popen(  # noqa: S603 - the operator's setting, no shell
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(
                _("The text recognition set by CHATBOT_OCR cannot be started: %(why)s.")
                % {"why": error.strerror or type(error).__name__},
                field="file",
            ) from error
        status = _waited(program, wall_s, alive)
        said.seek(0)
        return status, said.read().decode(errors="replace")[-_SAID_CHARS:]


def _waited(program: subprocess.Popen[bytes], wall_s: float, alive: Callable[[], object] | None) -> int:
    ends = time.monotonic() + wall_s
    try:
        while (left := ends - time.monotonic()) > 0:
            try:
                return program.wait(min(_LOOK_S, left))
            except subprocess.TimeoutExpired:
                if alive is not None:
                    alive()
        raise DeadlineExceeded(
            _("Recognising the text of the PDF takes too long. Split it, or upload what it was made from."),
            field="file",
        )
    finally:
        with suppress(ProcessLookupError):  # and whatever it started
            os.killpg(program.pid, 9)
        program.wait()
