"""Play a file of dated news through the monitor, as fast as it goes or at a chosen speed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sentiment_monitor import replay
from sentiment_monitor.models import Alert, Replay, Story
from sentiment_monitor.tasks import play, play_soon
from services.console.storage import storage
from services.errors import SuiteError


class Command(BaseCommand):
    """`manage.py replay_news FILE [--speed HOURS_PER_SECOND] [--here] [--no-wait] [--json]`."""

    help = "Play dated news (JSONL) through feeds, stories, scores, surge and alerts, hour by hour."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="JSONL with id, source or publisher, title, body, url, "
                            "published_at, language")  # fmt: skip
        parser.add_argument("--speed", type=float, default=0.0, help="hours of news a second; 0: at once")
        parser.add_argument("--keep-dates", action="store_true", help="do not move the dates to end now")
        parser.add_argument("--here", action="store_true", help="play in this process, without a worker")
        parser.add_argument("--no-wait", action="store_true", help="queue it for a worker and return")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if replay.running() is not None:
            raise CommandError("A replay is being played already; wait for its end.")
        try:
            made = replay.start(
                replay.read_file(options["file"]),
                storage=storage(),
                now=timezone.now(),
                shift=not options["keep_dates"],
                hours_per_s=options["speed"],
            )
        except (SuiteError, OSError) as error:
            raise CommandError(str(error)) from error
        if not options["here"]:
            play_soon()
        if options["no_wait"]:
            self.stdout.write("Queued; the dashboard shows how far it is.")
            return
        self._wait(made, here=options["here"], quiet=options["json"])
        result = {
            "from": made.starts_at.isoformat(),
            "to": made.ends_at.isoformat(),
            "stories": Story.objects.filter(
                happened_at__gte=made.starts_at, happened_at__lte=made.ends_at
            ).count(),
            "alerts": [
                {"company": a.company.slug, "kind": a.kind, "started_at": a.started_at.isoformat()}
                for a in Alert.objects.filter(
                    started_at__gte=made.starts_at, started_at__lte=made.ends_at
                ).order_by("started_at")
            ],
        }
        self.stdout.write(json.dumps(result) if options["json"] else _told(result))

    def _wait(self, made: Replay, *, here: bool, quiet: bool) -> None:
        """Show progress until the replay is over."""
        while made.state == Replay.State.RUNNING:
            if here:
                play()
            else:
                time.sleep(0.5)
            made.refresh_from_db()
            if not quiet:
                bar = "█" * round(30 * made.progress)
                self.stderr.write(
                    f"\r{bar:<30} {100 * made.progress:5.1f} %  {made.cursor:%Y-%m-%d}", ending=""
                )
                self.stderr.flush()
        if not quiet:
            self.stderr.write("")


def _told(result: dict[str, Any]) -> str:
    lines = [f"{result['stories']} stories from {result['from']} to {result['to']}."]
    lines += [f"{a['started_at']}  {a['kind']}  {a['company']}" for a in result["alerts"]]
    return "\n".join(lines + ([] if result["alerts"] else ["No alert."]))
