"""Scanned PDFs go through the program CHATBOT_OCR names; whatever it does, people are told what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from chatbot import converting
from chatbot.conf import ChatbotSettings
from chatbot.converting import PDF, convert
from services.errors import DeadlineExceeded, InvalidInput, SuiteError, Unavailable
from tests.chatbot import made_files as made


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A program that "recognises" the words of our handbook in any file, and says what it was given."""
    (tmp_path / "handbook.pdf").write_bytes(made.handbook())
    script = tmp_path / "recognise.py"
    script.write_text(
        "import os, shutil, sys\n"
        "assert open(sys.argv[1], 'rb').read(5) == b'%PDF-'\n"
        "assert 'SECRET_KEY' not in os.environ\n"
        f"shutil.copy({str(tmp_path / 'handbook.pdf')!r}, sys.argv[2])\n"
    )
    return f"{sys.executable} {script} {{input}} {{output}}"


def test_a_scanned_pdf_is_read_when_a_program_for_it_is_set(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for programs")
    monkeypatch.setattr(converting, "load", lambda _: ChatbotSettings(chatbot_ocr=program))
    told = convert(made.scanned(), PDF).parts
    assert told == convert(made.handbook(), PDF).parts
    assert convert(made.handbook(), PDF, ocr="false {input} {output}").parts == told  # has its text: not run


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ("", InvalidInput, "set CHATBOT_OCR"),
        ("no-such-program {input} {output}", Unavailable, "cannot be started"),
        (f"{sys.executable} -c exit(3) {{input}} {{output}}", InvalidInput, "failed on it"),
        (f"{sys.executable} -c pass {{input}} {{output}}", InvalidInput, "failed on it"),
        (f"{sys.executable} -c input() {{input}} {{output}}", InvalidInput, "failed on it"),
        ("cp {input} {output}", InvalidInput, "pictures of pages"),
    ],
)
def test_a_program_that_does_not_help_is_told_of(command: str, kind: type[SuiteError], words: str) -> None:
    with pytest.raises(kind, match=words) as error:
        convert(made.scanned(), PDF, ocr=command)
    assert error.value.field == "file"


def test_a_program_that_hangs_is_ended_with_all_it_started() -> None:
    beats: list[int] = []
    with pytest.raises(DeadlineExceeded, match="takes too long"):
        convert(
            made.scanned(),
            PDF,
            wall_s=4,
            alive=lambda: beats.append(1),
            ocr="sh -c 'sleep 60 & sleep 60' {input} {output}",
        )
    assert beats


@pytest.mark.parametrize(
    "command", ["ocrmypdf", "ocrmypdf {input}", "{input} {output}", "x '{input} {output}"]
)
def test_a_command_without_its_files_stops_the_start(command: str) -> None:
    with pytest.raises(ValidationError, match="chatbot_ocr"):
        ChatbotSettings(chatbot_ocr=command)
