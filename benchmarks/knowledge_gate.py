"""Does the gate hold back a draft that lost knowledge, and how soon is a rollback answered from?

`python -m benchmarks.knowledge_gate [--share S] [--json FILE] [--seed N]`

Reads the sample company's help pages into a knowledge base in a temporary folder; its cases are the question
variants of the FAQ. Then a part of the entries that answer them (a tenth, unless told) is taken out of a
draft.

    blocked          whether the gate held the draft back
    lost, cases      questions of entries taken away that are named as failing, and all questions asked
    named            the share of the entries taken away of which at least one question is named
    others_blamed    questions said to be lost whose own entry is still there
    missed_before    questions named that the live version does not find either
    judged_s         building and judging the draft
    rollback_ms      from the order to go back, after the draft was published with a reason, to the first
                     search that finds the entry again, in a process that answers

Nothing is read from a folder: there is no --data.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.command import arguments, conditions, cores, write

SAMPLE = Path(__file__).resolve().parents[1] / "sample" / "knowledge"
QUESTIONS = "questions.jsonl"


def main() -> None:
    """Parse, run, print, write."""
    parser = arguments(__doc__, seed="which entries are taken away", required=False)
    parser.add_argument("--share", type=float, default=0.1, help="part of the entries (default .1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DATA_DIR": folder, "LOG_LEVEL": "WARNING", "DJANGO_SETTINGS_MODULE": "config.settings",
        }  # fmt: skip
        metrics = run(args.share, args.seed)
    for name, value in metrics.items():
        print(f"{name:>14}  {value}")
    write(args.json, metrics)


def run(share: float, seed: int) -> dict[str, Any]:
    """Everything, in the folder that DATA_DIR names."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from django.db.models import F
    from django.utils import timezone

    from chatbot import publishing, retrieval
    from chatbot.models import KnowledgeBase, Passage, Piece
    from services.console.storage import storage
    from services.inference.engine import get_engine

    engine, store = get_engine(), storage()
    base = _base()
    with_questions = Passage.objects.filter(retired_at=None).exclude(variants=[]).order_by("pk")
    entries = [one for one in with_questions if one.language == "en"]
    gone = random.Random(seed).sample(entries, max(1, round(share * len(entries))))
    Piece.objects.filter(passage__in=gone).delete()
    Passage.objects.filter(pk__in=[one.pk for one in gone]).update(retired_at=timezone.now())
    KnowledgeBase.objects.filter(pk=base.pk).update(revision=F("revision") + 1)
    base.refresh_from_db()
    began = time.perf_counter()
    publishing.see_through(base, engine, store, timezone.now)
    judged_s = time.perf_counter() - began
    base.refresh_from_db()
    draft = base.versions.latest("number")
    blocked = draft.state == draft.State.BLOCKED and base.live_version_id != draft.pk
    missed = [case for case in draft.failing if case["why"] == "missed"]
    failing = {(case["heading"], case["question"]) for case in draft.failing if case not in missed}
    headings = {one.heading for one in gone}
    publishing.publish(
        draft, expected=base.live_version_id, who="", now=timezone.now(), reason="a benchmark of going back"
    )
    question, wanted = gone[0].variants[0], gone[0].pk

    def first() -> int:
        base.refresh_from_db()
        found = retrieval.search(base, question, language="en", engine=engine, storage=store)
        return found[0].passage.pk

    assert first() != wanted
    began = time.perf_counter()
    publishing.roll_back(base, who="", now=timezone.now())
    while first() != wanted:
        time.sleep(0.001)
    return {
        "blocked": blocked,
        "entries": len(entries),
        "taken_away": len(gone),
        "cases": next((one["n"] for one in draft.evaluation["reasons"] if "n" in one), 0),
        "lost": sum(heading in headings for heading, _ in failing),
        "named": round(len(headings & {heading for heading, _ in failing}) / len(headings), 3),
        "others_blamed": sum(heading not in headings for heading, _ in failing),
        "missed_before": len(missed),
        "judged_s": round(judged_s, 1),
        "rollback_ms": round(1000 * (time.perf_counter() - began), 1),
        "seed": seed,
        **conditions(cores()),
    }


def _base() -> Any:
    """The sample's help pages, read and live."""
    from django.utils import timezone

    from chatbot import knowledge
    from chatbot.models import KnowledgeBase
    from services.console.storage import storage
    from services.inference.engine import get_engine

    base = KnowledgeBase.objects.create(name="Gate")
    for path in sorted(SAMPLE.iterdir()):
        if path.name != QUESTIONS:
            row = knowledge.receive(base, path.name, path.read_bytes(), storage=storage(), max_bytes=2**24)
            claimed = knowledge.claim(row.pk, timezone.now(), timedelta(hours=1))
            assert claimed is not None
            knowledge.ingest(claimed, get_engine(), storage(), timezone.now)
    base.refresh_from_db()
    knowledge.build_index(base, get_engine(), storage(), timezone.now())
    base.refresh_from_db()
    return base


if __name__ == "__main__":
    main()
