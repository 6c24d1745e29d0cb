"""A web site is read: its pages become documents, and only those that changed are taken in again.

A worker gives a sign of life before every request; one that is killed anywhere leaves what it received,
and the next asks the site only whether that is still as it was. A page that the site no longer has leaves
the knowledge with it; where the start page cannot be had, nothing is removed.
What is not known here: how a site is asked politely (`services/web/crawl.py`), and what its pages mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import sleep as sleep_s
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from chatbot import knowledge, page_files, sources
from chatbot.models import Document, Source
from services.errors import FetchRefused, InvalidInput, SuiteError
from services.logs import get_logger
from services.storage import Storage
from services.web.crawl import Known, Page, Skipped, Unchanged, crawl
from services.web.fetch import plain_url
from services.web.site import Limits

log = get_logger(__name__)

Clock = Callable[[], datetime]
State = Source.State
MAX_ATTEMPTS = 3
MOST_PROBLEMS = 200
_ORDER = ("unreadable", "refused", "failed", "busy", "too_large", "too_many", "too_deep", "gone", "noindex")


def read(
    source: Source,
    storage: Storage,
    clock: Clock,
    *,
    received: Callable[[Document], object] = lambda _: None,
    max_bytes: int,
    allow_hosts: Sequence[str] = (),
    sleep: Callable[[float], object] = sleep_s,
    limits: Limits | None = None,
) -> bool:
    """Read a claimed source to its end; True when it is done, False when it failed, was stopped or lost.

    Every new or changed page is received as a document of at most `max_bytes`, and `received` is told.
    A failure that trying again may mend leaves the source to the sweep, three times at most.
    """
    reading = _Reading(source, storage, clock, received, max_bytes)
    limits = limits or Limits(
        pages=source.most_pages, requests=4 * source.most_pages + 100, page_bytes=max_bytes
    )
    try:
        if source.attempts > MAX_ATTEMPTS:
            raise InvalidInput(_("Reading was broken off several times. What was received is kept: retry."))
        for item in crawl(
            source.url,
            known=reading.known(),
            limits=limits,
            going_on=reading.goes_on,
            sleep=sleep,
            allow_hosts=allow_hosts,
        ):
            if not reading.take(item):
                break
        return reading.end()
    except (InvalidInput, FetchRefused) as error:
        return reading.fail(error.detail)
    except Exception as error:
        if not Source.objects.filter(pk=source.pk).exists():  # removed while a page came in
            return False
        detail = error.detail if isinstance(error, SuiteError) else _("An unexpected error was logged.")
        log.exception("source_broken", source=source.pk, attempt=source.attempts)
        return reading.put_back(detail)


def problem_words(reason: str) -> str:
    """Why a page is not in the knowledge, in the reader's language."""
    return {
        "robots": _("the site forbids it to programs (robots.txt)"),
        "noindex": _("the page asks not to be kept"),
        "gone": _("the page is not there"),
        "moved": _("the page has moved"),
        "duplicate": _("the same page was read at another address"),
        "content_type": _("not of a type that is read"),
        "too_large": _("too large"),
        "too_deep": _("too many links away from the start"),
        "too_many": _("over the most pages set for this site"),
        "trap": _("looks like an endless series of pages"),
        "failed": _("the server did not answer as it should"),
        "busy": _("the server was too busy"),
        "refused": _("an address that is not fetched"),
        "unreadable": _("no text could be read in it"),
    }.get(reason, reason)


@dataclass(slots=True)
class _Reading:
    """One reading of a claimed source: what it had, what has come so far."""

    source: Source
    storage: Storage
    clock: Clock
    received: Callable[[Document], object]
    max_bytes: int
    had: dict[str, Document] = field(default_factory=dict)  # by the address that was asked
    changed: int = 0
    same: int = 0
    skipped: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    leaving: list[Document] = field(default_factory=list)  # as soon as the site has shown a page
    opened: bool = False
    stopped: bool = False
    closed: str = ""

    def known(self) -> dict[str, Known]:
        """What the crawl is to compare, out of the documents' own `page`."""
        found = sources.documents_of(self.source).exclude(page={}).defer("failure", "editions")
        self.had = {row.page["url"]: row for row in found if row.page.get("url")}
        return {url: page_files.known_of(row.page) for url, row in self.had.items()}

    def goes_on(self) -> bool:
        """A sign of life; False when a person stopped it, or it is another worker's by now."""
        mine = self._mine().filter(stop_asked=False)
        self.stopped = not mine.update(claimed_at=self.clock())
        return not self.stopped

    def take(self, item: Page | Unchanged | Skipped) -> bool:
        """One item of the crawl; False when the start page cannot be had, which ends the reading."""
        if isinstance(item, Page):
            self._page(item)
        elif isinstance(item, Unchanged):
            self._unchanged(item)
        else:
            if not self.opened and self._is_start(item):
                self.closed = item.detail
            self._left_out(item.url, item.reason, item.detail, stale=item.stale)
        self.opened = self.opened or not isinstance(item, Skipped) or item.reason == "noindex"
        while self.opened and self.leaving:
            knowledge.remove(self.leaving.pop(), self.clock())
        self._mine().update(now_reading=item.url[:500], **self._counts())
        return not self.closed

    def end(self) -> bool:
        """Settle the row: done, stopped, or failed when no page could be had."""
        if self.stopped:
            self._mine().update(state=State.STOPPED, **self._settled())
            return False
        if not self.changed + self.same:
            nothing = _("No page was found: correct the address.")
            return self.fail(self.closed or (self.problems[0]["detail"] if self.problems else nothing))
        self._mine().update(state=State.DONE, read_at=self.clock(), **self._settled())
        log.info("source_read", source=self.source.pk, **self._counts())
        return True

    def fail(self, why: str) -> bool:
        """Settle the row as failed, with the reason."""
        self._mine().update(state=State.FAILED, **self._settled() | {"failure": why})
        log.warning("source_failed", source=self.source.pk)
        return False

    def put_back(self, why: str) -> bool:
        """Leave the row to the sweep, or as failed after the last attempt."""
        if self.source.attempts >= MAX_ATTEMPTS:
            return self.fail(_("%(why)s Tried three times; what was received is kept.") % {"why": why})
        self._mine().update(claimed_at=None, failure=why, **self._counts())
        return False

    def _page(self, page: Page) -> None:
        old = self.had.get(page.url)
        owner = None if old else self._others(page)
        if owner is not None and page_files.known_of(owner.page).sha256 == page.known.sha256:
            self.same += 1
            return
        try:
            document = knowledge.receive(
                self.source.knowledge_base,
                page_files.filename_of(page),
                page_files.data_of(page),
                storage=self.storage,
                max_bytes=self.max_bytes,
                title=old.title if old else page_files.title_of(page),
                now=self.clock(),
                source=owner.source if owner else self.source,
                url=page_files.address_of(page),
                page=page_files.as_kept(page.url, page.known, self.clock()),
            )
        except SuiteError as error:
            if error.http_status >= 500:
                raise
            self._left_out(page.url, "unreadable", error.detail, stale=False)
            return
        if old is not None and old.pk != document.pk:  # it is of another type now
            knowledge.remove(old, self.clock())
        self.changed += 1
        self.had[page.url] = document
        self.received(document)

    def _unchanged(self, item: Unchanged) -> None:
        document = self.had[item.url]
        came_at = str(document.page.get("at", ""))
        began_at = self.source.began_at.isoformat() if self.source.began_at else ""
        document.page = page_files.as_kept(item.url, item.known, self.clock()) | {"at": came_at}
        rows = Document.objects.filter(pk=document.pk, source=self.source)
        rows.exclude(state=Document.State.REMOVED).update(page=document.page)
        if began_at and came_at >= began_at:  # it came before the worker of this reading was killed
            self.changed += 1
        else:
            self.same += 1

    def _left_out(self, url: str, reason: str, detail: str, *, stale: bool) -> None:
        self.skipped += 1
        old = self.had.pop(url, None) if stale else None
        if old is not None:
            self.leaving.append(old)
        elif reason not in {"moved", "duplicate"} or not self.opened:
            self.problems.append({"url": url, "reason": reason, "detail": detail})

    def _others(self, page: Page) -> Document | None:
        """The document of this very page that another web site of the knowledge base has received."""
        rows = Document.objects.filter(
            knowledge_base=self.source.knowledge_base_id, filename=page_files.filename_of(page)
        )
        mine = Q(source=self.source) | Q(source=None) | Q(state=Document.State.REMOVED)
        return rows.exclude(mine).select_related("source").first()

    def _is_start(self, item: Skipped) -> bool:
        """Whether an item says that the start page cannot be had: it comes first, after its redirects."""
        if item.reason in {"moved", "noindex"}:
            return False
        is_map = urlsplit(self.source.url).path.endswith((".xml", ".xml.gz"))
        return not is_map or item.url == plain_url(self.source.url)

    def _counts(self) -> dict[str, int]:
        return {
            "pages_changed": self.changed,
            "pages_same": self.same,
            "pages_skipped": self.skipped,
        }

    def _settled(self) -> dict[str, Any]:
        """What every end writes; the worst problems first, for no more than so many are kept."""
        place = {reason: n for n, reason in enumerate(_ORDER)}
        problems = sorted(self.problems, key=lambda row: place.get(row["reason"], len(place)))
        every_h = Source.objects.filter(pk=self.source.pk).values_list("every_h", flat=True).first()
        return self._counts() | {
            "problems": problems[:MOST_PROBLEMS],
            "claimed_at": None,
            "now_reading": "",
            "attempts": 0,
            "failure": "",
            "stop_asked": False,
            "due_at": self.clock() + timedelta(hours=every_h) if every_h else None,
        }

    def _mine(self) -> QuerySet[Source]:
        """The row as long as this worker's claim stands."""
        return Source.objects.filter(pk=self.source.pk, state=State.RUNNING, attempts=self.source.attempts)
