"""The documents that list the settings are what the command prints, so they cannot fall behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from services.conf import is_secret
from services.console.settings_classes import every_class

ROOT = Path(__file__).parents[2]


def printed(form: str) -> str:
    out = io.StringIO()
    call_command("settings_reference", format=form, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(("form", "path"), [("env", ".env.example"), ("markdown", "docs/settings.md")])
def test_the_kept_file_is_what_the_command_prints(form: str, path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == printed(form), (
        f"Run: manage.py settings_reference --format {form} > {path}"
    )


def test_every_setting_has_its_meaning_and_its_default_in_both_forms() -> None:
    env, page = printed("env"), printed("markdown")
    fields = [(name, field) for cls in every_class() for name, field in cls.model_fields.items()]
    assert len(fields) > 20
    for name, field in fields:
        assert field.description, name
        assert f"#{name.upper()}=" in env
        assert f"| `{name.upper()}` |" in page
        assert (f"{name.upper()}_FILE" in env) == is_secret(field)


def test_no_two_classes_claim_the_same_variable() -> None:
    names = [name for cls in every_class() for name in cls.model_fields]
    assert len(names) == len(set(names))


def test_every_line_of_the_example_is_a_comment_so_that_copying_it_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
