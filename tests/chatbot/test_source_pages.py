"""Support → Web sites as an operator meets them; the page a visitor reads; the command; workers' doors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatbot import sources, tasks
from chatbot.models import Document, KnowledgeBase, Source
from services.conf import load
from tests.builders import RETURNS_MD, make_knowledge_base
from tests.chatbot.test_sources import page, paths
from tests.services.web.test_crawl import Site, site, status

__all__ = ["site"]  # the fixture

pytestmark = pytest.mark.django_db
State = Source.State


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would have been sent to a worker."""
    sent: list[tuple[str, int]] = []
    used = (tasks.index_knowledge_base, tasks.ingest_document, tasks.read_source, tasks.compare_knowledge)
    for task in used:
        monkeypatch.setattr(task, "delay", lambda row, name=task.name: sent.append((name, row)))
    return sent


@pytest.fixture
def rosa() -> Client:
    """Somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("rosa"))
    return client


@pytest.fixture
def guest() -> Client:
    """Somebody who may sign in, and no more."""
    client = Client()
    client.force_login(User.objects.create_user("guest", is_staff=True))
    return client


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site on this machine that whoever runs the suite has named."""
    monkeypatch.setenv("CHATBOT_SITE_HOSTS", f"127.0.0.1:{site.port}")
    load.cache_clear()
    site.pages = {"/": page("Help", "/refunds", "/gone"), "/refunds": page("Refunds"), "/gone": status(404)}
    yield site
    load.cache_clear()


def url(name: str, *args: object) -> str:
    return reverse(f"admin:chatbot_{name}", args=args)


def text_of(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, address
    return answer.content.decode()


def post(client: Client, address: str, **values: Any) -> Any:
    return client.post(address, values, follow=True)


def test_empty_pages_say_what_to_do_first(rosa: Client) -> None:
    assert "There is no knowledge base yet" in text_of(rosa, url("source_changelist"))
    assert "There is no knowledge base yet" in text_of(rosa, url("source_add"))
    KnowledgeBase.objects.create(name="Help")
    assert "No web sites yet" in text_of(rosa, url("source_changelist"))


def test_a_web_site_is_added_read_changed_stopped_and_removed(
    rosa: Client, here: Site, nudges: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    form = {"url": here.url, "base": base.pk, "often": "hours", "hours": "6", "most_pages": "40"}
    for wrong, says in (
        ({"url": "http://10.0.0.1/"}, "CHATBOT_SITE_HOSTS"),
        ({"url": ""}, "Write the address"),
        ({"hours": "0"}, "from 1 to"),
        ({"hours": "often"}, "whole number"),
        ({"often": "never"}, "Choose how often"),
        ({"most_pages": "99999"}, "from 1 to"),
        ({"base": "77"}, "Choose a knowledge base"),
    ):
        answer = post(rosa, url("source_add"), **form | wrong)
        assert (answer.status_code, says in answer.content.decode()) == (422, True), wrong
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(rosa, url("source_add"), **form)
    source = Source.objects.get()
    assert nudges == [(tasks.read_source.name, source.pk)]
    assert "waits for a worker" in text_of(rosa, url("source_progress"), source=source.pk)
    assert "there already" in post(rosa, url("source_add"), **form).content.decode()

    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.read_site(source.pk, sleep=lambda _: None)
    ids = list(source.documents.values_list("pk", flat=True))
    assert nudges[1:] == [(tasks.ingest_document.name, pk) for pk in ids]
    for pk in ids:
        tasks.ingest_document(pk)
    base.refresh_from_db()
    assert base.revision == base.indexed_revision  # one index after the last of them
    assert base.versions.count() == 2
    listed = text_of(rosa, url("source_changelist"))
    assert "2 new or changed, 0 as they were, 1 left out" in listed
    assert "every 6 hours" in listed
    assert "No web site has this" in text_of(rosa, url("source_changelist"), q="elsewhere")
    shown = text_of(rosa, url("source_change", source.pk))
    assert "the page is not there" in shown
    assert f"{here.url}/gone" in shown
    documents = text_of(rosa, url("document_changelist"), **{"from": source.pk})
    assert "Refunds" in documents
    assert "Returns" not in documents
    uploads = text_of(rosa, url("document_changelist"), **{"from": "upload"})
    assert "Returns" in uploads
    assert "Refunds" not in uploads
    assert f"{here.url}/refunds" in text_of(rosa, url("document_change", max(ids)))

    act = url("source_act", source.pk, "read")
    assert "is being read" in post(rosa, act).content.decode()
    assert "waits to be read" in post(rosa, act).content.decode()
    Source.objects.update(state=State.RUNNING, now_reading=here.url + "/refunds", began_at=timezone.now())
    assert f"{here.url}/refunds" in text_of(rosa, url("source_progress"))
    assert "stops within seconds" in post(rosa, url("source_act", source.pk, "stop")).content.decode()
    assert "Stopping" in text_of(rosa, url("source_progress"))
    assert not tasks.read_site(source.pk)
    source.refresh_from_db()
    assert (source.state, source.stop_asked) == (State.STOPPED, False)
    assert rosa.get(url("source_progress"), {"was": 1}).headers["HX-Refresh"] == "true"

    change = url("source_act", source.pk, "often")
    assert post(rosa, change, often="day", most_pages="x").status_code == 422
    assert "Kept" in post(rosa, change, often="week", most_pages="9").content.decode()
    assert Source.objects.filter(every_h=168, most_pages=9).exists()
    gone = url("source_act", source.pk, "remove")
    assert post(rosa, gone).status_code == 422
    assert "2 documents stay" in post(rosa, gone, documents="keep").content.decode()
    assert Document.objects.filter(source=None).exclude(state="removed").count() == 3


def test_a_guest_looks_and_changes_nothing(guest: Client) -> None:
    source = sources.add(KnowledgeBase.objects.create(name="Help"), "https://help.example.com/")
    assert "help.example.com" in text_of(guest, url("source_changelist"))
    shown = text_of(guest, url("source_change", source.pk))
    assert "Remove" not in shown
    assert "Stop" not in shown
    assert guest.get(url("source_add")).status_code == 403
    for what in ("read", "stop", "often", "remove"):
        assert "You may not" in post(guest, url("source_act", source.pk, what)).content.decode()
        assert guest.get(url("source_act", source.pk, what)).status_code == 405
    assert Source.objects.get().state == State.QUEUED
    assert guest.get(url("source_change", 999)).status_code == 404


def test_a_visitor_is_led_to_the_page_itself_and_to_nothing_else(client: Client) -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    document = base.documents.get()
    address = reverse("help-source", args=[document.pk])
    assert "Read it on" not in text_of(client, address)
    Document.objects.update(url='https://help.example.com/a?b=1&c="><script>')
    shown = text_of(client, address)
    assert "Read it on help.example.com" in shown
    assert 'rel="noopener noreferrer nofollow"' in shown
    assert "<script>" not in shown
    Document.objects.update(url="javascript:alert(1)")
    assert "javascript:" not in text_of(client, address)


def test_the_sweep_starts_what_is_due_in_a_thread_and_not_too_much_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    for n in range(3):
        sources.add(base, f"https://{n}.example.com/", every_h=1)
    hour_ago = timezone.now() - timedelta(hours=1)
    Source.objects.filter(url__contains="2").update(state=State.DONE, due_at=hour_ago)
    begun: list[int] = []

    class Waits:
        def __init__(self, **options: Any) -> None:
            begun.extend(options["args"])

        def start(self) -> None:
            """And does not end."""

    monkeypatch.setattr(tasks, "Thread", Waits)
    tasks.read_due()
    for _ in begun:
        tasks._sites.release()
    assert begun == list(Source.objects.order_by("pk").values_list("pk", flat=True)[: tasks.SITES_AT_ONCE])
    assert not Source.objects.exclude(state=State.QUEUED).exists()


def test_the_command_reads_a_site_here_and_now_and_again(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.management.commands.crawl.sleep", lambda _: None)

    def crawl(*args: str) -> str:
        said = StringIO()
        call_command("crawl", *args, stdout=said, stderr=StringIO())
        return said.getvalue()

    with pytest.raises(CommandError, match="no knowledge base yet"):
        crawl(here.url)
    base = make_knowledge_base()
    assert "changed: 2" in crawl(here.url, "--every-h", "24")
    base.refresh_from_db()
    assert base.live_version is not None
    told = json.loads(crawl(here.url, "--json", "--pages", "7"))
    assert (told["state"], told["changed"], told["same"], told["documents"]) == ("done", 0, 2, 2)
    assert [row["reason"] for row in told["problems"]] == ["gone"]
    assert Source.objects.filter(every_h=24, most_pages=7).exists()
    here.pages["/"] = status(500)
    with pytest.raises(CommandError, match="status 500"):
        crawl(here.url)
    assert paths(here) == {"/", "/refunds"}
    with pytest.raises(CommandError, match="CHATBOT_SITE_HOSTS"):
        crawl("http://10.0.0.1/")
    Source.objects.update(state=State.RUNNING)
    with pytest.raises(CommandError, match="being read already"):
        crawl(here.url)
