"""Models → Data sets: what a set holds, files in and out, and labelling one text at a time."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from services.conf import CoreSettings, load
from services.console import dataset_jobs, datasets, imports, labelling, tasks
from services.console.models import Dataset, DatasetJob, DatasetRow
from services.console.storage import storage
from services.errors import InvalidInput, NotAllowed, SuiteError, TooLarge

KEYED_LABELS = 9
"""Labels that have a key of their own, 1 to 9."""
SHOWN_JOBS = 5


@require_GET
@never_cache
def dataset_page(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """What a data set holds, what is being done to it, and what can be."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    found = datasets.balance(dataset)
    context = {
        **admin.site.each_context(request),
        "title": dataset.name,
        "opts": Dataset._meta,
        "dataset": dataset,
        "balance": found,
        "label_bars": _bars(found.labels),
        "length_bars": _bars(found.lengths),
        "may": request.user.has_perm("console.change_dataset"),
        "can_label": dataset.shape == Dataset.Shape.LABELLED,
        "limit_mib": load(CoreSettings).max_upload_mib,
        **_jobs(dataset),
    }
    return render(request, "console/dataset.html", context)


@require_GET
@never_cache
def jobs_part(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """The data set's last jobs with their progress; asked every second while one goes on."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    context = {"dataset": dataset, **_jobs(dataset)}
    response = render(request, "console/parts/jobs.html", context)
    if request.GET.get("was") and not context["jobs_active"]:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def upload(request: HttpRequest, dataset_id: int) -> HttpResponseRedirect:
    """Keep a file and queue its reading."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    limit = load(CoreSettings).max_upload_mib * 2**20
    try:
        _require_change(request)
        file = request.FILES.get("file")
        if file is None or isinstance(file, list):
            raise InvalidInput(_("Choose a file."), field="file")
        content = file.read(limit + 1)
        if len(content) > limit:
            raise TooLarge(_("The file is larger than %(n)d MiB.") % {"n": limit // 2**20})
        texts = request.POST.get("kind") == DatasetJob.Kind.TEXTS
        job = dataset_jobs.receive(
            dataset,
            DatasetJob.Kind.TEXTS if texts else DatasetJob.Kind.EXAMPLES,
            file.name or "",
            content,
            request.user.get_username(),
            storage(),
        )
    except SuiteError as error:
        messages.error(request, error.detail)
    else:
        tasks.perform_job_soon(job.pk)
    return redirect("admin:console_dataset_change", dataset.pk)


@require_POST
def suggest(request: HttpRequest, dataset_id: int) -> HttpResponseRedirect:
    """Have the live model look at every text that waits."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    try:
        _require_change(request)
        job = dataset_jobs.ask_for_suggestions(dataset, request.user.get_username())
    except SuiteError as error:
        messages.error(request, error.detail)
    else:
        tasks.perform_job_soon(job.pk)
    if request.POST.get("back") == "label":
        return redirect("admin:console_dataset_label", dataset.pk)
    return redirect("admin:console_dataset_change", dataset.pk)


@require_GET
def export(request: HttpRequest, dataset_id: int, ending: str) -> StreamingHttpResponse:
    """All rows as a file, CSV or JSON lines."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    rows = dataset.rows.order_by("position")
    lines = datasets.as_csv(rows) if ending == "csv" else datasets.as_jsonl(rows)
    kind = "text/csv; charset=utf-8" if ending == "csv" else "application/x-ndjson; charset=utf-8"
    name = f'attachment; filename="data-set-{dataset.pk}.{ending}"'
    return StreamingHttpResponse(lines, content_type=kind, headers={"Content-Disposition": name})


@require_GET
def problems_file(request: HttpRequest, job_id: int) -> StreamingHttpResponse:
    """All lines of an imported file that could not be used, with the reason."""
    job = get_object_or_404(DatasetJob.objects.select_related("dataset"), pk=job_id)
    name = f'attachment; filename="problems-{job.pk}.csv"'
    return StreamingHttpResponse(
        imports.problems_csv(job, storage()), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": name},
    )  # fmt: skip


@never_cache
def label_page(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """One text, its labels, and keys for them; posted, what the person decided, then the next text."""
    dataset = get_object_or_404(Dataset, pk=dataset_id)
    search = request.GET.get("q", "").strip()
    row, told = None, ""
    seen = 0
    if request.method == "POST":
        seen = int(request.POST["row"]) if request.POST.get("row", "").isdecimal() else 0
        try:
            row, told = _decide(request, dataset, seen)
        except SuiteError as error:
            told = f"▲ {error.detail}"
    row = row or labelling.next_row(dataset, search, after=seen)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Label: %(name)s") % {"name": dataset.name},
        "opts": Dataset._meta,
        "dataset": dataset,
        "row": row,
        "told": told,
        "search": search,
        "labels": [(i, name) for i, name in enumerate(dataset.labels, 1)],
        "keyed": KEYED_LABELS,
        "progress": labelling.progress(dataset, timezone.now()),
        "may": request.user.has_perm("console.change_dataset"),
        "active_job": dataset.jobs.filter(
            kind=DatasetJob.Kind.SUGGEST, state__in=[DatasetJob.State.QUEUED, DatasetJob.State.RUNNING]
        ).first(),
        "suggested_by": dataset.jobs.filter(
            kind=DatasetJob.Kind.SUGGEST, state=DatasetJob.State.DONE
        ).first(),
    }
    part = "console/parts/label_card.html" if request.headers.get("HX-Request") else "console/label.html"
    return render(request, part, context)


def _decide(request: HttpRequest, dataset: Dataset, row_id: int) -> tuple[DatasetRow | None, str]:
    """Do what was asked; the row to show again, if it is one that was taken back, and what to say."""
    _require_change(request)
    who, now = request.user.get_username(), timezone.now()
    if "undo" in request.POST:
        last = labelling.last_of(dataset, who)
        if last is None:
            return None, _("There is nothing of yours to take back.")
        labelling.take_back(last, who)
        last.refresh_from_db()
        return last, _("Taken back.")
    row = get_object_or_404(dataset.rows.select_related("dataset"), pk=row_id)
    if "skip" in request.POST:
        labelling.skip(row, who, now)
        return None, _("Skipped.")
    chosen = request.POST.get("label", "")
    labelling.label(row, chosen, who, now)
    return None, _("Labelled: %(label)s.") % {"label": chosen}


def _jobs(dataset: Dataset) -> dict[str, Any]:
    found = list(dataset.jobs.order_by("-pk")[:SHOWN_JOBS])
    active = any(job.state in {DatasetJob.State.QUEUED, DatasetJob.State.RUNNING} for job in found)
    return {"jobs": [(job, _job_words(job)) for job in found], "jobs_active": active}


def _job_words(job: DatasetJob) -> str:
    if job.kind == DatasetJob.Kind.SUGGEST:
        return ngettext("%(n)d text looked at", "%(n)d texts looked at", job.done) % {"n": job.done}
    there = max(0, job.done - job.added - job.problems_n)
    said = [ngettext("%(n)d row added", "%(n)d rows added", job.added) % {"n": job.added}]
    if there:
        said.append(ngettext("%(n)d was there already", "%(n)d were there already", there) % {"n": there})
    if job.problems_n:
        words = ngettext("%(n)d line cannot be used", "%(n)d lines cannot be used", job.problems_n)
        said.append(words % {"n": job.problems_n})
    return ", ".join(said)


def _bars(counts: tuple[tuple[str, int], ...]) -> list[tuple[str, int, int]]:
    """(name, rows, most rows of any), for bars of one scale."""
    most = max((n for _name, n in counts), default=0) or 1
    return [(name, n, most) for name, n in counts]


def _require_change(request: HttpRequest) -> None:
    if not request.user.has_perm("console.change_dataset"):
        raise NotAllowed(_("You may look at data sets, and not change them."))
