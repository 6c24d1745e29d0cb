"""The conflict radar: which passages of a knowledge base contradict each other, kept as rows.

Passages that are near one another by their pieces are candidates (`neighbours`), each pair is read sentence
by sentence (`contradictions`), and what is found is written in one short block. Only passages of documents
read since the last time look for others. A pair that a person set aside stays so as long as both passages
stand as they are: changed words are new passages. The row is the queue: a knowledge base whose `revision` is
ahead of `compared_revision` is to be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from chatbot.contradictions import Contradiction, contradiction
from chatbot.models import Conflict, Document, KnowledgeBase, Passage, Piece
from chatbot.statements import Text
from services.errors import NotFound
from services.inference.engine import Engine
from services.inference.values import EncoderInfo, Priority
from services.logs import get_logger

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = get_logger(__name__)

Clock = Callable[[], datetime]
LEAST_COSINE, LEAST_SHARED = 0.45, 0.25
"""How near two pieces must be to be looked at: by the encoder's vectors, and by the letters they share."""
NEAREST = 16
"""Nearest pieces that are looked at for each piece."""
LEASE = timedelta(seconds=120)
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing: passages in use, pairs read, conflicts found new, gone, and open in all."""

    passages: int
    pairs: int
    found: int
    gone: int
    open: int


def waiting(now: datetime, lease: timedelta = LEASE) -> list[int]:
    """Knowledge bases with changes nobody has compared yet, all of whose documents are read."""
    free = Q(comparing_at=None) | Q(comparing_at__lt=now - lease)
    reading = Document.objects.filter(
        knowledge_base=OuterRef("pk"), state__in=[Document.State.QUEUED, Document.State.RUNNING]
    )
    due = KnowledgeBase.objects.filter(~Exists(reading), free, revision__gt=F("compared_revision"))
    return list(due.order_by("pk").values_list("pk", flat=True))


def compare(
    knowledge_base: KnowledgeBase,
    engine: Engine,
    clock: Clock,
    *,
    lease: timedelta = LEASE,
    everything: bool = False,
) -> Compared | None:
    """Find the conflicts of what changed since the last time, or of `everything`; None when another does it.

    Raises the engine's SuiteErrors; the knowledge base then stays in the queue.
    """
    began = clock()
    base = _claim(knowledge_base.pk, began, lease)
    if base is None:
        return None
    try:
        since = None if everything else base.compared_at
        told = _compare(base, engine, since, _alive(base, clock), began)
    except BaseException:
        KnowledgeBase.objects.filter(pk=base.pk).update(comparing_at=None)
        raise
    log.info("knowledge_compared", knowledge_base=base.pk, pairs=told.pairs, found=told.found, gone=told.gone)
    return told


def in_question(knowledge_base: KnowledgeBase | None = None) -> QuerySet[Conflict]:
    """Conflicts of passages in use, with their passages and documents, the latest first."""
    rows = Conflict.objects.select_related("first__document", "second__document", "knowledge_base").filter(
        first__retired_at=None, second__retired_at=None
    )
    rows = rows.exclude(first__document__state=Document.State.REMOVED)
    rows = rows.exclude(second__document__state=Document.State.REMOVED)
    return rows if knowledge_base is None else rows.filter(knowledge_base=knowledge_base)


def decide(conflict_id: int, *, dismissed: bool, who: str) -> Conflict:
    """Set a conflict aside as none, or open it again. Raises NotFound when it is gone meanwhile."""
    state = Conflict.State.DISMISSED if dismissed else Conflict.State.OPEN
    changed = Conflict.objects.filter(pk=conflict_id).update(
        state=state, decided_by=who[:150] if dismissed else ""
    )
    if not changed:
        raise NotFound(_("This conflict is gone: one of the two passages changed meanwhile."))
    return Conflict.objects.select_related("knowledge_base").get(pk=conflict_id)


def ask_again(base: KnowledgeBase | None) -> int:
    """Queue every passage of a knowledge base, or of all, to be compared anew; how many bases those are."""
    rows = KnowledgeBase.objects.filter(revision__gt=0)
    if base is not None:
        rows = rows.filter(pk=base.pk)
    return rows.update(compared_revision=0, compared_at=None)


def _claim(base_id: int, now: datetime, lease: timedelta) -> KnowledgeBase | None:
    free = Q(comparing_at=None) | Q(comparing_at__lt=now - lease)
    taken = KnowledgeBase.objects.filter(free, pk=base_id).update(comparing_at=now)
    return KnowledgeBase.objects.get(pk=base_id) if taken else None


def _alive(base: KnowledgeBase, clock: Clock) -> Callable[[], None]:
    """Says at most every ten seconds that this worker lives."""
    last = [clock()]

    def told() -> None:
        if (now := clock()) - last[0] > timedelta(seconds=10):
            KnowledgeBase.objects.filter(pk=base.pk).update(comparing_at=now)
            last[0] = now

    return told


def _compare(
    base: KnowledgeBase, engine: Engine, since: datetime | None, alive: Callable[[], None], began: datetime
) -> Compared:
    used = _in_use(base)
    languages = dict(used.values_list("pk", "language"))
    fresh = set(languages)
    if since is not None:
        changed = used.filter(document__ingested_at__gte=since)
        fresh = set(changed.values_list("pk", flat=True))
    known = set(Conflict.objects.filter(knowledge_base=base).values_list("first_id", "second_id"))
    pairs = {(pk, pk) for pk in fresh}
    pairs |= {pair for pair in known if languages.keys() >= set(pair) and fresh & set(pair)}
    for ids in _by_language(languages):
        if fresh & ids:
            pairs |= _candidates(base, ids, fresh & ids, languages[min(ids)], engine, alive)
    found = dict(_judged(sorted(pairs), alive))
    told = _write(base, pairs, found, set(languages), began)
    return Compared(len(languages), len(pairs), *told)


def _in_use(base: KnowledgeBase) -> QuerySet[Passage]:
    rows = Passage.objects.filter(document__knowledge_base=base, retired_at=None)
    return rows.exclude(document__state=Document.State.REMOVED)


def _by_language(languages: dict[int, str]) -> Iterable[set[int]]:
    """Passages of one language together, whatever its script or region: only those are compared."""
    groups: dict[str, set[int]] = defaultdict(set)
    for pk, language in languages.items():
        groups[language.split("-")[0]].add(pk)
    return groups.values()


def _candidates(
    base: KnowledgeBase,
    ids: set[int],
    fresh: set[int],
    language: str,
    engine: Engine,
    alive: Callable[[], None],
) -> set[tuple[int, int]]:
    """Pairs of these passages, one of them fresh, that are near one another."""
    from chatbot.neighbours import near_owners
    from services.search.understanding import understands

    info = engine.encoder()
    by_meaning = info.reads(language) and understands(
        lambda texts: engine.embed(texts, priority=Priority.BATCH), info.version, language
    )
    owners, vecs = _vectors(base, ids, info) if by_meaning else _letters(base, ids)
    least = LEAST_COSINE if by_meaning else LEAST_SHARED
    asked = None if fresh == ids else frozenset(fresh)
    return near_owners(vecs, owners, asked, least=least, most=NEAREST, alive=alive)


def _vectors(base: KnowledgeBase, ids: set[int], info: EncoderInfo) -> tuple[list[int], NDArray[Any]]:
    """Whose each piece is, and the encoder's vectors of the pieces."""
    import numpy as np

    rows = _pieces(base)
    owners: list[int] = []
    vecs = np.zeros((rows.count(), info.dim), np.float32)
    for owner, vec, version in rows.values_list("passage_id", "vec", "model_version").iterator(2000):
        if owner in ids and vec and version == info.version and len(owners) < len(vecs):
            vecs[len(owners)] = np.frombuffer(vec, np.float32)
            owners.append(owner)
    return owners, vecs[: len(owners)]


def _letters(base: KnowledgeBase, ids: set[int]) -> tuple[list[int], NDArray[Any]]:
    """Whose each piece is, and the pieces as vectors of their letters."""
    from chatbot.neighbours import by_letters

    rows = [row for row in _pieces(base).values_list("passage_id", "text").iterator(2000) if row[0] in ids]
    return [owner for owner, _text in rows], by_letters([text for _owner, text in rows])


def _pieces(base: KnowledgeBase) -> QuerySet[Piece]:
    rows = Piece.objects.filter(passage__document__knowledge_base=base, passage__retired_at=None)
    return rows.exclude(passage__document__state=Document.State.REMOVED).order_by("pk")


def _judged(
    pairs: list[tuple[int, int]], alive: Callable[[], None]
) -> Iterator[tuple[tuple[int, int], Contradiction]]:
    """The pairs that contradict each other, with what was found; texts are read some at a time."""
    for at in range(0, len(pairs), CHUNK):
        chunk = pairs[at : at + CHUNK]
        rows = Passage.objects.in_bulk({pk for pair in chunk for pk in pair})
        texts = {pk: text_of(row) for pk, row in rows.items()}
        for first, second in chunk:
            if first in texts and second in texts:
                made = contradiction(texts[first], texts[second])
                if made is not None:
                    yield (first, second), made
        alive()


def text_of(passage: Passage) -> Text:
    """A passage as it is compared."""
    blocks = tuple((block["kind"], block["start"], block["end"]) for block in passage.blocks)
    return Text(passage.heading, passage.text, passage.language, blocks)


def _write(
    base: KnowledgeBase,
    pairs: set[tuple[int, int]],
    found: dict[tuple[int, int], Contradiction],
    used: set[int],
    began: datetime,
) -> tuple[int, int, int]:
    """Rows for what was found, none for what is no conflict any more; (new, gone, open)."""
    with transaction.atomic():
        rows = {(row.first_id, row.second_id): row for row in Conflict.objects.filter(knowledge_base=base)}
        over = [
            row.pk
            for pair, row in rows.items()
            if not used >= set(pair) or (pair in pairs and pair not in found)
        ]
        Conflict.objects.filter(pk__in=over).delete()
        still = set(
            Passage.objects.filter(pk__in={pk for pair in found for pk in pair}).values_list("pk", flat=True)
        )
        new = [
            Conflict(
                knowledge_base=base,
                first_id=a,
                second_id=b,
                kind=made.kind,
                evidence=_evidence(made),
                found_at=began,
            )
            for (a, b), made in found.items()
            if (a, b) not in rows and still >= {a, b}
        ]
        Conflict.objects.bulk_create(new, ignore_conflicts=True)
        KnowledgeBase.objects.filter(pk=base.pk).update(
            compared_revision=base.revision, compared_at=began, comparing_at=None
        )
    return len(new), len(over), in_question(base).filter(state=Conflict.State.OPEN).count()


def _evidence(made: Contradiction) -> dict[str, Any]:
    return {
        "first": list(made.first),
        "second": list(made.second),
        "first_says": made.first_says,
        "second_says": made.second_says,
        "likeness": round(made.likeness, 3),
    }
