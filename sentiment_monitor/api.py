"""The monitor API: parse, authorise, one call, shape."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from pydantic import ValidationError

from sentiment_monitor import feeds, tasks
from sentiment_monitor.schemas import EntriesIn, EntriesOut, EntryIn, RowOut
from services.console.api_keys import requires

router = Router()


@router.post("/entries", auth=requires("monitor:write"), response=EntriesOut, summary="Send entries")
def post_entries(request: HttpRequest, payload: EntriesIn) -> EntriesOut:
    """Each row is checked by itself; one that is there already is counted and changes nothing.

    A row is {"source", "title", "id"?, "body"?, "url"?, "published_at"?, "language"?}; a source that
    is not known is made. Markup in titles is removed.
    """
    rows: list[RowOut] = []
    for n, row in enumerate(payload.rows):
        try:
            entry = EntryIn.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            rows.append(
                RowOut(row=n, status="rejected", code="invalid_input", field=field, detail=first["msg"])
            )
            continue
        values = entry.dict()
        values["published_at"] = entry.published_at.isoformat() if entry.published_at else ""
        new = feeds.keep(feeds.push_source(entry.source), [feeds.raw_from(values)], timezone.now())
        rows.append(RowOut(row=n, status="created" if new else "duplicate"))
    if any(row.status == "created" for row in rows):
        tasks.process_soon()
    counted = [row.status for row in rows]
    return EntriesOut(
        created=counted.count("created"),
        duplicates=counted.count("duplicate"),
        rejected=counted.count("rejected"),
        rows=rows,
    )
