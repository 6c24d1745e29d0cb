"""The conflict radar from the command line: compare what changed, and list what contradicts what."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from chatbot import conflicts
from chatbot.access import knowledge_base_named
from chatbot.models import Conflict
from services.errors import SuiteError
from services.inference.engine import get_engine


class Command(BaseCommand):
    """`manage.py knowledge_conflicts --base NAME [--all] [--json]`."""

    help = (
        "Compares the passages that changed since the last time with all others and lists those that are "
        "alike in what they are about and unlike in a figure or a negation. Those set aside are left out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", default="", help="the knowledge base's name; the only one by default")
        parser.add_argument("--all", action="store_true", help="compare every passage anew")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            base = knowledge_base_named(options["base"])
            told = conflicts.compare(base, get_engine(), timezone.now, everything=options["all"])
        except SuiteError as error:
            raise CommandError(error.detail) from error
        if told is None:
            raise CommandError("Another worker is comparing these passages. Try again in a minute.")
        rows = [_row(row) for row in conflicts.in_question(base).filter(state=Conflict.State.OPEN)]
        if options["json"]:
            found = {"passages": told.passages, "pairs": told.pairs, "new": told.found, "gone": told.gone}
            self.stdout.write(json.dumps({**found, "conflicts": rows}, ensure_ascii=False, default=str))
            return
        for row in rows:
            self.stdout.write(f"{row['kind']}: {row['first']} | {row['second']}")
            self.stdout.write(f"  {row['first_sentence']}\n  {row['second_sentence']}")
        self.stdout.write(f"{len(rows)} open; {told.passages} passages, {told.pairs} pairs read.")


def _row(row: Conflict) -> dict[str, Any]:
    told = {"id": row.pk, "kind": row.kind, "found_at": row.found_at}
    for name, passage in (("first", row.first), ("second", row.second)):
        start, end = row.evidence.get(name, (0, 0))
        told |= {
            name: f"{passage.document.filename}: {passage.heading}",
            f"{name}_passage": passage.pk,
            f"{name}_sentence": passage.text[start:end],
        }
    return told
