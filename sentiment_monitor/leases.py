"""One worker at a time for what must go in order; free again when its holder shows no sign of life."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import Q

from sentiment_monitor.models import Lease


class Held:
    """A lease this worker holds; `renew` is its sign of life."""

    def __init__(self, name: str, holder: str) -> None:
        self.name = name
        self.holder = holder

    def renew(self, now: datetime) -> bool:
        """Say that the work goes on; False when another worker has taken the lease over."""
        mine = Lease.objects.filter(name=self.name, holder=self.holder)
        return bool(mine.update(claimed_at=now))


@contextmanager
def hold(name: str, now: datetime, lease: timedelta) -> Iterator[Held | None]:
    """Hold a lease while the block runs; None when another worker has it."""
    Lease.objects.get_or_create(name=name)
    holder = uuid.uuid4().hex
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    taken = Lease.objects.filter(free, name=name).update(holder=holder, claimed_at=now)
    if not taken:
        yield None
        return
    try:
        yield Held(name, holder)
    finally:
        Lease.objects.filter(name=name, holder=holder).update(holder="", claimed_at=None)
