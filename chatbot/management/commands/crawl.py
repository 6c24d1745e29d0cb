"""A web site into the knowledge from the command line, with its progress."""

from __future__ import annotations

import json
from time import sleep
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from chatbot import actions, site_reading, sources, tasks
from chatbot.access import knowledge_base_named
from chatbot.conf import ChatbotSettings
from chatbot.models import Source
from services.conf import load
from services.errors import SuiteError


class Command(BaseCommand):
    """`manage.py crawl URL --base NAME [--every-h N] [--pages N] [--json]`."""

    help = (
        "Read a web site, or the pages of a sitemap, into a knowledge base, here and now. "
        "A site that is there already is read again, and only what changed is taken in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="the site's address; an address that ends in .xml is a sitemap")
        parser.add_argument("--base", default="", help="the knowledge base's name; the only one by default")
        parser.add_argument("--every-h", type=int, help="read it again every so many hours, by a worker")
        parser.add_argument("--pages", type=int, help="pages at most, 500 by default")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            source = _source(options)
            self._read(source, 0.0 if options["json"] else 1.0)
        except SuiteError as error:
            raise CommandError(error.detail) from error
        source.refresh_from_db()
        told = _told(source)
        if options["json"]:
            self.stdout.write(json.dumps(told, ensure_ascii=False, default=str))
        else:
            self._show(told)
        if source.state in {Source.State.QUEUED, Source.State.RUNNING}:
            raise CommandError(_("A worker is reading this web site: the console shows how far it is."))
        if source.state != Source.State.DONE:
            raise CommandError(source.failure or _("It was stopped; what was read stays."))

    def _read(self, source: Source, shows: float) -> None:
        """Read it, showing the page at every pause; Ctrl-C ends the reading and keeps what came."""

        def pause(seconds: float) -> None:
            source.refresh_from_db()
            if shows:
                pages = source.pages_changed + source.pages_same
                self.stderr.write(f"\r{pages} pages  {source.now_reading[:100]}\x1b[K", ending="")
                self.stderr.flush()
            sleep(seconds)

        try:
            tasks.read_site(source.pk, tasks.ingest_document, sleep=pause)
            tasks.index_knowledge_base(source.knowledge_base_id)
        except KeyboardInterrupt:
            sources.give_up(source)
        if shows:
            self.stderr.write("")

    def _show(self, told: dict[str, Any]) -> None:
        names = ("state", "documents", "changed", "same", "skipped")
        self.stdout.write("  ".join(f"{name}: {told[name]}" for name in names))
        for row in told["problems"]:
            self.stdout.write(f"  {row['url']}  {site_reading.problem_words(row['reason'])}")


def _source(options: dict[str, Any]) -> Source:
    """The source of this address, queued: a new one, or the one that is there."""
    base = knowledge_base_named(options["base"])
    every_h, pages = options["every_h"], options["pages"]
    hosts = actions.hosts_of(load(ChatbotSettings).chatbot_site_hosts)
    there = Source.objects.filter(knowledge_base=base, url=sources.address_of(options["url"], hosts)).first()
    if there is None:
        made = {"every_h": every_h, "most_pages": 500 if pages is None else pages}
        return sources.add(base, options["url"], allow_hosts=hosts, **made)
    if every_h is not None or pages is not None:
        hours, most = every_h or there.every_h, pages or there.most_pages
        sources.change(there, every_h=hours, most_pages=most, now=timezone.now())
    sources.ask(there)
    return there


def _told(source: Source) -> dict[str, Any]:
    return {
        "url": source.url,
        "state": source.state,
        "documents": sources.documents_of(source).count(),
        "changed": source.pages_changed,
        "same": source.pages_same,
        "skipped": source.pages_skipped,
        "failure": source.failure,
        "problems": source.problems,
        "due_at": source.due_at,
    }
