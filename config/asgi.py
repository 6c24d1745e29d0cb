"""The ASGI application; loads the encoder in the background as soon as the web server is up."""

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


threading.Thread(target=_warm, name="warm-encoder", daemon=True).start()
