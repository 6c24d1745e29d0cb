"""Web sites as sources of the knowledge: added, asked for, due, claimed, stopped, removed.

A source's row is the queue, as a document's is: claimed by one worker, and found again when that worker
gives no sign of life. What is not known here: the pages, and how they are read (`site_reading`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from chatbot import knowledge, page_files
from chatbot.models import Document, KnowledgeBase, Source
from services.errors import Conflict, FetchRefused, InvalidInput
from services.web.fetch import PORTS, check_address, plain_url

State = Source.State
MOST_PAGES = 5000
MOST_HOURS = 24 * 365
SILENT = timedelta(seconds=40)
"""A page may take this long to come: no shorter lease is believed."""


def add(
    knowledge_base: KnowledgeBase,
    url: str,
    *,
    every_h: int | None = None,
    most_pages: int = 500,
    allow_hosts: Sequence[str] = (),
) -> Source:
    """Keep a web site and queue it. `every_h`: hours between two readings, None for by hand only.

    Raises InvalidInput naming the field: an address that is none or lies in the private network (unless its
    host is one of `allow_hosts`), one that is there already, a number out of its range.
    """
    address = address_of(url, allow_hosts)
    _check_range("every_h", every_h if every_h is not None else 1, MOST_HOURS)
    _check_range("most_pages", most_pages, MOST_PAGES)
    try:
        with transaction.atomic():
            return Source.objects.create(
                knowledge_base=knowledge_base, url=address, every_h=every_h, most_pages=most_pages
            )
    except IntegrityError as error:
        raise InvalidInput(
            _("This web site is there already: open it and choose “Read now”, or give another address."),
            field="url",
        ) from error


def change(source: Source, *, every_h: int | None, most_pages: int, now: datetime) -> None:
    """How often it is read, and how much of it. Raises InvalidInput naming the field."""
    _check_range("every_h", every_h if every_h is not None else 1, MOST_HOURS)
    _check_range("most_pages", most_pages, MOST_PAGES)
    last = source.read_at or now
    due_at = None if every_h is None else max(now, last + timedelta(hours=every_h))
    Source.objects.filter(pk=source.pk).update(every_h=every_h, most_pages=most_pages, due_at=due_at)


def ask(source: Source) -> None:
    """Queue a source to be read now. Raises Conflict when it waits or is being read already."""
    queued = Source.objects.filter(pk=source.pk).exclude(state__in=[State.QUEUED, State.RUNNING])
    if not queued.update(state=State.QUEUED, attempts=0, stop_asked=False, claimed_at=None, failure=""):
        raise Conflict(_("This web site waits to be read, or is being read already."))


def stop(source: Source) -> None:
    """End a reading within seconds; what was received stays. Raises Conflict when there is none."""
    waits = Source.objects.filter(pk=source.pk, state=State.QUEUED)
    if waits.update(state=State.STOPPED, attempts=0):
        return
    if not Source.objects.filter(pk=source.pk, state=State.RUNNING).update(stop_asked=True):
        raise Conflict(_("This web site is not being read at the moment."))


def give_up(source: Source) -> None:
    """Leave a source as stopped whose worker has ended in order; what was received stays."""
    rows = Source.objects.filter(pk=source.pk, state=State.RUNNING)
    rows.update(state=State.STOPPED, attempts=0, claimed_at=None, stop_asked=False, now_reading="")


def remove(source: Source, now: datetime, *, keep_documents: bool) -> int:
    """Forget a web site; its documents stay as if uploaded, or go with it. How many those are."""
    with transaction.atomic():
        Source.objects.select_for_update().filter(pk=source.pk).first()
        documents = list(documents_of(source))
        for document in [] if keep_documents else documents:
            knowledge.remove(document, now)
        Document.objects.filter(source=source).update(source=None, page={})
        Source.objects.filter(pk=source.pk).delete()
    return len(documents)


def due(now: datetime) -> list[int]:
    """Queue the sources whose next reading has come; which those are."""
    rows = Source.objects.filter(due_at__lte=now).exclude(state__in=[State.QUEUED, State.RUNNING])
    ids = list(rows.order_by("due_at", "pk").values_list("pk", flat=True))
    fresh = {"state": State.QUEUED, "attempts": 0, "stop_asked": False, "claimed_at": None, "failure": ""}
    return [pk for pk in ids if rows.filter(pk=pk).update(**fresh)]


def waiting(now: datetime, lease: timedelta) -> list[int]:
    """Sources to be read, but none of a site that is being read: queued, or their worker gave no sign."""
    busy = {_host(url) for url in _alive(now, lease).values_list("url", flat=True)}
    found = Source.objects.filter(_free(now, lease)).order_by("created_at", "pk").values_list("pk", "url")
    return [pk for pk, url in found if _host(url) not in busy]


def claim(source_id: int, now: datetime, lease: timedelta) -> Source | None:
    """Take a waiting source for this worker; None when another has it, or the same site."""
    if source_id not in waiting(now, lease):
        return None
    taken = Source.objects.filter(_free(now, lease), pk=source_id)
    began = {"began_at": now} if not taken.filter(state=State.RUNNING).exists() else {}
    if not taken.update(state=State.RUNNING, claimed_at=now, attempts=F("attempts") + 1, **began):
        return None
    return Source.objects.select_related("knowledge_base").get(pk=source_id)


def address_of(url: str, allow_hosts: Sequence[str]) -> str:
    """An address in the one spelling that is asked. Raises InvalidInput on `url`."""
    url = url.strip()
    if not url:
        raise InvalidInput(
            _("Write the address of the web site, such as https://help.example.com/"), field="url"
        )
    try:
        plain = plain_url(url if "://" in url else f"https://{url}")
        parts = urlsplit(plain)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        if f"{host}:{port}" not in allow_hosts and (host not in allow_hosts or port not in PORTS):
            _check_public(host, port)
    except FetchRefused as error:
        raise InvalidInput(error.detail, field="url") from error
    if len(plain) > page_files.MOST_URL_CHARS:
        raise InvalidInput(_("This address is too long: give the one of the site's start page."), field="url")
    return plain


def documents_of(source: Source) -> QuerySet[Document]:
    """The pages that are in the knowledge, as documents."""
    return Document.objects.filter(source=source).exclude(state=Document.State.REMOVED)


def _free(now: datetime, lease: timedelta) -> Q:
    silent = Q(claimed_at__lt=now - max(lease, SILENT)) | Q(claimed_at=None)
    return Q(state=State.QUEUED) | (Q(state=State.RUNNING) & silent)


def _alive(now: datetime, lease: timedelta) -> QuerySet[Source]:
    return Source.objects.filter(state=State.RUNNING, claimed_at__gte=now - max(lease, SILENT))


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _check_public(host: str, port: int) -> None:
    """What can be told without asking; the rest is checked when the site is asked."""
    if port not in PORTS:
        raise FetchRefused(
            _("Port %(port)d is not read: have whoever runs Trefoil add the host to CHATBOT_SITE_HOSTS.")
            % {"port": port},
        )
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        if host != "localhost" and not host.endswith((".localhost", ".local", ".internal")):
            return
        address = "127.0.0.1"
    try:
        check_address(address)
    except FetchRefused as error:
        raise FetchRefused(
            _(
                "This address leads into a private network, which is not read: give a public one, or have "
                "whoever runs Trefoil add the host to CHATBOT_SITE_HOSTS."
            ),
        ) from error


def _check_range(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidInput(_("Give a whole number from 1 to %(most)d.") % {"most": most}, field=name)
