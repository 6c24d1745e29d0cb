"""Doors for workers: item vectors, co-visits."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from recommender import catalogue
from recommender.conf import RecommenderSettings
from recommender.models import Item
from services.conf import load
from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine
from services.logs import get_logger

log = get_logger(__name__)


@shared_task
def embed_items() -> None:
    """Give every item that lacks one a vector of the live encoder."""
    try:
        done = catalogue.embed_waiting(get_engine())
    except SuiteError as error:
        log.warning("items_wait", code=error.code)
        return
    if done:
        log.info("items_embedded", count=done)


@shared_task
def learn_behaviour() -> None:
    """Learn anew which items go together and how much each source counts, when there are new events."""
    from recommender import learning

    now = timezone.now()
    if learning.due(now) and not Item.objects.filter(vec=None).exists():
        histories = learning.learn(get_engine(), storage(), load(RecommenderSettings), now)
        log.info("behaviour_learnt", histories=histories)


def embed_soon() -> None:
    """After the commit, nudge a worker to embed items; without a broker the sweep finds them."""
    transaction.on_commit(lambda: _nudge(embed_items))


def _nudge(task: Any) -> None:
    try:
        task.delay()
    except Exception as error:  # kombu raises its transports' own errors
        log.warning("nudge_lost", task=task.name, error=type(error).__name__)
