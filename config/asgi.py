"""The ASGI application; loads encoder and indexes in the background as soon as the web server is up."""

from __future__ import annotations

import os
import threading

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()


def _warm() -> None:
    from services.errors import SuiteError
    from services.inference.engine import get_engine
    from services.logs import get_logger

    try:
        get_engine().warm()
    except SuiteError as error:  # /ready keeps saying so; the console stays usable
        get_logger(__name__).error("encoder_not_loaded", code=error.code, detail=error.detail)
    else:
        _warm_search()


def _warm_search() -> None:
    """Only for the sake of the first visitor: whatever goes wrong is told when somebody asks."""
    from django.db import Error, connections

    from chatbot import retrieval
    from services.console.storage import storage
    from services.errors import SuiteError
    from services.inference.engine import get_engine
    from services.logs import get_logger

    try:
        retrieval.warm(get_engine(), storage())
    except (SuiteError, Error) as error:
        get_logger(__name__).warning("search_not_warmed", error=type(error).__name__)
    finally:
        connections.close_all()


threading.Thread(target=_warm, name="warm-encoder", daemon=True).start()
