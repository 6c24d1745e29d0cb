"""The words that mean the same, from the command line: take them out, put them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chatbot import tasks, terms
from chatbot.models import KnowledgeBase
from services.errors import SuiteError


class Command(BaseCommand):
    """`manage.py knowledge_terms --base NAME --import FILE [--replace] | --export`."""

    help = "Words that mean the same, a group a row of a CSV file: print them, or add those of a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base", required=True, help="the knowledge base's name")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--import", dest="file", type=Path, help="a CSV file whose groups are added")
        which.add_argument("--export", action="store_true", help="print the groups as CSV")
        parser.add_argument("--replace", action="store_true", help="drop the groups that the file lacks")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        base = KnowledgeBase.objects.filter(name=options["base"]).first()
        if base is None:
            raise CommandError(f"There is no knowledge base named {options['base']!r}.")
        if options["export"]:
            groups = terms.groups_of(base)
            told = (
                json.dumps(groups, ensure_ascii=False) if options["json"] else "".join(terms.as_csv(groups))
            )
            self.stdout.write(told, ending="\n" if options["json"] else "")
            return
        try:
            lines = terms.from_csv(options["file"].read_bytes())
            done = terms.save(base, lines, keep_others=not options["replace"], field="file")
        except (SuiteError, OSError) as error:
            raise CommandError(str(error)) from error
        if done.changed:
            tasks.index_soon(base.pk)
        if options["json"]:
            result = {"groups": done.groups, "added": done.added, "removed": done.removed}
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(f"{done.groups} groups; {done.added} new, {done.removed} gone.")
