"""Every file of a folder as a feed server would send it: read, refused cleanly, or crashed on.

`python -m benchmarks.feeds --data DIR [--json FILE] [--seed N]`

Each file is given to the product's own reader as it is, and then damaged: cut in half, with bytes
changed, with another encoding's bytes in it, and empty. A refusal is a SuiteError; anything else that
is raised is a crash. Floor: crashed = 0.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.command import arguments, write

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TYPES = {".json": "application/feed+json"}


def main() -> None:
    """Parse, count, print, write."""
    args = arguments(__doc__).parse_args()
    import django

    django.setup()
    metrics = measure(args.data, np.random.default_rng(args.seed))
    for name, value in metrics.items():
        print(f"{name:<24} {value}")
    write(args.json, metrics)


def measure(folder: Path, rng: np.random.Generator) -> dict[str, int]:
    """How many files, whole and damaged, were read, refused and crashed on, and the entries of the whole."""
    from sentiment_monitor import feeds
    from services.errors import SuiteError

    counts: Counter[str] = Counter()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content_type = TYPES.get(path.suffix, "")
        for kind, body in versions(path.read_bytes(), rng):
            prefix = "" if kind == "whole" else "damaged_"
            try:
                entries = feeds.parse(body, content_type)
            except SuiteError:
                counts[f"{prefix}refused_cleanly"] += 1
            except Exception as error:  # what is counted here is the finding
                counts["crashed"] += 1
                print(f"{path.name} ({kind}): {type(error).__name__}: {error}")
            else:
                counts[f"{prefix}parsed"] += 1
                counts["entries"] += len(entries) if kind == "whole" else 0
    names = ("parsed", "refused_cleanly", "crashed", "entries", "damaged_parsed", "damaged_refused_cleanly")
    return {name: counts[name] for name in names}


def versions(body: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """The file as it is, and damaged."""
    yield "whole", body
    yield "half", body[: len(body) // 2]
    changed = bytearray(body)
    for at in rng.integers(0, max(len(changed), 1), size=min(20, len(changed))):
        changed[int(at)] = int(rng.integers(0, 256))
    yield "changed", bytes(changed)
    yield "other encoding", body.replace(b"e", b"\xe9")
    yield "empty", b""


if __name__ == "__main__":
    main()
