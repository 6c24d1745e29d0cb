"""Doors for workers: each task claims a row, calls one room, and hands on.

A message is only a nudge. `resume_ingest` and `answer_waiting` run every few seconds and find the rows
whose message was lost or whose worker died.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from threading import BoundedSemaphore, Thread
from typing import Any

from celery import shared_task
from django.db import close_old_connections, transaction
from django.utils import timezone

from chatbot import actions, clearing, dialogue, knowledge, phrasing, publishing, site_reading, sources, turns
from chatbot import conflicts as conflict_radar
from chatbot.conf import ChatbotSettings
from chatbot.generation import Sentence
from chatbot.models import ConversationEvent, KnowledgeBase, Turn
from services.conf import CoreSettings, load
from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine
from services.logs import get_logger

log = get_logger(__name__)

SITES_AT_ONCE = 2
_sites = BoundedSemaphore(SITES_AT_ONCE)  # of this process


@shared_task
def ingest_document(document_id: int) -> None:
    """Read one document, then bring the knowledge base's index up to date."""
    lease = timedelta(seconds=load(ChatbotSettings).chatbot_ingest_lease_s)
    document = knowledge.claim(document_id, timezone.now(), lease)
    if document is None:
        return
    done = knowledge.ingest(document, get_engine(), storage(), timezone.now)
    if done and not knowledge.more_to_read(document.knowledge_base_id):
        index_knowledge_base(document.knowledge_base_id)


@shared_task
def index_knowledge_base(knowledge_base_id: int) -> None:
    """Build, judge and, where it may be, publish the version that is due."""
    knowledge_base = KnowledgeBase.objects.filter(pk=knowledge_base_id).first()
    if knowledge_base is None:
        return
    settings = load(ChatbotSettings)
    lease = timedelta(seconds=settings.chatbot_ingest_lease_s)
    try:
        if publishing.see_through(knowledge_base, get_engine(), storage(), timezone.now, lease):
            clearing.clear_versions(knowledge_base, storage(), keep=settings.chatbot_versions_kept)
            compare_soon(knowledge_base_id)
    except SuiteError as error:  # the sweep comes back to it
        log.warning("version_delayed", knowledge_base=knowledge_base_id, code=error.code)


@shared_task
def compare_knowledge(knowledge_base_id: int, everything: bool = False) -> None:
    """Find which passages contradict each other, of what changed or of `everything`."""
    knowledge_base = KnowledgeBase.objects.filter(pk=knowledge_base_id).first()
    if knowledge_base is None:
        return
    try:
        conflict_radar.compare(knowledge_base, get_engine(), timezone.now, everything=everything)
    except SuiteError as error:  # the sweep comes back to it
        log.warning("comparing_delayed", knowledge_base=knowledge_base_id, code=error.code)


@shared_task
def compare_waiting() -> None:
    """Compare what changed where the message was lost or the worker died."""
    for knowledge_base_id in conflict_radar.waiting(timezone.now()):
        compare_knowledge(knowledge_base_id)


@shared_task
def clear_knowledge() -> None:
    """Drop what no kept version and no recent answer needs."""
    settings = load(ChatbotSettings)
    since = timezone.now() - timedelta(days=settings.chatbot_sources_days)
    for knowledge_base in KnowledgeBase.objects.all():
        clearing.clear_versions(knowledge_base, storage(), keep=settings.chatbot_versions_kept)
        clearing.clear_passages(knowledge_base, storage(), since)


@shared_task
def resume_ingest() -> None:
    """Find what a lost message or a dead worker left behind."""
    lease = timedelta(seconds=load(ChatbotSettings).chatbot_ingest_lease_s)
    for document_id in knowledge.waiting(timezone.now(), lease):
        ingest_document(document_id)
    for knowledge_base_id in publishing.waiting(timezone.now(), lease):
        if not knowledge.more_to_read(knowledge_base_id):
            index_knowledge_base(knowledge_base_id)


@shared_task
def read_source(source_id: int) -> None:
    """Read a web site in a thread of its own: it mostly waits, and other work is not to wait with it."""
    if _sites.acquire(blocking=False):  # else the sweep comes back to it
        Thread(target=_read_in_thread, args=[source_id], name=f"site-{source_id}", daemon=True).start()


@shared_task
def read_due() -> None:
    """Find the web sites whose next reading has come, and those whose message was lost or worker died."""
    sources.due(timezone.now())
    lease = timedelta(seconds=load(ChatbotSettings).chatbot_ingest_lease_s)
    for source_id in sources.waiting(timezone.now(), lease):
        read_source(source_id)


def read_site(source_id: int, received: Callable[[int], object] | None = None, **pace: Any) -> bool:
    """Read one waiting web site to its end; whether it is done.

    `received` is told of each new document, which a worker is nudged to ingest otherwise; `pace`: see
    `site_reading.read`.
    """
    settings = load(ChatbotSettings)
    lease = timedelta(seconds=settings.chatbot_ingest_lease_s)
    source = sources.claim(source_id, timezone.now(), lease)
    if source is None:
        return False
    done = site_reading.read(
        source,
        storage(),
        timezone.now,
        received=lambda document: (received or ingest_soon)(document.pk),
        max_bytes=load(CoreSettings).max_upload_mib * 2**20,
        allow_hosts=actions.hosts_of(settings.chatbot_site_hosts),
        **pace,
    )
    if not knowledge.more_to_read(source.knowledge_base_id):
        index_soon(source.knowledge_base_id)
    return done


@shared_task
def answer_turn(turn_id: int) -> None:
    """Answer one question, then those of the conversation that waited for it, in the order they were asked.

    A failure is told as a `failed` event, never as text of the answer.
    """
    waiting: int | None = turn_id
    while waiting is not None:
        lease = timedelta(seconds=load(ChatbotSettings).chatbot_answer_lease_s)
        turn = turns.claim(waiting, timezone.now(), lease)
        if turn is None:
            return
        _answer(turn)
        waiting = turns.following(turn)


def _answer(turn: Turn) -> None:
    speaking, audience = turns.speaking(turn), turns.audience(turn)
    said: list[Sentence] = []

    def on_sentence(sentence: Sentence) -> None:
        said.append(sentence)
        speaking.say(phrasing.joined(said, sentence.passage.language))

    try:
        made = dialogue.reply(
            turns.asked(turn, timezone.now()),
            engine=get_engine(),
            storage=storage(),
            settings=load(ChatbotSettings),
            on_sentence=on_sentence,
            cancelled=lambda: speaking.lost() or audience.gone(),
        )
    except SuiteError as error:
        log.warning("answer_failed", turn=turn.pk, code=error.code)
        turns.fail(turn, error.code, timezone.now())
    except Exception:
        log.exception("answer_bug", turn=turn.pk)
        turns.fail(turn, "internal_error", timezone.now())
    else:
        turns.settle(turn, made, timezone.now())


@shared_task
def answer_waiting() -> None:
    """Answer the questions whose web process died before it could."""
    lease = timedelta(seconds=load(ChatbotSettings).chatbot_answer_lease_s)
    for turn_id in turns.waiting(timezone.now(), lease):
        answer_turn(turn_id)


def answer_soon(event: ConversationEvent) -> None:
    """After the commit, answer in this process: a visitor is waiting, a broker would add delay."""
    turn_id = event.conversation.turns.values_list("pk", flat=True).get(question_seq=event.seq)
    transaction.on_commit(lambda: _pool().submit(_answer_in_thread, turn_id))


def ingest_soon(document_id: int) -> None:
    """After the commit, nudge a worker to read a document."""
    transaction.on_commit(lambda: _nudge(ingest_document, document_id))


def index_soon(knowledge_base_id: int) -> None:
    """After the commit, nudge a worker to rebuild an index."""
    transaction.on_commit(lambda: _nudge(index_knowledge_base, knowledge_base_id))


def read_soon(source_id: int) -> None:
    """After the commit, nudge a worker to read a web site."""
    transaction.on_commit(lambda: _nudge(read_source, source_id))


def compare_soon(knowledge_base_id: int) -> None:
    """After the commit, nudge a worker to look for conflicts."""
    transaction.on_commit(lambda: _nudge(compare_knowledge, knowledge_base_id))


def _nudge(task: Any, row_id: int) -> None:
    """Send the message; a broker that is down delays the work until the sweep, and no more."""
    try:
        task.delay(row_id)
    except Exception as error:  # kombu raises its transports' own errors
        log.warning("nudge_lost", task=task.name, row=row_id, error=type(error).__name__)


def _answer_in_thread(turn_id: int) -> None:
    close_old_connections()
    try:
        answer_turn(turn_id)
    except Exception:
        log.exception("answer_thread", turn=turn_id)  # the sweep takes the turn over
    finally:
        close_old_connections()
        from django.db import connections

        connections.close_all()


def _read_in_thread(source_id: int) -> None:
    close_old_connections()
    try:
        read_site(source_id)
    except Exception:
        log.exception("site_thread", source=source_id)  # the sweep takes the source over
    finally:
        from django.db import connections

        connections.close_all()
        _sites.release()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(load(ChatbotSettings).chatbot_answer_threads, thread_name_prefix="answer")
