"""Print every setting with its default and meaning, as `.env.example` or as Markdown."""

from __future__ import annotations

import textwrap
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from services.conf import SuiteSettings, is_secret
from services.console.settings_classes import every_class


class Command(BaseCommand):
    """`manage.py settings_reference --format env|markdown`."""

    help = "Print every setting: --format env gives .env.example, --format markdown gives docs/settings.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=["env", "markdown"], default="env")

    def handle(self, *args: Any, **options: Any) -> None:
        render = _env if options["format"] == "env" else _markdown
        self.stdout.write(render(every_class()), ending="")


def _env(classes: list[type[SuiteSettings]]) -> str:
    lines = ["# Trefoil's settings. Copy to .env and remove the # of what you change.", ""]
    for cls in classes:
        lines += [f"# ---- {_first_line(cls)}", ""]
        for name, field in cls.model_fields.items():
            lines += [f"# {line}" for line in textwrap.wrap(str(field.description), 96)]
            if is_secret(field):
                lines.append(f"# May be given as {name.upper()}_FILE, the path of a file that holds it.")
            lines += [f"#{name.upper()}={_default(field.default)}", ""]
    return "\n".join(lines)


def _markdown(classes: list[type[SuiteSettings]]) -> str:
    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable, or a line of `.env` in the folder of `manage.py`.",
        "A wrong value stops the start, naming the variable and the remedy.",
        "This page is printed by `manage.py settings_reference --format markdown`.",
        "",
    ]
    for cls in classes:
        lines += [f"## {_first_line(cls)}", "", "| variable | default | meaning |", "|---|---|---|"]
        for name, field in cls.model_fields.items():
            secret = f" Or {name.upper()}_FILE." if is_secret(field) else ""
            default = _default(field.default)
            lines.append(
                f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {field.description}{secret} |"
            )
        lines.append("")
    return "\n".join(lines)


def _first_line(cls: type[SuiteSettings]) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")


def _default(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
