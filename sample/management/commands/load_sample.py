"""Load the sample company's knowledge base; a second run changes nothing that is there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from chatbot import knowledge
from chatbot.models import Inbox, KnowledgeBase
from chatbot.parsing import MEDIA_TYPES
from sample.catalogue_file import FOLDER
from sample.views import INBOX_KEY
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
        if options["if_empty"] and KnowledgeBase.objects.exists():
            return
        with transaction.atomic():
            knowledge_base, _made = KnowledgeBase.objects.get_or_create(name="Larkmoor help")
            Inbox.objects.get_or_create(
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
