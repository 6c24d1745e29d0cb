"""Models → Versions: what is live for each task, what was, what there is; promoting and rolling back.

The file store's registry decides; this adds who did it and why to the audit log. A version that its run's
gate refused, or that no gate has seen, is promoted only with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from services.console.models import AuditEntry, TrainingRun
from services.errors import InvalidInput, SuiteError
from services.registry.lineage import Lineage
from services.registry.manifest import shipped
from services.registry.store import Live, ModelStore

COMPARED = 2


@dataclass(frozen=True, slots=True)
class Version:
    """A version as a row of the page. `passed` is None where no gate has judged it."""

    name: str
    lineage: Lineage
    is_live: bool
    was_live: bool
    goes_back: bool
    passed: bool | None
    reasons: tuple[str, ...]
    run_id: int | None


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its versions, the live one first, then the newest."""

    name: str
    live: Live | None
    versions: tuple[Version, ...]
    metrics: tuple[str, ...]

    @property
    def live_name(self) -> str:
        """The live version, or an empty string."""
        return self.live.version if self.live else ""

    @property
    def back_to(self) -> str:
        """What rolling back makes live, or an empty string."""
        return self.live.before[0] if self.live and self.live.before else ""

    @property
    def is_shipped(self) -> bool:
        """Whether a model of this task came with the product: it serves while nothing is promoted."""
        return self.name in shipped()


def task_names(store: ModelStore) -> list[str]:
    """Every task that has versions."""
    return store.tasks()


def look(store: ModelStore, task: str) -> Task:
    """A task's versions. Those whose files cannot be read are left out. Raises StorageFailed."""
    live = store.live(task)
    before = live.before if live else ()
    runs = {
        run.version: run for run in TrainingRun.objects.filter(task=task).exclude(version="").defer("log")
    }
    found = []
    for name in store.versions(task):
        try:
            lineage = store.lineage(task, name)
        except SuiteError:
            lineage = Lineage(task, name)
        run = runs.get(name)
        gate = lineage.gate
        passed = run.passed if run is not None else gate.passed if gate is not None else None
        found.append(
            Version(
                name=name,
                lineage=lineage,
                is_live=live is not None and live.version == name,
                was_live=name in before,
                goes_back=bool(before) and before[0] == name,
                passed=passed,
                reasons=tuple(run.gate_says) if run is not None else gate.reasons if gate is not None else (),
                run_id=run.pk if run is not None else None,
            )
        )
    found.sort(key=lambda v: (v.is_live, v.lineage.trained_at, v.name), reverse=True)
    return Task(task, live, tuple(found), _shared_metrics(found))


def promote(
    store: ModelStore, task: str, version: str, now: datetime, *, expected: str, who: str, reason: str
) -> AuditEntry:
    """Make a version live, if what the person saw live still is. Raises what `ModelStore.promote` raises.

    Raises InvalidInput on `reason` when the gate has not let it through and no reason is given.
    """
    shown = next((v for v in look(store, task).versions if v.name == version), None)
    overridden = shown is None or not (shown.passed or shown.was_live)
    if overridden and not reason.strip():
        raise InvalidInput(
            _("Say why: the gate did not let this version through, so the audit log keeps your reason."),
            field="reason",
        )
    store.promote(
        task, version, now, expected=expected or None, by=who, reason=reason.strip(), overridden=overridden
    )
    act = AuditEntry.Act.OVERRIDDEN if overridden else AuditEntry.Act.PROMOTED
    return _audit(act, task, expected, version, who, reason, now)


def roll_back(
    store: ModelStore, task: str, now: datetime, *, expected: str, who: str, reason: str
) -> AuditEntry:
    """Make the version before live again; before the first, `after` of the entry is empty.

    Raises what `ModelStore.roll_back` raises.
    """
    live = store.roll_back(task, now, expected=expected or None, by=who, reason=reason.strip())
    return _audit(AuditEntry.Act.ROLLED_BACK, task, expected, live.version, who, reason, now)


def is_served_as(version: str, answered_by: str) -> bool:
    """Whether an answer comes from a version: it may name the encoder or the files as well."""
    return answered_by == version or answered_by.startswith((f"{version}+", f"{version}-"))


def card(store: ModelStore, task: str, version: str) -> str:
    """The model card, Markdown; empty when the version has none. Raises NotFound, StorageFailed."""
    file = store.open(task, version) / "README.md"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _audit(act: str, task: str, before: str, after: str, who: str, reason: str, now: datetime) -> AuditEntry:
    return AuditEntry.objects.create(
        at=now, who=who, act=act, task=task, before=before, after=after, reason=reason.strip()
    )


def _shared_metrics(versions: Sequence[Version], most: int = 4) -> tuple[str, ...]:
    """The metrics shown in the table: those most versions have, the usual ones first."""
    usual = ("macro_f1", "accuracy", "micro_f1", "ece", "ndcg@10", "perplexity")
    names = list(dict.fromkeys(name for v in versions for name in v.lineage.metrics))
    by_rank = sorted(names, key=lambda n: next((i for i, u in enumerate(usual) if n.endswith(u)), len(usual)))
    return tuple(by_rank[:most])
