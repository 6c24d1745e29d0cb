"""The console's sidebar: what people do, in their words, in one place."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

NAVIGATION: list[dict[str, Any]] = [
    {
        "title": _("Support"),
        "separator": False,
        "items": [
            {
                "title": _("Conversations"),
                "icon": "forum",
                "link": reverse_lazy("admin:chatbot_conversation_changelist"),
            },
            {
                "title": _("Documents"),
                "icon": "description",
                "link": reverse_lazy("admin:chatbot_document_changelist"),
            },
            {
                "title": _("Passages"),
                "icon": "format_quote",
                "link": reverse_lazy("admin:chatbot_passage_changelist"),
            },
            {
                "title": _("Knowledge bases"),
                "icon": "library_books",
                "link": reverse_lazy("admin:chatbot_knowledgebase_changelist"),
            },
            {
                "title": _("Inboxes"),
                "icon": "inbox",
                "link": reverse_lazy("admin:chatbot_inbox_changelist"),
            },
        ],
    },
    {
        "title": _("Settings"),
        "separator": True,
        "items": [
            {
                "title": _("People"),
                "icon": "person",
                "link": reverse_lazy("admin:auth_user_changelist"),
            },
        ],
    },
]
