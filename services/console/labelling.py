"""People labelling texts, one at a time: what comes next, a label, a skip, and taking either back.

The next text is the one the live model is least sure of (smallest margin between its two likeliest
labels), so that an hour of labelling teaches most; without suggestions it is the first that waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time

from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from services.console.models import Dataset, DatasetRow
from services.errors import Conflict, InvalidInput


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the labelling of a data set is; `today` in the reader's time zone."""

    today: int
    labelled: int
    left: int
    skipped: int


def next_row(dataset: Dataset, search: str = "", after: int = 0) -> DatasetRow | None:
    """The open row to label next; `after` is the row just seen, which comes last."""
    found = waiting(dataset, search).order_by(F("uncertainty").desc(nulls_last=True), "position")
    return found.exclude(pk=after).first() or found.first()


def waiting(dataset: Dataset, search: str = "") -> QuerySet[DatasetRow]:
    """The open rows whose text holds the words searched for."""
    found = dataset.rows.filter(state=DatasetRow.State.OPEN)
    return found.filter(text__icontains=search) if search else found


def label(row: DatasetRow, label: str, who: str, now: datetime) -> None:
    """Give a row its label. Raises InvalidInput for a label the data set does not have.

    Raises Conflict when a colleague was first; theirs stands.
    """
    if label not in row.dataset.labels:
        raise InvalidInput(_("This data set has no label of that name."), field="label")
    _settle(row, {"state": DatasetRow.State.LABELLED, "label": label}, who, now)


def skip(row: DatasetRow, who: str, now: datetime) -> None:
    """Leave a row without a label. Raises Conflict when a colleague was first."""
    _settle(row, {"state": DatasetRow.State.SKIPPED, "label": ""}, who, now)


def take_back(row: DatasetRow, who: str) -> None:
    """Open a row again that this person has labelled or skipped. Raises Conflict when it was not theirs."""
    undone = DatasetRow.objects.filter(pk=row.pk, labelled_by=who).exclude(state=DatasetRow.State.OPEN)
    if not undone.update(state=DatasetRow.State.OPEN, label="", labelled_by="", labelled_at=None):
        raise Conflict(_("A colleague has changed this text since; it stays as it is."))


def last_of(dataset: Dataset, who: str) -> DatasetRow | None:
    """What a person labelled or skipped last."""
    return (
        dataset.rows.filter(labelled_by=who).exclude(labelled_at=None).order_by("-labelled_at", "-pk").first()
    )


def progress(dataset: Dataset, now: datetime) -> Progress:
    """How many are done, today and in all, and how many wait."""
    local = timezone.localtime(now)
    midnight = timezone.make_aware(datetime.combine(local.date(), time()), local.tzinfo)
    rows = dataset.rows
    labelled = rows.filter(state=DatasetRow.State.LABELLED)
    return Progress(
        today=labelled.filter(labelled_at__gte=midnight).count(),
        labelled=labelled.count(),
        left=waiting(dataset).count(),
        skipped=rows.filter(state=DatasetRow.State.SKIPPED).count(),
    )


def _settle(row: DatasetRow, values: dict[str, str], who: str, now: datetime) -> None:
    waiting_row = DatasetRow.objects.filter(pk=row.pk, state=DatasetRow.State.OPEN)
    if not waiting_row.update(**values, labelled_by=who, labelled_at=now):
        raise Conflict(_("A colleague was faster with this text; their label stands."))
