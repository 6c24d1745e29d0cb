"""A process of its own that promotes: `python -m tests.services.registry.promoting ROOT WHAT VERSION COUNT`.

`race` makes COUNT promotions by turns of VERSION and VERSION-b, trying again when another came first.
`die` is killed after the change is made and before live.json says so. `loop` goes on until it is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from services.errors import Conflict
from services.registry import history
from tests.services.registry.stores import NOW, TASK, local_store


def main() -> None:
    """As the module says; prints one line when it is ready."""
    root, what, version, count = sys.argv[1:5]
    store = local_store(Path(root))
    print("ready", flush=True)
    if what == "die":
        history.point = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        store.promote(TASK, version, NOW, by="the one that dies")
    done = 0
    while what == "loop" or done < int(count):
        try:
            store.promote(TASK, version if done % 2 else f"{version}-b", NOW, by=version)
        except Conflict:
            continue
        done += 1


if __name__ == "__main__":
    main()
