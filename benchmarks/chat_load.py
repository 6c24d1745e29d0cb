"""How long does a visitor wait for an answer, and how much memory does it take?

`python -m benchmarks.chat_load [--passages N] [--visitors N] [--questions N] [--json FILE] [--seed N]`

Makes N passages of a made company (`benchmarks.help_texts` says how), reads them into a real knowledge base
in a temporary folder with the encoder that the settings name, starts the web server as `manage.py up` does
(SQLite, no Redis, no language model, the workers left out: they take no part in an answer) and sends visitors
to it over HTTP: each opens a conversation, follows its events as the widget does and asks its next question
when the last one is answered. Every tenth question the visitor loses the stream and comes back with
`Last-Event-ID`. Nothing is read from a folder: there is no --data.

    answer_*_ms   from the question's POST to the whole answer's event, read and parsed
    event_p95_ms  from the clock reading in an answer's event, taken just before its transaction is committed,
                  to its arrival over the stream
    lost, duplicated   events of the logs that never came, or came twice
    server_cpu_ms CPU that the web process used a question, on all cores: what a busy machine changes little
    rss_mib       of the web process at the end; peak_rss_mib: the most it ever had

Then the questions are answered once more in this process, each part on its own clock (`split_ms`, means a
question). Clients and server share the machine. Floor: P95 of 150 ms with one visitor at 10,000 passages,
and 1.5 GB.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Any

import httpx

from benchmarks.command import arguments, conditions, cores, write
from benchmarks.help_texts import Passage, files, passages, questions

FLOOR_MS, FLOOR_MIB = 150.0, 1430.0
ROOT = Path(__file__).resolve().parents[1]
INBOX = "load"
WARM_QUESTIONS = 5
A_CONVERSATION = 10
"""Questions in one conversation; then the visitor opens another."""
READY_S = 300
PATIENCE_S = 60.0
SPLIT_QUESTIONS = 100
_OWN = ("DATABASE_URL", "REDIS_URL", "GENERATOR", "GENERATOR_URL", "STORAGE_URL", "SECRET_KEY", "RERANKER")


@dataclass(slots=True)
class Seen:
    """What the visitors of a run met. Times in milliseconds."""

    answers: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    duplicated: int = 0


@dataclass(slots=True)
class Visitor:
    """One visitor: a conversation, its stream, and what came over it."""

    client: httpx.AsyncClient
    seen: Seen
    measured: bool
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    received: list[int] = field(default_factory=list)
    answers: asyncio.Queue[tuple[int, float, str]] = field(default_factory=asyncio.Queue)
    stream: asyncio.Task[None] | None = None

    async def visit(self, asked: Sequence[str], name: str) -> None:
        """Open a conversation, ask, compare what came with the log."""
        made = await self.client.post("/api/v1/chatbot/conversations", json={"inbox": INBOX, "locale": "en"})
        made.raise_for_status()
        self.path = f"/api/v1/chatbot/conversations/{made.json()['id']}"
        self.headers = {"Authorization": f"Bearer {made.json()['token']}"}
        self.stream = asyncio.create_task(self.follow())
        for number, text in enumerate(asked):
            if number % 10 == 9:
                await self.come_back()
            await self.ask(text, f"{name}-{number}")
        self.stream.cancel()
        log = (await self.client.get(f"{self.path}/messages", headers=self.headers)).json()["events"]
        came = Counter(self.received)
        self.seen.lost += sum(event["seq"] not in came for event in log)
        self.seen.duplicated += sum(count - 1 for count in came.values())

    async def ask(self, text: str, key: str) -> None:
        """Send a question and wait for its answer."""
        began = time.perf_counter()
        body = {"text": text, "idempotency_key": key}
        sent = await self.client.post(f"{self.path}/messages", json=body, headers=self.headers)
        sent.raise_for_status()
        posted = time.perf_counter()
        while True:
            to, at, outcome = await asyncio.wait_for(self.answers.get(), PATIENCE_S)
            if to == sent.json()["seq"]:
                break
        if self.measured:
            self.seen.answers.append(1000 * (at - began))
            self.seen.posts.append(1000 * (posted - began))
            self.seen.outcomes[outcome] += 1

    async def come_back(self) -> None:
        """Lose the stream and follow again from the last event that came."""
        assert self.stream is not None
        self.stream.cancel()
        with suppress(asyncio.CancelledError):
            await self.stream
        self.stream = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        """Read events until cancelled."""
        headers = {**self.headers, "Last-Event-ID": str(max(self.received, default=0))}
        async with self.client.stream("GET", f"{self.path}/events", headers=headers) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.take(json.loads(line.removeprefix("data: ")), time.perf_counter())

    def take(self, event: dict[str, Any], at: float) -> None:
        """Note an event that has come at `at`."""
        if "seq" not in event:
            return
        late_s = (datetime.now(UTC) - datetime.fromisoformat(event["created_at"])).total_seconds()
        self.received.append(event["seq"])
        if event["kind"] in {"bot_message", "failed"}:
            self.answers.put_nowait((event["reply_to"], at, event.get("outcome", "failed")))
            if self.measured:
                self.seen.events.append(1000 * late_s)


async def play(address: str, asked: Sequence[str], visitors: int, *, measured: bool = True) -> Seen:
    """All questions, shared out among so many visitors who ask at the same time."""
    seen = Seen()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)

    async def one(own: Sequence[str], number: int) -> None:
        timeout = httpx.Timeout(PATIENCE_S)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=timeout) as client:
            for at in range(0, len(own), A_CONVERSATION):
                visitor = Visitor(client, seen, measured)
                await visitor.visit(own[at : at + A_CONVERSATION], f"{number}-{at}")

    await asyncio.gather(*(one(asked[number::visitors], number) for number in range(visitors)))
    return seen


def learn(made: Sequence[Passage]) -> dict[str, float]:
    """A knowledge base of these passages with its live version, and how long that took, in seconds."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from django.utils import timezone

    from chatbot import knowledge
    from chatbot.models import Document, Inbox, KnowledgeBase, Passage, Piece
    from services.console.storage import storage
    from services.inference.engine import get_engine

    began = time.perf_counter()
    base, is_new = KnowledgeBase.objects.get_or_create(name="Load")
    if not is_new:
        return {"passages": Passage.objects.filter(retired_at=None).count(), "pieces": Piece.objects.count()}
    Inbox.objects.create(key=INBOX, name="Load", knowledge_base=base)
    for name, content in files(list(made)):
        document = knowledge.receive(base, name, content, storage=storage(), max_bytes=2**26)
        claimed = knowledge.claim(document.pk, timezone.now(), timedelta(hours=1))
        if claimed is None or not knowledge.ingest(claimed, get_engine(), storage(), timezone.now):
            raise SystemExit(f"{name} was not read: {Document.objects.get(pk=document.pk).failure}")
    read = time.perf_counter()
    knowledge.build_index(base, get_engine(), storage(), timezone.now())
    built = time.perf_counter()
    return {
        "passages": Passage.objects.filter(retired_at=None).count(),
        "pieces": Piece.objects.count(),
        "read_s": round(read - began, 1),
        "build_s": round(built - read, 1),
    }


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """The web server on this data, up and warm: its address and process id. It is stopped at the end."""
    from services.console.management.commands.up import web_command

    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = web_command("127.0.0.1", port)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, process, folder)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    ends = time.monotonic() + READY_S
    while time.monotonic() < ends and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{address}/ready", timeout=10) as answer:
            if answer.status == 200:
                return
        time.sleep(0.25)
    raise SystemExit(
        "The server did not start:\n" + (folder / "server.log").read_text(errors="replace")[-3000:]
    )


def memory_mib(pid: int) -> tuple[float, float]:
    """(resident now, the most there ever was), of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kib = {name: float(line.split()[1]) for line in status.splitlines() if (name := line.split(":")[0]) in
           {"VmRSS", "VmHWM"}}  # fmt: skip
    return round(kib["VmRSS"] / 1024, 1), round(kib["VmHWM"] / 1024, 1)


def cpu_s(pid: int) -> float:
    """Seconds of CPU a process has used, on all cores together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many are not above."""
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1) if ordered else 0.0


def run(folder: Path, made: Sequence[Passage], args: Any) -> dict[str, Any]:
    """Everything, in a folder that is thrown away."""
    told: dict[str, Any] = learn(made)
    asked = questions(list(made), args.questions + WARM_QUESTIONS + SPLIT_QUESTIONS, args.seed)
    split_on, asked = asked[:SPLIT_QUESTIONS], asked[SPLIT_QUESTIONS:]
    with serving(folder) as (address, pid):
        first = asyncio.run(play(address, asked[:1], 1))
        asyncio.run(play(address, asked[1:WARM_QUESTIONS], 1, measured=False))
        load_before, cpu_before = os.getloadavg()[0], cpu_s(pid)
        seen = asyncio.run(play(address, asked[WARM_QUESTIONS:], args.visitors))
        rss, peak = memory_mib(pid)
        spent_s = cpu_s(pid) - cpu_before
    from benchmarks.chat_split import split

    return {
        "answer_p50_ms": percentile(seen.answers, 0.5),
        "answer_p95_ms": percentile(seen.answers, 0.95),
        "answer_p99_ms": percentile(seen.answers, 0.99),
        "event_p95_ms": percentile(seen.events, 0.95),
        "post_p95_ms": percentile(seen.posts, 0.95),
        "server_cpu_ms": round(1000 * spent_s / max(len(seen.answers), 1), 1),
        "first_answer_ms": percentile(first.answers, 1.0),
        "lost": seen.lost,
        "duplicated": seen.duplicated,
        "rss_mib": rss,
        "peak_rss_mib": peak,
        "visitors": args.visitors,
        "questions": len(seen.answers),
        "outcomes": dict(seen.outcomes.most_common()),
        "load_before": round(load_before, 2),
        **told,
        "split_ms": split(split_on),
        **conditions(cores()),
    }


def table(told: dict[str, Any]) -> list[str]:
    """What is printed."""
    return [
        f"{told['passages']} passages in {told['pieces']} pieces, {told['questions']} questions, "
        f"{told['visitors']} at a time; load before {told['load_before']}; "
        f"{told['cpu']}, {told['cores']} cores",
        f"answer  p50 {told['answer_p50_ms']} ms   p95 {told['answer_p95_ms']} ms (floor {FLOOR_MS:.0f})   "
        f"p99 {told['answer_p99_ms']} ms   the first of all {told['first_answer_ms']} ms",
        f"CPU of the server {told['server_cpu_ms']} ms a question",
        f"event   p95 {told['event_p95_ms']} ms   lost {told['lost']}   duplicated {told['duplicated']}",
        f"memory  {told['rss_mib']} MiB, at most {told['peak_rss_mib']} MiB (floor {FLOOR_MIB:.0f})",
        f"outcomes {told['outcomes']}",
        "one question in this process, ms: "
        + ", ".join(f"{name} {value}" for name, value in told["split_ms"].items()),
    ]


def main() -> None:
    parser = arguments(__doc__, required=False)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--visitors", type=int, default=1, help="how many ask at the same time")
    parser.add_argument("--questions", type=int, default=300, help="questions in all")
    parser.add_argument(
        "--folder", type=Path, help="keep the knowledge base here, and use the one that is there"
    )
    args = parser.parse_args()
    for name in _OWN:
        os.environ.pop(name, None)
    with nullcontext(args.folder) if args.folder else tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DATA_DIR": str(folder), "LOG_LEVEL": "WARNING", "DJANGO_SETTINGS_MODULE": "config.settings",
            "ALLOWED_HOSTS": "127.0.0.1",
        }  # fmt: skip
        told = run(Path(folder), passages(args.passages, args.seed), args)
    sys.stdout.write("\n".join(table(told)) + "\n")
    write(args.json, told)


if __name__ == "__main__":
    main()
