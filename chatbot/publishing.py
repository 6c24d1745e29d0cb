"""Draft, judged, published: how a change of the knowledge comes to be what visitors are answered from.

A version is a row, and the row is the queue: without an index it is to be built, without a judgement to be
judged, so a worker killed anywhere leaves nothing behind. What the gate lets through is published by itself
where the knowledge base says so; a person may publish the rest, with a reason, and go back at any time.
Publishing is one conditional update: who saw another version live than there is gets Conflict.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chatbot import evaluation, indexing, retrieval
from chatbot.models import KnowledgeBase, KnowledgeVersion
from services.console.models import AuditEntry
from services.errors import Conflict, IndexMismatch, InvalidInput, NotFound, SuiteError, Unavailable
from services.inference.engine import Engine
from services.logs import get_logger
from services.storage import Storage

log = get_logger(__name__)

Clock = Callable[[], datetime]
LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 5
State = KnowledgeVersion.State


def waiting(now: datetime, lease: timedelta) -> list[int]:
    """Knowledge bases with a version to be built or judged that no living worker has."""
    free = Q(versions__claimed_at=None) | Q(versions__claimed_at__lt=now - lease)
    unjudged = Q(versions__judged_at=None, versions__isnull=False) & free
    open_ones = set(KnowledgeVersion.objects.filter(judged_at=None).values_list("knowledge_base", flat=True))
    due = set(KnowledgeBase.objects.filter(unjudged).values_list("pk", flat=True))
    return sorted(due | (set(behind()) - open_ones))


def behind() -> list[int]:
    """Knowledge bases whose newest version is behind their passages."""
    return list(KnowledgeBase.objects.filter(revision__gt=F("indexed_revision")).values_list("pk", flat=True))


def see_through(
    knowledge_base: KnowledgeBase, engine: Engine, storage: Storage, clock: Clock, lease: timedelta = LEASE
) -> bool:
    """Build, judge and, where it may be, publish the version that is due.

    False when none is due or another worker has it. Raises the engine's and the file store's SuiteErrors;
    the version then stays in the queue.
    """
    version = claim(knowledge_base, clock(), lease)
    if version is None:
        return False
    try:
        if not version.index_path:
            _build(version, engine, storage, clock)
        if version.knowledge_base.live_version_id is None and version.state == State.DRAFT:
            _go_first(version, clock())
        _judge(version, engine, storage, clock)
    except Conflict as error:  # taken over, or what it was compared with is live no longer
        log.info("version_left", version=version.pk, reason=error.detail)
        _mine(version).update(claimed_at=None)
        return False
    except SuiteError as error:
        is_down = isinstance(error, Unavailable)
        _mine(version).update(claimed_at=None, attempts=F("attempts") - int(is_down))
        raise
    return True


def claim(knowledge_base: KnowledgeBase, now: datetime, lease: timedelta) -> KnowledgeVersion | None:
    """Take the version that is due, or begin the next when passages changed; None when there is neither."""
    due = knowledge_base.versions.filter(judged_at=None).order_by("number").first()
    if due is None:
        return _begin(knowledge_base, now)
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    taken = KnowledgeVersion.objects.filter(free, pk=due.pk, judged_at=None).update(
        claimed_at=now, attempts=F("attempts") + 1
    )
    if not taken:
        return None
    return KnowledgeVersion.objects.select_related("knowledge_base").get(pk=due.pk)


def publish(
    version: KnowledgeVersion,
    *,
    expected: int | None,
    who: str,
    now: datetime,
    reason: str = "",
    hold: bool = False,
    encoder: str = "",
) -> AuditEntry:
    """Have a person make a version live, the first time or again, while `expected` (a row) is.

    `hold`: nothing is published by itself from now on. `encoder`: the version of the one that serves.
    Raises Conflict when another version is live, this one is, it is still being judged, or was made with
    another encoder; InvalidInput on `reason` when it is blocked and no reason is given.
    """
    reason = reason.strip()
    fresh = KnowledgeVersion.objects.select_related("knowledge_base").filter(pk=version.pk).first()
    if fresh is None:
        raise NotFound(_("This version was cleared away meanwhile. Choose another one."))
    version = fresh
    if version.state == State.BLOCKED and not reason:
        raise InvalidInput(
            _("Say why: the gate blocked this version, so the audit log keeps your reason."), field="reason"
        )
    if not version.index_path or (version.judged_at is None and version.published_at is None):
        raise Conflict(_("This version is still being built or judged. Wait until it is done."))
    if encoder and version.evaluation.get("encoder", encoder) != encoder:
        raise Conflict(
            _("This version was made with another encoder and cannot answer. Read its documents again.")
        )
    if version.pk == expected:
        raise Conflict(_("This version is live already."))
    act = {State.BLOCKED: AuditEntry.Act.OVERRIDDEN, State.RETIRED: AuditEntry.Act.ROLLED_BACK}
    before = KnowledgeVersion.objects.filter(pk=expected or 0).first()
    with transaction.atomic():
        _put_live(version, expected, who, now, reason)
        if hold:
            KnowledgeBase.objects.filter(pk=version.knowledge_base_id).update(publishes_itself=False)
        return AuditEntry.objects.create(
            at=now,
            who=who,
            act=act.get(State(version.state), AuditEntry.Act.PROMOTED),
            task=f"knowledge: {version.knowledge_base}"[:60],
            before=f"v{before.number}" if before else "",
            after=f"v{version.number}",
            reason=reason,
        )


def roll_back(knowledge_base: KnowledgeBase, *, who: str, now: datetime, **options: Any) -> AuditEntry:
    """Make the version live again that was before the live one; the rest as in `publish`.

    Raises NotFound when none is kept.
    """
    before = earlier(knowledge_base)
    if before is None:
        raise NotFound(_("There is no earlier version to go back to."))
    return publish(before, expected=knowledge_base.live_version_id, who=who, now=now, **options)


def earlier(knowledge_base: KnowledgeBase) -> KnowledgeVersion | None:
    """The version that was live before the live one, if it is kept."""
    return knowledge_base.versions.filter(state=State.RETIRED).order_by("-published_at", "-number").first()


def ask_again(knowledge_base: KnowledgeBase) -> int:
    """Queue the live version and the newest one to be judged anew; how many those are."""
    newest = knowledge_base.versions.exclude(index_path="").order_by("-number").first()
    ids = {knowledge_base.live_version_id or 0, newest.pk if newest else 0}
    again = KnowledgeVersion.objects.filter(pk__in=ids).exclude(judged_at=None)
    return again.update(judged_at=None, claimed_at=None, attempts=0, cases_done=0)


def reason_words(reason: dict[str, Any]) -> str:
    """One of the gate's reasons, in the reader's language."""
    code, values = reason["code"], dict(reason)
    names = {"mrr": _("MRR"), "recall_at_5": _("recall@5"), "recall_at_1": _("recall@1")}
    values["metric"] = names.get(str(values.get("metric")), "")
    values["share"] = f"{100 * values.get('share', 0):.0f}"
    for name in ("gain", "low", "high"):
        values[name] = f"{values.get(name, 0):+.3f}".replace("-", "−")
    if code == "lost":
        return ngettext(
            "%(lost)d of %(n)d case has lost its passage, or no longer finds it among the first five "
            "(%(share)s %%).",
            "%(lost)d of %(n)d cases have lost their passage, or no longer find it among the first five "
            "(%(share)s %%).",
            values["n"],
        ) % values  # fmt: skip
    sentences = {
        "falls": _(
            "%(metric)s falls by %(gain)s on %(n)d cases; the change lies between %(low)s and %(high)s "
            "(certainty: 95 %%), wholly below zero."
        ),
        "holds": _(
            "%(metric)s changes by %(gain)s on %(n)d cases, between %(low)s and %(high)s "
            "(certainty: 95 %%): nothing shows that it answers worse."
        ),
        "few": _("%(n)d cases can be compared; %(least)d are needed for an interval."),
        "first": _("Nothing was live before it, so there was nothing to compare it with."),
        "no_cases": _("There are no cases to judge it on."),
        "other_encoder": _("The live version was made with another encoder and cannot be compared."),
        "broken": _("Judging it failed %(attempts)d times; the log says why."),
    }
    return sentences[code] % values if code in sentences else str(code)


def _begin(knowledge_base: KnowledgeBase, now: datetime) -> KnowledgeVersion | None:
    try:
        with transaction.atomic():
            fresh = KnowledgeBase.objects.select_for_update().get(pk=knowledge_base.pk)
            begun = fresh.versions.filter(judged_at=None).exists()
            if begun or fresh.revision <= fresh.indexed_revision:
                return None
            last = fresh.versions.aggregate(last=Max("number"))["last"] or 0
            return KnowledgeVersion.objects.create(
                knowledge_base=fresh,
                number=last + 1,
                revision=fresh.revision,
                created_at=now,
                claimed_at=now,
                attempts=1,
            )
    except IntegrityError:  # another worker began it
        return None


def _build(version: KnowledgeVersion, engine: Engine, storage: Storage, clock: Clock) -> None:
    built = indexing.build(version.knowledge_base, version.number, engine, storage)
    _write(
        version,
        clock(),
        index_path=built.path,
        passage_ids=list(built.passage_ids),
        passages_n=len(built.passage_ids),
        revision=built.revision,
    )
    log.info("version_built", version=version.pk, passages=len(built.passage_ids))


def _go_first(version: KnowledgeVersion, now: datetime) -> None:
    """Where nothing is live, a version need not wait to be judged."""
    if not version.knowledge_base.publishes_itself:
        return
    with transaction.atomic():
        _put_live(version, None, "", now, "")
        _covered(version)
    version.refresh_from_db()


def _judge(version: KnowledgeVersion, engine: Engine, storage: Storage, clock: Clock) -> None:
    """Ask the cases of the version and of the live one; then say, in one short write, what comes of it."""
    base = KnowledgeBase.objects.select_related("live_version").get(pk=version.knowledge_base_id)
    is_live = base.live_version_id == version.pk
    other = earlier(base) if is_live else base.live_version
    told, failing = _evaluated(version, other, engine, storage, clock)
    now = clock()
    passed, open_state = told["passed"], version.state in {State.DRAFT, State.BLOCKED}
    state = version.state if not open_state else State.DRAFT if passed else State.BLOCKED
    with transaction.atomic():
        if not _mine(version).update(
            evaluation=told, failing=failing, judged_at=now, state=state, claimed_at=None
        ):
            raise Conflict("Another worker has this version.")
        _covered(version)
        newer = base.live_version is None or version.number > base.live_version.number
        if passed and open_state and newer and base.publishes_itself:
            _put_live(version, base.live_version_id, "", now, "")
    log.info("version_judged", version=version.pk, passed=passed, state=state, cases=told["cases"])


def _evaluated(
    version: KnowledgeVersion,
    rival: KnowledgeVersion | None,
    engine: Engine,
    storage: Storage,
    clock: Clock,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures and the failing cases, beside those of a version it is compared with."""
    base = version.knowledge_base
    cases = evaluation.cases_of(base, frozenset(rival.passage_ids) if rival else frozenset())
    if version.attempts > MAX_ATTEMPTS:
        reason = {"code": "broken", "blocks": True, "attempts": MAX_ATTEMPTS}
        return {"cases": len(cases), "compared": 0, "reasons": [reason], "passed": False}, []
    other, mismatch = None, False
    if rival and cases:
        try:
            other = retrieval.open_index(rival.index_path, engine, storage)
        except (IndexMismatch, NotFound):
            mismatch = True
    total = len(cases) * (2 if other is not None else 1)
    _write(version, clock(), cases_done=0, cases_total=total)
    done = 0

    def beat(n: int) -> None:
        _write(version, clock(), cases_done=done + n)

    asked, before = [], None
    if cases:
        index = retrieval.open_index(version.index_path, engine, storage)
        borders = retrieval.read_borders(version.index_path, storage)
        asked = evaluation.ask(cases, index, borders, engine, base, beat)
        done = len(cases)
        if rival is not None and other is not None:
            borders = retrieval.read_borders(rival.index_path, storage)
            before = evaluation.ask(cases, other, borders, engine, base, beat)
    told, failing = evaluation.report(cases, asked, before)
    if mismatch:
        told["reasons"] = [{"code": "other_encoder", "blocks": False}]
    told["against"] = rival.number if rival and before is not None else None
    told["encoder"] = engine.encoder().version
    return told, failing


def _put_live(version: KnowledgeVersion, expected: int | None, who: str, now: datetime, reason: str) -> None:
    """The switch: inside a transaction. Raises Conflict when `expected` is live no longer."""
    base = KnowledgeBase.objects.filter(pk=version.knowledge_base_id)
    still = base.filter(live_version__isnull=True) if expected is None else base.filter(live_version=expected)
    if not still.update(live_version=version, index_path=version.index_path, indexed_at=now):
        raise Conflict(_("Another version has gone live meanwhile. Look at the list again, then decide."))
    KnowledgeVersion.objects.filter(pk=expected or 0).update(state=State.RETIRED)
    there = KnowledgeVersion.objects.filter(pk=version.pk).update(
        state=State.PUBLISHED, published_at=now, published_by=who, reason=reason
    )
    if not there:
        raise Conflict(_("This version was cleared away meanwhile. Choose another one."))


def _covered(version: KnowledgeVersion) -> None:
    """The knowledge base's changes up to this version's are taken care of."""
    base = KnowledgeBase.objects.filter(pk=version.knowledge_base_id, indexed_revision__lt=version.revision)
    base.update(indexed_revision=version.revision)


def _mine(version: KnowledgeVersion) -> QuerySet[KnowledgeVersion]:
    """The row as long as this worker's claim stands."""
    return KnowledgeVersion.objects.filter(pk=version.pk, claimed_at=version.claimed_at)


def _write(version: KnowledgeVersion, now: datetime, **fields: Any) -> None:
    """Write to a claimed row, with a sign of life. Raises Conflict when another worker has taken it over."""
    if not _mine(version).update(claimed_at=now, **fields):
        raise Conflict("Another worker has this version.")
    version.claimed_at = now
    for name, value in fields.items():
        setattr(version, name, value)
