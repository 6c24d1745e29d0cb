"""The one table of what runs when, and why (Celery beat)."""

from __future__ import annotations

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {
    # Feeds whose time has come; each has its own next look, this only finds them.
    "monitor-fetch-due": {
        "task": "sentiment_monitor.tasks.fetch_due",
        "schedule": 10.0,
        "options": {"expires": 20},
    },
    # Entries that came in, and hours that ended: labels, counts, surge, alerts.
    "monitor-process": {
        "task": "sentiment_monitor.tasks.process_waiting",
        "schedule": 20.0,
        "options": {"expires": 40},
    },
    # A replay goes on from its clock, also after its worker was killed.
    "monitor-play": {
        "task": "sentiment_monitor.tasks.play",
        "schedule": 3.0,
        "options": {"expires": 6},
    },
    # The outbox: alert emails that are due, for the first time or again.
    "monitor-send-due": {
        "task": "sentiment_monitor.tasks.send_due",
        "schedule": 10.0,
        "options": {"expires": 20},
    },
    # Items without a vector: a new item can be found by its words within ten seconds.
    "recommender-embed": {
        "task": "recommender.tasks.embed_items",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    # What goes together, and how much each source counts: ten minutes apart, when there are new events.
    "recommender-learn": {
        "task": "recommender.tasks.learn_behaviour",
        "schedule": 15.0,
        "options": {"expires": 30},
    },
    # Uploads whose message was lost or whose worker died: rows are the queue, this finds them.
    "chatbot-resume-ingest": {
        "task": "chatbot.tasks.resume_ingest",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    # Conflicts of passages that changed: it takes a minute where there are many, and nobody waits for it.
    "chatbot-compare-waiting": {
        "task": "chatbot.tasks.compare_waiting",
        "schedule": 30.0,
        "options": {"expires": 60},
    },
    # Web sites whose next reading has come, and those whose message was lost or whose worker died.
    "chatbot-read-due": {
        "task": "chatbot.tasks.read_due",
        "schedule": 10.0,
        "options": {"expires": 20},
    },
    # Training runs, imports and suggestions whose worker died or whose message was lost.
    "console-find-lost": {
        "task": "services.console.tasks.find_lost",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
    # Training that is to be done again: so many days after the last time, or after so many labels.
    "console-start-due": {
        "task": "services.console.tasks.start_due",
        "schedule": 60.0,
        "options": {"expires": 120},
    },
    # Whether new rows still look like those that the live models learned from: it proposes, people decide.
    "console-look-for-drift": {
        "task": "services.console.tasks.look_for_drift",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    # Passages and indexes that no kept version and no recent answer needs.
    "chatbot-clear-knowledge": {
        "task": "chatbot.tasks.clear_knowledge",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    # Questions whose web process died before answering.
    "chatbot-answer-waiting": {
        "task": "chatbot.tasks.answer_waiting",
        "schedule": 5.0,
        "options": {"expires": 10},
    },
}
