"""Structured logs: an event name and fields, for people or for collectors.

`log = get_logger(__name__)`; `log.info("document_ingested", document=3, passages=12)`.
Nobody's words go above DEBUG: events carry ids, counts and codes.
"""

from __future__ import annotations

import logging
import logging.config
import os
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str, fmt: str) -> None:
    """Send structlog's and the standard library's records to stderr in one format.

    transformers has a handler and a level of its own; its advice to programmers is left out unless asked for.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "suite": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "suite"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                "uvicorn.access": {"level": "WARNING"},
                "httpx": {"level": "WARNING"},
                "jieba": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "kombu": {"level": "ERROR"},
                "faiss": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
            },
        }
    )


def get_logger(name: str) -> Any:
    """A structlog logger bound to a module's name."""
    return structlog.stdlib.get_logger(name)
