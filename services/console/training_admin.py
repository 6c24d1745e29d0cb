"""Models → Data sets, Runs, Schedules, Versions and the audit log: their lists, and which page is where."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from services.console import (
    dataset_views,
    datasets,
    run_views,
    schedules,
    training_runs,
    version_views,
)
from services.console.models import (
    AuditEntry,
    Dataset,
    DatasetRow,
    ModelVersion,
    TrainingRun,
    TrainingSchedule,
)
from services.console.permissions import OnlyShown
from services.errors import SuiteError


class OnePerLine(forms.CharField):
    """A list of short texts, one a line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial) != self.to_python(data))


class DatasetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A data set's name, task, shape, labels, licence and languages."""

    labels = OnePerLine(
        required=False,
        label=gettext_lazy("Labels"),
        help_text=gettext_lazy(
            "One a line, in the order of their keys. Empty takes them from the first file."
        ),
    )
    languages = OnePerLine(
        required=False, label=gettext_lazy("Languages"), help_text=gettext_lazy("One a line: en, zh-hans.")
    )

    class Meta:
        model = Dataset
        fields = ["name", "task", "shape", "labels", "licence", "languages"]

    def clean_labels(self) -> list[str]:
        """A label rows have is not taken away from under them."""
        given: list[str] = self.cleaned_data["labels"]
        if bad := next((label for label in given if "|" in label or len(label) > 200), None):
            raise forms.ValidationError(
                _("A label has at most 200 characters and no |: %(label)s") % {"label": bad[:60]}
            )
        lost = set(self.instance.labels if self.instance.pk else ()) - set(given)
        used = self.instance.pk and self.instance.rows.filter(label__in=lost).values_list("label", flat=True)
        if used and (label := used.first()):
            raise forms.ValidationError(
                _("Rows have the label %(label)s; change them first.") % {"label": label}
            )
        return given


@admin.register(Dataset)
class DatasetAdmin(ModelAdmin):  # type: ignore[misc]
    """Data sets; in the place of a form, a page of what one holds."""

    form = DatasetForm
    list_display = ["name", "task", "shown_shape", "shown_rows", "shown_labelled", "licence", "created_at"]
    list_filter = ["task", "shape"]
    search_fields = ["name", "task"]

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, dataset_views
        own = [
            path("<int:dataset_id>/change/", view(pages.dataset_page), name="console_dataset_change"),
            path("<int:dataset_id>/label/", view(pages.label_page), name="console_dataset_label"),
            path("<int:dataset_id>/jobs/", view(pages.jobs_part), name="console_dataset_jobs"),
            path("<int:dataset_id>/upload/", view(pages.upload), name="console_dataset_upload"),
            path("<int:dataset_id>/suggest/", view(pages.suggest), name="console_dataset_suggest"),
            path("<int:dataset_id>/rows.<str:ending>", view(pages.export), name="console_dataset_export"),
            path("problems/<int:job_id>.csv", view(pages.problems_file), name="console_dataset_problems"),
            path("<path:object_id>/settings/", view(self.change_view), name="console_dataset_settings"),
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Dataset | None = None) -> bool:
        """As the other pages of the console: whoever may sign in."""
        return True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        labelled = Count("rows", filter=Q(rows__state=DatasetRow.State.LABELLED))
        found: QuerySet[Dataset] = super().get_queryset(request)
        return found.annotate(rows_n=Count("rows"), labelled_n=labelled)

    @display(description=gettext_lazy("Holds"), ordering="shape")
    def shown_shape(self, dataset: Dataset) -> str:
        return str(dataset.get_shape_display())

    @display(description=gettext_lazy("Rows"), ordering="rows_n")
    def shown_rows(self, dataset: Any) -> int:
        return int(dataset.rows_n)

    @display(description=gettext_lazy("Labelled"), ordering="labelled_n")
    def shown_labelled(self, dataset: Any) -> int:
        return int(dataset.labelled_n)


class DatasetRowForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row's text, company, label and state."""

    class Meta:
        model = DatasetRow
        fields = ["text", "entity", "label", "state", "data"]

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        labelled = found.get("state") == DatasetRow.State.LABELLED
        dataset = self.instance.dataset
        if labelled and dataset.shape == Dataset.Shape.LABELLED and found.get("label") not in dataset.labels:
            known = ", ".join(dataset.labels)
            self.add_error("label", _("One of: %(labels)s.") % {"labels": known})
        return found


@admin.register(DatasetRow)
class DatasetRowAdmin(ModelAdmin):  # type: ignore[misc]
    """The rows of all data sets: searched, filtered, edited, exported."""

    form = DatasetRowForm
    list_display = ["shown_text", "entity", "label", "shown_state", "suggestion", "labelled_by", "dataset"]
    list_filter = ["dataset", "state", "label", "labelled_by"]
    search_fields = ["text", "entity"]
    list_select_related = ["dataset"]
    list_per_page = 50
    show_full_result_count = False
    actions = ["reopen", "export_csv"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come by import."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: DatasetRow | None = None) -> bool:
        """As the other pages of the console: whoever may sign in."""
        return True

    def save_model(self, request: HttpRequest, obj: DatasetRow, form: Any, change: bool) -> None:
        if {"label", "state"} & set(form.changed_data):
            obj.labelled_by, obj.labelled_at = request.user.get_username(), timezone.now()
        if {"text", "entity", "data"} & set(form.changed_data):
            obj.key = datasets.key_of(datasets.example_of(obj))
        super().save_model(request, obj, form, change)

    @action(description=gettext_lazy("Open again for labelling"), permissions=["change"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[DatasetRow]) -> None:
        """The chosen rows lose their label and wait for one."""
        n = queryset.update(state=DatasetRow.State.OPEN, label="", labelled_by="", labelled_at=None)
        messages.success(request, _("%(n)d rows are open again.") % {"n": n})

    @action(description=gettext_lazy("Export as CSV"))
    def export_csv(self, request: HttpRequest, queryset: QuerySet[DatasetRow]) -> StreamingHttpResponse:
        """The chosen rows as a file."""
        rows = queryset.order_by("dataset", "position")
        return StreamingHttpResponse(
            datasets.as_csv(rows), content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="rows.csv"'},
        )  # fmt: skip

    @display(description=gettext_lazy("Text"), ordering="position")
    def shown_text(self, row: DatasetRow) -> str:
        return row.text if len(row.text) <= 120 else f"{row.text[:119]}…"

    @display(
        description=gettext_lazy("State"),
        ordering="state",
        label={"labelled": "success", "open": "info", "skipped": "warning"},
    )
    def shown_state(self, row: DatasetRow) -> tuple[str, str]:
        return row.state, str(row.get_state_display())


@admin.register(TrainingRun)
class TrainingRunAdmin(ModelAdmin):  # type: ignore[misc]
    """Training runs; in the place of a form, the page that shows one live."""

    list_display = ["shown_name", "shown_state", "shown_progress", "shown_metric", "shown_gate", "created_at"]
    list_filter = ["state", "task", "recipe", "passed"]
    search_fields = ["task", "recipe", "version", "created_by"]
    list_before_template = "console/active_runs_slot.html"
    actions = ["stop"]

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, run_views
        own = [
            path("add/", view(pages.start_page), name="console_trainingrun_add"),
            path("parameters/", view(pages.parameters_part), name="console_trainingrun_parameters"),
            path("active/", view(pages.active_part), name="console_trainingrun_active"),
            path("<int:run_id>/change/", view(pages.run_page), name="console_trainingrun_change"),
            path("<int:run_id>/live.json", view(pages.live_json), name="console_trainingrun_live"),
            path("<int:run_id>/<str:what>/act/", view(pages.act), name="console_trainingrun_act"),
            path(
                "<int:run_id>/report.<str:ending>", view(pages.report_file), name="console_trainingrun_report"
            ),
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """As the other pages of the console: whoever may sign in."""
        return True

    def has_delete_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        """A run that is over may be deleted; its version stays."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.over)

    def delete_model(self, request: HttpRequest, obj: TrainingRun) -> None:
        training_runs.forget(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        for run in queryset:
            try:
                training_runs.forget(run)
            except SuiteError as error:
                messages.error(request, f"{run}: {error.detail}")

    @action(description=gettext_lazy("Cancel"), permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Stop the chosen runs that are not over."""
        for run in queryset:
            if not run.over:
                training_runs.stop(run, timezone.now())
        messages.success(request, _("The runs are being stopped."))

    @display(description=gettext_lazy("Run"), ordering="pk", header=True)
    def shown_name(self, run: TrainingRun) -> list[str]:
        shuffled = _("control run") if run.order.get("shuffle_labels") else ""
        return [str(run), " · ".join(filter(None, [run.recipe, run.version, shuffled]))]

    @display(
        description=gettext_lazy("State"),
        ordering="state",
        label={
            "queued": "info",
            "running": "warning",
            "done": "success",
            "failed": "danger",
            "cancelled": "info",
        },
    )
    def shown_state(self, run: TrainingRun) -> tuple[str, str]:
        return run.state, str(run.get_state_display())

    @display(description=gettext_lazy("Progress"))
    def shown_progress(self, run: TrainingRun) -> str:
        if run.state != TrainingRun.State.RUNNING:
            return "–"
        count = f"{run.done} / {run.total}" if run.total else ""
        return " · ".join(filter(None, [run_views.stage_words(run), count, run_views.eta_words(run)]))

    @display(description=gettext_lazy("Metric"))
    def shown_metric(self, run: TrainingRun) -> str:
        metrics = run.outcome.get("metrics") or {}
        name = next(
            (n for n in ("macro_f1", "micro_f1", "accuracy") if n in metrics), next(iter(metrics), "")
        )
        return f"{name} {metrics[name]:.3f}" if name else "–"

    @display(description=gettext_lazy("Gate"), ordering="passed")
    def shown_gate(self, run: TrainingRun) -> str:
        return "–" if run.passed is None else f"✓ {_('passed')}" if run.passed else f"✕ {_('refused')}"


@admin.register(TrainingSchedule)
class TrainingScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    """Runs that are done again by themselves."""

    fields = ["like", "every_days", "new_labels", "on"]
    list_display = ["__str__", "like", "every_days", "new_labels", "shown_new", "on", "last_at", "last_run"]
    list_filter = ["on"]
    list_select_related = ["like", "last_run"]

    def save_model(self, request: HttpRequest, obj: TrainingSchedule, form: Any, change: bool) -> None:
        if not change:
            obj.labels_then = schedules.labels_of(obj.like)
        super().save_model(request, obj, form, change)

    @display(description=gettext_lazy("New labels so far"))
    def shown_new(self, schedule: TrainingSchedule) -> int:
        return schedules.new_labels(schedule)


@admin.register(ModelVersion)
class ModelVersionAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """Models → Versions: in the place of a list, the page of each task's versions."""

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, version_views
        return [
            path("", view(pages.versions_page), name="console_modelversion_changelist"),
            path("card.txt", view(pages.card_part), name="console_modelversion_card"),
            path("try/", view(pages.try_part), name="console_modelversion_try"),
            path("why/", view(pages.why_part), name="console_modelversion_why"),
            path("<str:what>/act/", view(pages.act), name="console_modelversion_act"),
        ]


@admin.register(AuditEntry)
class AuditEntryAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """Settings → Audit log: read, never changed."""

    list_display = ["at", "who", "act", "task", "before", "after", "reason"]
    list_filter = ["act", "task", "who"]
    search_fields = ["who", "task", "before", "after", "reason"]
    date_hierarchy = "at"
