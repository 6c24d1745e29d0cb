"""Import a file of entries with their own times, or a watch-list of companies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sentiment_monitor import importing
from sentiment_monitor.tasks import process_soon
from services.errors import SuiteError


class Command(BaseCommand):
    """`manage.py import_news entries|companies FILE [--source KEY] [--json]`."""

    help = "Import entries (CSV or JSONL) or a watch-list of companies (JSONL)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["entries", "companies"])
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", default="import", help="source of entries that name none")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["what"] == "companies":
                count = importing.companies(options["file"])
                self.stdout.write(
                    json.dumps({"companies": count}) if options["json"] else f"{count} companies."
                )
                return
            done = importing.entries(options["file"], options["source"], timezone.now())
        except (SuiteError, OSError) as error:
            raise CommandError(str(error)) from error
        process_soon()
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {"created": done.created, "duplicates": done.duplicates, "rejected": done.rejected}
                )
            )
            return
        self.stdout.write(
            f"{done.created} new, {done.duplicates} there already, {len(done.rejected)} refused."
        )
        for line, field, why in done.rejected[:20]:
            self.stderr.write(f"line {line}, {field}: {why}")
