"""Everything a person reads is there in Simplified Chinese too, and what is compiled is what is written."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.test import Client
from django.utils.translation.template import templatize

from services.errors import every_error

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "locale" / "zh_Hans" / "LC_MESSAGES"
SOURCES = ("config", "services", "chatbot", "sentiment_monitor", "recommender", "sample")
SHAPES: dict[str, Any] = {
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
KEYWORDS = {f"{name}{form}": shape for name, shape in SHAPES.items() for form in ("", "_lazy", "_noop")}
KEYWORDS["_"] = None


@pytest.fixture(scope="module")
def written() -> Catalog:
    with (FOLDER / "django.po").open("rb") as file:
        return read_po(file, locale="zh_Hans")


def used() -> Iterator[tuple[Any, str]]:
    """Every message of the Python code and the templates, with the file it stands in."""
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix == ".py":
                source = path.read_bytes()
            elif path.suffix in {".html", ".txt"} and "templates" in path.parts:
                lines = templatize(path.read_text(encoding="utf-8")).splitlines()
                source = "\n".join(line.strip() for line in lines).encode()
            else:
                continue
            for _line, message, _comments, context in extract("python", io.BytesIO(source), KEYWORDS):
                yield (message, context), str(path.relative_to(ROOT))


def forms(words: Any) -> tuple[str, ...]:
    """One form or several, always as a tuple; none for what is not translated."""
    return (words or "",) if isinstance(words, str | None) else tuple(words)


def translations(catalogue: Catalog) -> dict[Any, tuple[str, ...]]:
    """Message and context -> the forms of its translation; a compiled catalogue's contexts are bytes."""
    return {
        (forms(m.id), m.context.decode() if isinstance(m.context, bytes) else m.context): forms(m.string)
        for m in catalogue
        if m.id
    }


def test_every_message_of_the_code_and_the_templates_is_in_the_catalogue(written: Catalog) -> None:
    messages = list(used())
    assert len(messages) > 50
    missing = [
        (message, path) for (message, context), path in messages if written.get(message, context) is None
    ]
    assert missing == [], (
        "Run: manage.py makemessages -l zh_Hans --ignore .venv --no-wrap --no-obsolete --add-location file"
    )


def test_every_message_is_translated_and_none_is_a_guess(written: Catalog) -> None:
    assert len(written) > 50
    assert [message.id for message in written if message.id and not all(forms(message.string))] == []
    assert [message.id for message in written if message.id and message.fuzzy] == []


def test_every_translation_keeps_the_places_for_values(written: Catalog) -> None:
    places = re.compile(r"%\(\w+\)\.?\d*[sdf]|%[sd]|\{\w*\}|__\w+__")
    for (ids, _context), words in translations(written).items():
        for said in words:
            assert set(places.findall(said)) == set(places.findall(ids[-1])), ids


def test_the_compiled_catalogue_is_the_written_one(written: Catalog) -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = read_mo(file)
    assert translations(compiled) == translations(written), "Run: manage.py compilemessages --ignore .venv"


def test_the_titles_of_the_errors_are_marked_for_translation(written: Catalog) -> None:
    for cls in every_error():
        assert written.get(cls.title) is not None, cls.__name__


@pytest.mark.django_db
def test_a_reader_of_chinese_gets_chinese(client: Client) -> None:
    chinese = {"accept-language": "zh-hans"}
    problem = client.get("/api/v1/chatbot/inboxes/none", headers=chinese).json()
    assert problem["title"] == "未找到"
    assert "data-inbox" in problem["detail"]
    assert "没有使用这个密钥的收件箱" in problem["detail"]
