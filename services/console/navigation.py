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
                "title": _("Web sites"),
                "icon": "travel_explore",
                "link": reverse_lazy("admin:chatbot_source_changelist"),
            },
            {
                "title": _("Passages"),
                "icon": "format_quote",
                "link": reverse_lazy("admin:chatbot_passage_changelist"),
            },
            {
                "title": _("Intents"),
                "icon": "alt_route",
                "link": reverse_lazy("admin:chatbot_intent_changelist"),
            },
            {
                "title": _("Knowledge bases"),
                "icon": "library_books",
                "link": reverse_lazy("admin:chatbot_knowledgebase_changelist"),
            },
            {
                "title": _("Knowledge versions"),
                "icon": "history_edu",
                "link": reverse_lazy("admin:chatbot_knowledgeversion_changelist"),
            },
            {"title": _("Terms"), "icon": "menu_book", "link": reverse_lazy("admin:chatbot_term_changelist")},
            {
                "title": _("Evaluation cases"),
                "icon": "fact_check",
                "link": reverse_lazy("admin:chatbot_evaluationcase_changelist"),
            },
            {"title": _("Upkeep"), "icon": "rule", "link": reverse_lazy("chatbot-upkeep")},
            {"title": _("Bench"), "icon": "biotech", "link": reverse_lazy("chatbot-bench")},
            {
                "title": _("Inboxes"),
                "icon": "inbox",
                "link": reverse_lazy("admin:chatbot_inbox_changelist"),
            },
        ],
    },
    {
        "title": _("Monitor"),
        "separator": True,
        "items": [
            {"title": _("Dashboard"), "icon": "monitoring", "link": reverse_lazy("monitor-dashboard")},
            {
                "title": _("Stories"),
                "icon": "newspaper",
                "link": reverse_lazy("admin:sentiment_monitor_story_changelist"),
            },
            {
                "title": _("Companies"),
                "icon": "apartment",
                "link": reverse_lazy("admin:sentiment_monitor_company_changelist"),
            },
            {
                "title": _("Alerts"),
                "icon": "notifications_active",
                "link": reverse_lazy("admin:sentiment_monitor_alert_changelist"),
            },
            {
                "title": _("Sources"),
                "icon": "rss_feed",
                "link": reverse_lazy("admin:sentiment_monitor_source_changelist"),
            },
            {
                "title": _("Recipients"),
                "icon": "contact_mail",
                "link": reverse_lazy("admin:sentiment_monitor_recipient_changelist"),
            },
            {
                "title": _("Outbox"),
                "icon": "outbox",
                "link": reverse_lazy("admin:sentiment_monitor_delivery_changelist"),
            },
        ],
    },
    {
        "title": _("Recommender"),
        "separator": True,
        "items": [
            {
                "title": _("Catalogue"),
                "icon": "inventory_2",
                "link": reverse_lazy("admin:recommender_item_changelist"),
            },
            {
                "title": _("Users"),
                "icon": "group",
                "link": reverse_lazy("admin:recommender_person_changelist"),
            },
            {
                "title": _("Event health"),
                "icon": "health_and_safety",
                "link": reverse_lazy("recommender-health"),
            },
        ],
    },
    {
        "title": _("Models"),
        "separator": True,
        "items": [
            {
                "title": _("Data sets"),
                "icon": "dataset",
                "link": reverse_lazy("admin:console_dataset_changelist"),
            },
            {
                "title": _("Runs"),
                "icon": "model_training",
                "link": reverse_lazy("admin:console_trainingrun_changelist"),
            },
            {
                "title": _("Versions"),
                "icon": "published_with_changes",
                "link": reverse_lazy("admin:console_modelversion_changelist"),
            },
            {
                "title": _("Schedules"),
                "icon": "event_repeat",
                "link": reverse_lazy("admin:console_trainingschedule_changelist"),
            },
            {
                "title": _("Serving"),
                "icon": "speed",
                "link": reverse_lazy("admin:console_engineprocess_changelist"),
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
            {
                "title": _("API keys"),
                "icon": "key",
                "link": reverse_lazy("admin:console_apikey_changelist"),
            },
            {
                "title": _("Audit log"),
                "icon": "history",
                "link": reverse_lazy("admin:console_auditentry_changelist"),
            },
        ],
    },
]
