"""Score a file of texts by a task's live model; killed anywhere, it goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from services.errors import InvalidInput, Overloaded, SuiteError
from services.inference.engine import Engine, get_engine
from services.inference.values import ClassScores, Pair, Priority
from services.training import batch_scoring
from services.training.order import Silent

_SHOWN_EVERY_S = 0.5
_TRIES_WHEN_BUSY = 60


class Command(BaseCommand):
    """`manage.py score_batch --task TASK --in FILE --out FILE [--rate R] [--chunk N] [--json]`."""

    help = (
        "Score a file of texts (JSONL or CSV with text, perhaps id and entity) by a task's live model. "
        "Its work lies in FILE.parts until all is done; started again, it goes on from there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--task", required=True)
        parser.add_argument("--in", dest="source", type=Path, required=True, help="a .jsonl or .csv file")
        parser.add_argument("--out", type=Path, required=True, help="the .jsonl file to write")
        parser.add_argument("--rate", type=float, default=None, help="at most so many rows a second")
        parser.add_argument("--chunk", type=int, default=batch_scoring.CHUNK, help="rows asked for at once")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        source, out = options["source"], options["out"]
        folder = out.with_name(f"{out.name}.parts")
        try:
            rows = batch_scoring.file_rows(source)
            if out.exists():
                raise InvalidInput(_("%(name)s exists already; give another --out.") % {"name": out.name})
            done = batch_scoring.score(
                rows,
                _asking(get_engine(), options["task"]),
                folder,
                about=f"{source.name} ({_fingerprint(source)}) by {options['task']}",
                chunk=options["chunk"],
                rate_per_s=options["rate"],
                watch=Silent() if options["json"] else _Bar(self._show),
                total=batch_scoring.count_rows(source),
            )
            batch_scoring.join(folder, out)
            batch_scoring.clear(folder)
        except (SuiteError, OSError) as error:
            raise CommandError(error.detail if isinstance(error, SuiteError) else str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError(
                _("Stopped; started again it goes on where it was."), returncode=130
            ) from error
        result = {
            "rows": done.rows,
            "unusable": done.unusable,
            "seconds": round(done.seconds, 2),
            "rows_per_s": round(done.rows_per_s, 1),
            "model_versions": list(done.model_versions),
        }
        if options["json"]:
            self.stdout.write(json.dumps(result))
            return
        self.stderr.write("")
        told = {"rows": done.rows, "unusable": done.unusable, "seconds": f"{done.seconds:.1f}"}
        self.stdout.write(_("%(rows)s rows, %(unusable)s without a usable text, %(seconds)s s.") % told)

    def _show(self, text: str) -> None:
        self.stderr.write(f"\r{text}\x1b[K", ending="")
        self.stderr.flush()


class _Bar(Silent):
    """Progress and time left, written at most twice a second."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._began = time.monotonic()
        self._first: int | None = None
        self._shown = 0.0

    def progress(self, done: int, total: int) -> None:
        """As the Watch says."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        if now - self._shown < _SHOWN_EVERY_S and done < total:
            return
        self._shown = now
        scored, seconds = done - self._first, now - self._began
        rate = scored / seconds if seconds > 0 else 0.0
        left = f"{(total - done) / rate:.0f}" if rate else "–"
        share = done / total if total else 1.0
        bar = "█" * round(24 * share)
        told = {"done": f"{done:,}", "total": f"{total:,}", "rate": f"{rate:.0f}", "left": left}
        said = _("%(done)s of %(total)s rows, %(rate)s a second, %(left)s s left") % told
        self._show(f"{bar:·<24} {share:4.0%}  {said}")


def _asking(engine: Engine, task: str) -> batch_scoring.Classify:
    """The live model, behind everybody who waits for an answer; a full queue is waited out."""

    def classify(pairs: Sequence[Pair]) -> ClassScores:
        for _try in range(_TRIES_WHEN_BUSY):
            try:
                return engine.classify(task, pairs, priority=Priority.BATCH)
            except Overloaded as error:
                time.sleep(min(5.0, error.retry_after_s))
        return engine.classify(task, pairs, priority=Priority.BATCH)

    return classify


def _fingerprint(path: Path) -> str:
    """Of the file's size and beginning: enough to notice that it is another file."""
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(1 << 16))
    digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()[:12]
