"""The one table of what runs when, and why (Celery beat)."""

from __future__ import annotations

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {
    # Uploads whose message was lost or whose worker died: rows are the queue, this finds them.
    "chatbot-resume-ingest": {
        "task": "chatbot.tasks.resume_ingest",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    # Questions whose web process died before answering.
    "chatbot-answer-waiting": {
        "task": "chatbot.tasks.answer_waiting",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
}
