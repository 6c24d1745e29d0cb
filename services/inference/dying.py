"""A loop that died takes its process along: a process that cannot infer is to be started anew, not kept.

Whoever supervises (compose, systemd, Ray) starts it again; `manage.py up` ends with it and says so.
"""

from __future__ import annotations

import os
import signal
import threading

from services.logs import get_logger

log = get_logger(__name__)

_DIE_AFTER_S = 10.0
_DIED = threading.Event()


def end_process() -> None:
    """In good order if possible; after some seconds at once, with the status 1."""
    _DIED.set()
    log.error("process_ends", reason="the inference loop has stopped")
    last_resort = threading.Timer(_DIE_AFTER_S, os._exit, args=(1,))
    last_resort.daemon = True
    last_resort.start()
    os.kill(os.getpid(), signal.SIGTERM)


def died() -> bool:
    """Whether this process ends because its loop died."""
    return _DIED.is_set()
