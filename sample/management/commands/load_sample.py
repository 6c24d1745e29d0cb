"""Load the sample company: knowledge base, watch-list with its month of news, shop and behaviour."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from chatbot import knowledge, training
from chatbot.models import Inbox, Intent, KnowledgeBase
from chatbot.parsing import MEDIA_TYPES
from recommender import importing as shop
from recommender.conf import RecommenderSettings
from recommender.models import Item
from sample.catalogue_file import FOLDER, INBOX_KEY
from sentiment_monitor import importing, replay
from sentiment_monitor.models import Recipient, Source, Story
from services.conf import CoreSettings, load
from services.console.storage import storage

NOT_KNOWLEDGE = {"questions.jsonl"}
TITLES = {"faq.csv": "Frequently asked questions", "faq_zh.jsonl": "常见问题"}


class Command(BaseCommand):
    """`manage.py load_sample [--if-empty]`."""

    help = "Load the sample company: its knowledge base and its chat inbox. A worker then reads the files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--if-empty", action="store_true", help="do nothing when there is data already")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_empty"] and (KnowledgeBase.objects.exists() or Item.objects.exists()):
            return
        self._knowledge()
        self._news()
        self._shop()

    def _knowledge(self) -> None:
        with transaction.atomic():
            knowledge_base, _made = KnowledgeBase.objects.get_or_create(name="Larkmoor help")
            inbox, _new = Inbox.objects.get_or_create(
                key=INBOX_KEY,
                defaults={
                    "name": "Larkmoor",
                    "knowledge_base": knowledge_base,
                    "greeting": "Hello! Ask me about orders, delivery, returns or our products.",
                    "greeting_zh": "您好！订单、配送、退货或商品问题，都可以问我。",
                    "suggestions": [
                        "How long do refunds take?",
                        "What does express delivery cost?",
                        "Which sleeping bag is warm enough at -5 °C?",
                    ],
                    "suggestions_zh": ["退款多久到账？", "配送需要几天？", "怎么成为会员？"],
                },
            )
            for line in (FOLDER / "intents.jsonl").read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                Intent.objects.get_or_create(inbox=inbox, name=row.pop("name"), defaults=row)
            training.sync(inbox)
        limit = load(CoreSettings).max_upload_mib * 2**20
        files = sorted(
            path
            for path in (FOLDER / "knowledge").iterdir()
            if path.suffix in MEDIA_TYPES and path.name not in NOT_KNOWLEDGE
        )
        for path in files:
            knowledge.receive(
                knowledge_base,
                path.name,
                path.read_bytes(),
                storage=storage(),
                max_bytes=limit,
                title=TITLES.get(path.name, ""),
            )
        self.stdout.write(f"Sample knowledge base: {len(files)} files queued; a worker reads them now.")

    def _news(self) -> None:
        """The watch-list, the publishers, whom to tell, and a replay of the month that ends now."""
        count = importing.companies(FOLDER / "news" / "companies.jsonl")
        for line in (FOLDER / "news" / "publishers.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            Source.objects.get_or_create(
                slug=row["slug"],
                defaults={"name": row["name"], "language": row["language"], "kind": Source.Kind.PUSH},
            )
        Recipient.objects.get_or_create(address="risk@larkmoor.example")
        if replay.running() is None and not Story.objects.exists():
            replay.start(
                replay.read_file(FOLDER / "news" / "entries.jsonl"), storage=storage(), now=timezone.now()
            )
        self.stdout.write(f"Sample news: {count} companies watched; a worker plays four weeks of news now.")

    def _shop(self) -> None:
        """Items, users and behaviour, the dates moved by whole weeks so that they end now."""
        folder = FOLDER / "catalogue"
        items = shop.items(folder / "items.jsonl").written
        users = shop.users(folder / "users.jsonl").written
        now = timezone.now()
        last = json.loads((folder / "events.jsonl").read_text(encoding="utf-8").rstrip().rsplit("\n", 1)[1])
        moved = ((now - datetime.fromisoformat(last["time"])) // timedelta(weeks=1)) * timedelta(weeks=1)
        done = shop.behaviour(
            folder / "events.jsonl", load(RecommenderSettings), now, move=lambda at: at + moved
        )
        self.stdout.write(f"Sample shop: {items} items, {users} users, {done.written} events.")
