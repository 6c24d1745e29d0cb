"""Models → Runs: the form that starts a run, the page that shows one live, and what can be done with it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from services.console import drift_watch, run_report, tasks, training_orders, training_runs, versions
from services.console.models import Dataset, TrainingRun
from services.console.storage import storage
from services.errors import NotAllowed, SuiteError
from services.registry.store import ModelStore

MOST_POINTS = 5000
STAGES = {
    "prepare": lambda: _("getting the examples ready"),
    "split": lambda: _("splitting the examples"),
    "search": lambda: _("trying settings"),
    "train": lambda: _("training"),
    "calibrate": lambda: _("calibrating"),
    "evaluate": lambda: _("evaluating"),
    "baseline": lambda: _("fitting the baseline"),
    "gate": lambda: _("comparing with the live version"),
    "register": lambda: _("keeping the version"),
}


def start_page(request: HttpRequest) -> HttpResponse:
    """The form; posted, the run it asks for. A wrong value is told at its field, and nothing is lost."""
    if not request.user.has_perm("console.add_trainingrun"):
        raise PermissionDenied
    like = TrainingRun.objects.filter(pk=_number(request.GET.get("like"))).first()
    given: dict[str, Any] = {"split": "stratified", "test_share": 0.15, "validation_share": 0.1, "seed": 0}
    given |= {"least_gain": 0.0, "class_margin": 0.03, "trials": 0}
    chosen = [d.pk for d in like.datasets.all()] if like else [_number(request.GET.get("dataset"))]
    if like:
        given |= training_orders.as_form(like.order)
    wrong: dict[str, str] = {}
    if request.method == "POST":
        given = request.POST.dict() | {"shuffle_labels": "shuffle_labels" in request.POST}
        chosen = [_number(pk) for pk in request.POST.getlist("datasets")]
        given |= _unticked(given)
        sets = list(Dataset.objects.filter(pk__in=chosen))
        try:
            run = training_runs.ask(training_orders.plan(given, sets), sets, request.user.get_username())
        except SuiteError as error:
            wrong = {error.field or "": error.detail}
        else:
            tasks.perform_run_soon(run.pk)
            return redirect("admin:console_trainingrun_change", run.pk)
    first = Dataset.objects.filter(pk__in=chosen).first() or Dataset.objects.first()
    given.setdefault("task", first.task if first else "")
    given.setdefault("recipe", _usual_recipe(first))
    context = {
        **admin.site.each_context(request),
        "title": _("Start a run"),
        "opts": TrainingRun._meta,
        "datasets": [(d, d.pk in chosen or (not any(chosen) and d == first)) for d in Dataset.objects.all()],
        "recipes": list(training_orders.recipes().values()),
        "given": given,
        "wrong": wrong,
        "splits": _splits(),
        **_parameters(str(given["recipe"]), given, wrong),
    }
    return render(request, "console/start_run.html", context, status=422 if wrong else 200)


@require_GET
def parameters_part(request: HttpRequest) -> HttpResponse:
    """A recipe's settings, for the form."""
    context = _parameters(request.GET.get("recipe", ""), {}, {})
    return render(request, "console/parts/parameters.html", context)


@require_GET
@never_cache
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """A run: live while it goes on, its report and the gate's verdict after."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    store = ModelStore(storage())
    live = _live_name(store, run)
    context = {
        **admin.site.each_context(request),
        "title": str(run),
        "opts": TrainingRun._meta,
        "run": run,
        "now": _now_of(run, 0),
        "report": run_report.of(run),
        "live": live,
        "is_live": bool(run.version) and live == run.version,
        "recipe": training_orders.recipes().get(run.recipe),
        "may": request.user.has_perm("console.change_trainingrun"),
        "may_promote": request.user.has_perm("console.promote_version"),
        "datasets": run.datasets.all(),
    }
    return render(request, "console/run.html", context)


@require_GET
@never_cache
def live_json(request: HttpRequest, run_id: int) -> JsonResponse:
    """State, progress, log, and the points after the one the page has; asked every second."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    return JsonResponse(_now_of(run, _number(request.GET.get("after"))))


@require_POST
def act(request: HttpRequest, run_id: int, what: str) -> HttpResponseRedirect:
    """Stop, resume or promote; then the page again, with what came of it."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    needed = "console.promote_version" if what == "promote" else "console.change_trainingrun"
    try:
        if not request.user.has_perm(needed):
            raise NotAllowed(_("You may not do that."))
        if what == "stop":
            training_runs.stop(run, timezone.now())
            messages.success(request, _("The run is being stopped."))
        elif what == "resume":
            training_runs.resume(run)
            tasks.perform_run_soon(run.pk)
            messages.success(request, _("The run goes on from its last checkpoint."))
        elif what == "promote":
            _promote(request, run)
    except SuiteError as error:
        messages.error(request, error.detail)
    return redirect("admin:console_trainingrun_change", run.pk)


@require_GET
def report_file(request: HttpRequest, run_id: int, ending: str) -> HttpResponse | StreamingHttpResponse:
    """The whole report as a file, JSON or CSV."""
    run = get_object_or_404(TrainingRun, pk=run_id)
    name = f'attachment; filename="run-{run.pk}.{ending}"'
    if ending == "csv":
        return StreamingHttpResponse(
            run_report.as_csv(run), content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": name},
        )  # fmt: skip
    told = {"run": run.pk, "task": run.task, "order": run.order, "version": run.version}
    told |= {"passed": run.passed, "reasons": run.reasons, **run.outcome}
    return JsonResponse(
        told, headers={"Content-Disposition": name}, json_dumps_params={"indent": 1, "ensure_ascii": False}
    )


@require_GET
@never_cache
def active_part(request: HttpRequest) -> HttpResponse:
    """The runs that wait or go on, for the top of the list; asked every two seconds while there are any."""
    active = TrainingRun.objects.filter(state__in=[TrainingRun.State.RUNNING, TrainingRun.State.QUEUED])
    context = {
        "active": [(run, stage_words(run), eta_words(run)) for run in active.order_by("-state", "pk")[:5]],
        "total_n": TrainingRun.objects.count(),
        "datasets_n": Dataset.objects.count(),
        "drifted": _drifted(),
    }
    response = render(request, "console/parts/active_runs.html", context)
    if request.GET.get("was") and not context["active"]:
        response["HX-Refresh"] = "true"
    return response


def stage_words(run: TrainingRun) -> str:
    """What a run does at the moment."""
    if run.state == TrainingRun.State.RUNNING:
        if run.cancel_requested_at:
            return _("is being stopped")
        words = STAGES.get(run.stage)
        return words() if words else run.stage or _("starting")
    return str(run.get_state_display())


def eta_words(run: TrainingRun) -> str:
    """How long the stage will take, in a person's units; empty when that is not known."""
    if run.state != TrainingRun.State.RUNNING or run.eta_s is None:
        return ""
    if run.eta_s < 90:
        seconds = max(1, round(run.eta_s))
        return ngettext("about %(n)d second left", "about %(n)d seconds left", seconds) % {"n": seconds}
    minutes = round(run.eta_s / 60)
    if minutes < 90:
        return ngettext("about %(n)d minute left", "about %(n)d minutes left", minutes) % {"n": minutes}
    hours = round(minutes / 60)
    return ngettext("about %(n)d hour left", "about %(n)d hours left", hours) % {"n": hours}


def _now_of(run: TrainingRun, after: int) -> dict[str, Any]:
    points = run.points.filter(pk__gt=after).order_by("pk")[:MOST_POINTS]
    return {
        "state": run.state,
        "state_words": str(run.get_state_display()),
        "stage": stage_words(run),
        "done": run.done,
        "total": run.total,
        "eta": eta_words(run),
        "log": run.log,
        "over": run.over,
        "stopping": run.cancel_requested_at is not None,
        "attempt": run.attempt,
        "points": [[p.pk, p.curve, p.step, p.value] for p in points],
    }


def _promote(request: HttpRequest, run: TrainingRun) -> None:
    entry = versions.promote(
        ModelStore(storage()),
        run.task,
        run.version,
        timezone.now(),
        expected=request.POST.get("expected", ""),
        who=request.user.get_username(),
        reason=request.POST.get("reason", ""),
    )
    messages.success(
        request,
        _("%(version)s serves %(task)s now; running processes take it over within five seconds.")
        % {"version": entry.after, "task": entry.task},
    )


def _drifted() -> list[tuple[TrainingRun, list[str]]]:
    """Live versions that are due to be trained again; none while the file store does not answer."""
    try:
        return drift_watch.proposals(ModelStore(storage()))
    except SuiteError:
        return []


def _parameters(recipe: str, given: dict[str, Any], wrong: dict[str, str]) -> dict[str, Any]:
    found = training_orders.recipes().get(recipe)
    fields = []
    for parameter in found.parameters if found else ():
        name = f"parameter-{parameter.name}"
        value = given.get(name, parameter.default)
        ticked = value is True or str(value).lower() in {"true", "on", "1"}
        fields.append((name, parameter, value, ticked, wrong.get(name, "")))
    return {"recipe": found, "fields": fields}


def _unticked(given: dict[str, Any]) -> dict[str, str]:
    """Boxes that were not ticked are not sent: false, not the default."""
    recipe = training_orders.recipes().get(str(given.get("recipe", "")))
    named = [f"parameter-{p.name}" for p in (recipe.parameters if recipe else ()) if p.kind == "bool"]
    return {name: "false" for name in named if name not in given}


def _splits() -> list[tuple[str, str]]:
    return [
        ("stratified", _("by chance, every label in proportion")),
        ("time", _("by time: the latest rows are the test")),
        ("group", _("by group: no group on two sides")),
    ]


def _usual_recipe(dataset: Dataset | None) -> str:
    known = training_orders.recipes()
    shape = dataset.shape if dataset else "labelled"
    return next((r.name for r in known.values() if shape in r.shapes), next(iter(known), ""))


def _live_name(store: ModelStore, run: TrainingRun) -> str:
    try:
        live = store.live(run.task)
    except SuiteError:
        return ""
    return live.version if live else ""


def _number(told: Any) -> int:
    return int(told) if str(told).isdecimal() else 0
