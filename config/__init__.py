"""The front hall: settings, addresses, the schedule. Wiring only, no logic."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
