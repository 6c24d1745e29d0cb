"""Fills DATA_DIR for the browser tests: `python -m tests.browser.seed`.

Help pages in English and Chinese, one with HTML in its words, and two inboxes: the demo shop's, and one
whose search index is lost. The sample shop's items, and a few of its users with what they did.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import django

FAQ: list[dict[str, object]] = [
    {
        "question": "How long do refunds take?",
        "answer": "We pay refunds within 5 business days after the parcel reaches us.",
        "variants": ["When do I get my money back?", "refund time"],
        "section": "Refunds",
    },
    {
        "question": "May a label hold <b>bold</b> words?",
        "answer": "Yes: <img src=x onerror=\"document.title='owned'\"> and "
        "<script>document.title='owned'</script> are only words here.",
        "variants": ["bold label words"],
        "section": "Labels",
    },
]
FAQ_ZH: list[dict[str, object]] = [
    {
        "question": "退款多久到账？",
        "answer": "包裹到达仓库后 5 个工作日内退款。",
        "variants": ["退款时间"],
        "section": "退款",
    }
]
DELIVERY_MD = b"""# Delivery

## Standard delivery

Standard delivery takes 2 to 4 business days and costs 4.90 EUR. It is free from 50 EUR.

## Express delivery

Express delivery takes 1 business day and costs 9.90 EUR. Order before 14:00 CET. Express parcels are
not delivered on Sundays.
"""
GREETING = "Hello! Ask me about orders, delivery or returns."
SUGGESTIONS = ["How long do refunds take?", "What does express delivery cost?"]
SHOPPERS = 12


def main() -> None:
    """Migrate an empty database and write the rows."""
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    _help()
    _shop()


def _help() -> None:
    from tests.builders import RETURNS_MD, make_inbox, make_knowledge_base

    base = make_knowledge_base(
        returns_md=RETURNS_MD,
        delivery_md=DELIVERY_MD,
        faq_jsonl=_lines(FAQ),
        faq_zh_jsonl=_lines(FAQ_ZH),
    )
    make_inbox(
        base,
        key="larkmoor",
        greeting=GREETING,
        greeting_zh="您好！订单、配送或退货问题，都可以问我。",
        suggestions=SUGGESTIONS,
        suggestions_zh=["退款多久到账？"],
        allowed_origins=["http://localhost:*"],
    )
    lost = make_knowledge_base("Lost")
    lost.index_path, lost.indexed_revision = "indexes/lost", lost.revision
    lost.save()
    make_inbox(lost, key="lost")


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def _shop() -> None:
    from django.utils import timezone

    from recommender import catalogue, importing
    from recommender.conf import RecommenderSettings
    from services.conf import load
    from services.inference.engine import get_engine
    from tests.builders import SAMPLE

    now = timezone.now()
    folder = SAMPLE / "catalogue"
    users = (folder / "users.jsonl").read_text(encoding="utf-8").splitlines()[:SHOPPERS]
    known = {json.loads(line)["id"] for line in users}
    events = [
        line
        for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        if json.loads(line)["user"] in known
    ]
    last = max(datetime.fromisoformat(json.loads(line)["time"]) for line in events)
    age = now - timedelta(hours=1) - last
    importing.items(folder / "items.jsonl")
    with tempfile.TemporaryDirectory() as part:
        for name, lines in {"users": users, "events": events}.items():
            (Path(part) / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        importing.users(Path(part) / "users.jsonl")
        importing.behaviour(
            Path(part) / "events.jsonl", load(RecommenderSettings), now, move=lambda at: at + age
        )
    catalogue.embed_waiting(get_engine())


if __name__ == "__main__":
    main()
