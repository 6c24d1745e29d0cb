"""Import items, users or events of a shop from CSV or JSONL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from recommender import importing, tasks
from recommender.conf import RecommenderSettings
from services.conf import load
from services.errors import SuiteError


class Command(BaseCommand):
    """`manage.py import_shop items|users|events FILE [--json]`."""

    help = "Import items, users or events (CSV or JSONL). Items go first: an event needs its item."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["items", "users", "events"])
        parser.add_argument("file", type=Path)
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        quiet = options["json"]

        def progress(count: int) -> None:
            if not quiet:
                self.stderr.write(f"\r{count} rows", ending="")
                self.stderr.flush()

        try:
            if options["what"] == "items":
                done = importing.items(options["file"], progress)
            elif options["what"] == "users":
                done = importing.users(options["file"], progress)
            else:
                done = importing.behaviour(
                    options["file"], load(RecommenderSettings), timezone.now(), progress=progress
                )
        except (SuiteError, OSError) as error:
            raise CommandError(str(error)) from error
        tasks.embed_soon()
        if quiet:
            result = {"written": done.written, "duplicates": done.duplicates, "rejected": done.rejected}
            self.stdout.write(json.dumps(result))
            return
        self.stderr.write("")
        self.stdout.write(
            f"{done.written} written, {done.duplicates} there already, {len(done.rejected)} refused."
        )
        for line, field, why in done.rejected[:20]:
            self.stderr.write(f"line {line}, {field}: {why}")
