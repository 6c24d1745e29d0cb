"""The documents keep up: links lead somewhere, and every endpoint, error, command and target is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from services.errors import every_error

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    words = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in words}


def test_there_are_pages_to_check() -> None:
    assert {p.name for p in PAGES} >= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "api.md", "map.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    body = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", body):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_every_error_has_its_section_with_status_and_class() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text_of("docs/errors.md"), re.M | re.S))
    assert set(sections) == {cls.code for cls in every_error()}
    for cls in every_error():
        assert f"Status {cls.http_status}, `{cls.__name__}`." in sections[cls.code], cls.code
        assert len(sections[cls.code].strip().splitlines()) >= 3, f"{cls.code} lacks a meaning or a remedy"


def test_every_operation_is_told_with_an_example_in_three_languages() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("api*.md")]
    documented = json.loads(text_of("tests/data/openapi.json"))["paths"]
    assert documented
    for path, methods in documented.items():
        for method in methods:
            told = re.compile(rf"`{method.upper()} {re.escape(path)}[`?]")
            sections = [s for page in pages for s in re.split(r"^##+ ", page, flags=re.M) if told.search(s)]
            assert sections, (method, path)
            languages = {name for name, _code in FENCE.findall(sections[0])}
            stream = path.endswith("/events") and "conversations" in path  # read at the top of the page
            assert languages >= ({"bash"} if stream else {"bash", "python", "javascript"}), (method, path)


def test_every_example_can_be_read_by_its_language() -> None:
    for page in PAGES:
        for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "python":
                compile(code, str(page), "exec")
            elif language == "json":
                json.loads(code)


def test_every_kind_of_event_is_told() -> None:
    from chatbot.models import ConversationEvent

    page = text_of("docs/api.md")
    for kind in ConversationEvent.Kind.values:
        assert f"| `{kind}` |" in page


def test_every_command_of_ours_is_told() -> None:
    ours = {app.name for app in apps.get_app_configs() if (ROOT / app.name.replace(".", "/")).is_dir()}
    commands = [name for name, app in get_commands().items() if app in ours]
    assert {"up", "load_sample", "settings_reference"} <= set(commands)
    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in commands:
        assert f"manage.py {name}" in told, name


def test_every_make_target_is_told_and_every_told_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*$", text_of("Makefile"), re.MULTILINE))
    page = text_of("CONTRIBUTING.md")
    assert {name for name in targets if f"`make {name}`" not in page} == set()
    for path in PAGES:
        told = re.findall(r"(?:`|^)make ([a-z]+)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(told) <= targets, path


def test_every_file_on_the_map_exists() -> None:
    page = text_of("docs/map.md")
    rows = re.findall(r"^\| `([^`]+)` ", page, re.MULTILINE)
    assert len(rows) > 40
    assert [path for path in rows if not (ROOT / path).exists()] == []


def test_every_module_of_the_wiring_and_of_the_apps_is_on_the_map() -> None:
    page = text_of("docs/map.md")
    furniture = {"__init__", "apps", "urls"}
    modules = [
        module.relative_to(ROOT).as_posix()
        for package in ("config", "chatbot", "sentiment_monitor", "recommender", "services")
        for module in sorted((ROOT / package).glob("*.py"))
        if module.stem not in furniture
    ]
    assert len(modules) > 60
    assert [module for module in modules if f"`{module}`" not in page] == []
