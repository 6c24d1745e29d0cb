"""Start the whole suite: web server, workers and beat together, one Ctrl-C to stop them all."""

from __future__ import annotations

import secrets
import shlex
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandParser

from services.conf import CoreSettings, load
from services.console import pending
from services.errors import Misconfigured

OPERATOR = "operator"


class Command(BaseCommand):
    """`manage.py up`."""

    help = "Migrate, load the sample when the database is empty, then run web, workers and beat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-sample", action="store_true", help="start with an empty database")

    def handle(self, *args: Any, **options: Any) -> None:
        core = load(CoreSettings)
        _require_free_port(core.host, core.port)
        _require_servers(core)
        call_command("migrate", verbosity=0, interactive=False)
        password = _ensure_operator()
        if not options["no_sample"] and "load_sample" in get_commands():
            call_command("load_sample", if_empty=True)
        address = f"http://{'localhost' if core.host in {'127.0.0.1', '0.0.0.0'} else core.host}:{core.port}"  # noqa: S104
        threading.Thread(
            target=self._announce, args=(address, password), name="announce", daemon=True
        ).start()
        sys.exit(_run_together(core))

    def _announce(self, address: str, password: str | None) -> None:
        """Print the address once the suite can answer, and the login when it was just made."""
        started = time.monotonic()
        while not _is_ready(address):
            if time.monotonic() - started > 300:
                self.stderr.write(f"Not ready after 5 minutes; {address}/ready says why.")
                return
            time.sleep(0.3)
        while pending.count() and time.monotonic() - started < 300:
            time.sleep(0.3)
        lines = [
            f"Trefoil is ready:  {address}/shop/     the demo shop with its assistant",
            f"                   {address}/console/  the operators' console",
            f"                   {address}/api/v1/docs  the API",
        ]
        if password:
            lines += [
                "",
                f"Sign in as  {OPERATOR}  with the password  {password}",
                "It is shown this once; `manage.py changepassword operator` sets another.",
            ]
        lines += ["", "Ctrl-C stops everything."]
        width = max(map(len, lines))
        frame = "─" * (width + 2)
        body = "\n".join(f"│ {line:<{width}} │" for line in lines)
        self.stdout.write(f"\n┌{frame}┐\n{body}\n└{frame}┘\n")
        self.stdout.flush()  # a log file or a pipe is to have it now


def web_command(host: str, port: int) -> list[str]:
    """The web server's command line; what measures the product starts it in the same way."""
    served = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", host, "--port", str(port)]
    return [*served, "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]


def _ensure_operator() -> str | None:
    """Make the first operator with a random password, which is returned; None when there are people."""
    people = get_user_model()
    if people.objects.exists():
        return None
    password = secrets.token_urlsafe(12)
    people.objects.create_superuser(OPERATOR, password=password)  # type: ignore[attr-defined]
    return password


def _run_together(core: CoreSettings) -> int:
    """Run the processes until one ends or Ctrl-C; the exit code of the first that failed."""
    from honcho.manager import Manager

    python = sys.executable
    celery = f"{python} -m celery -A config --quiet"
    manager = Manager()
    manager.add_process(
        "web",
        shlex.join(web_command(core.host, core.port)),
    )
    alone = "--loglevel warning --without-gossip --without-mingle --without-heartbeat"
    manager.add_process(
        "worker",
        f"{celery} worker --queues default,alerts --hostname worker@%h --pool threads "
        f"--concurrency {core.worker_concurrency} {alone}",
    )
    manager.add_process(  # one thread sees a training run through, the other does imports meanwhile
        "trainer",
        f"{celery} worker --queues gpu,batch --hostname trainer@%h --pool threads --concurrency 2 {alone}",
    )
    manager.add_process("beat", f"{celery} beat --loglevel warning")
    manager.loop()
    return int(manager.returncode or 0)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=10) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _require_servers(core: CoreSettings) -> None:
    """The database and Redis answer, or the start stops by name."""
    from django.db import OperationalError, connection

    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise Misconfigured(
            "DATABASE_URL: the database does not answer. "
            "Start it, or correct host, port, name, user and password."
        ) from error
    if core.redis_url:
        import redis

        try:
            redis.Redis.from_url(core.redis_url, socket_connect_timeout=5.0).ping()
        except redis.RedisError as error:
            raise Misconfigured(
                "REDIS_URL: the Redis server does not answer. Start it, or correct host, port and password."
            ) from error


def _require_free_port(host: str, port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Misconfigured(
                f"PORT: {port} on {host} cannot be used ({error.strerror}). "
                "Stop what uses it, or set PORT to a free one."
            ) from error
