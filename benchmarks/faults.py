"""Does every call end right or in a typed error when models fail and servers are killed?

`python -m benchmarks.faults [--json FILE] [--seconds S] [--callers N] [--faults P] [--seed N]`

Two inference servers (`benchmarks.faulty_server`) of one thread each, whose model now and then raises,
returns numbers that are not finite, or ends its lane. N callers (half threads, half tasks; embed 1 to 32
texts, some rerank, some classify; every priority; a deadline of 10 s) ask them through one RemoteEngine.
Every 8 s one server, in turns, is killed (SIGKILL) and started again, as is one that ended of itself.
So many callers are more than two servers on two cores can answer in time: interactive calls go first, and
the others run into their deadlines.
At the end both have to answer, and the threads and sockets of the callers have to be gone.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.callers import GRACE_S, CountingEngine, Crowd, learn
from benchmarks.command import conditions, cores, write
from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine
from services.logs import configure

DEADLINE_S = 10.0
KILL_EVERY_S = 8.0
READY_S = 120.0
WEIGHTS = {"embed": 8, "rerank": 1, "classify": 1}
MOST_TEXTS = 32
ENVIRONMENT = {
    "INFERENCE_THREADS": "1",
    "INFERENCE_CACHE_MIB": "0",
    "INFERENCE_URL": "",
    "HF_HUB_OFFLINE": "1",
    "LOG_LEVEL": "ERROR",
}


class Server:
    """One server process, started anew whenever it has ended."""

    def __init__(self, faults: float, seed: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.faults = faults
        self.starts = 0
        self.killed = 0
        self.died = 0
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, with other dice than the last time."""
        self.starts += 1
        command = [sys.executable, "-m", "benchmarks.faulty_server", "--port", str(self.port)]
        dice = ["--faults", str(self.faults), "--deaths", str(self.faults / 5)]
        dice += ["--seed", str(self._seed + 1000 * self.starts)]
        self._process = subprocess.Popen(
            [*command, *dice],
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def restart_if_ended(self) -> None:
        """As a supervisor would."""
        if self._process is not None and self._process.poll() is not None:
            self.died += 1
            self.start()

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self.killed += 1

    def stop(self) -> None:
        """In good order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def answers(self, within_s: float) -> bool:
        """Whether it embeds a text, soon."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            self.restart_if_ended()
            try:
                if httpx.get(f"{self.url}/ready", timeout=10, trust_env=False).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        return False


def main() -> None:
    """Parse, measure, print, write; the exit status says whether every call ended as it has to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the metrics here")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the callers ask (default 60)")
    parser.add_argument("--callers", type=int, default=200, help="at once (default 200)")
    parser.add_argument("--faults", type=float, default=0.02, help="part of batches that fail (default .02)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    configure("ERROR", "console")
    metrics = measure(args.seconds, args.callers, args.faults, args.seed)
    show(metrics)
    write(args.json, metrics)
    broken = sum(metrics[key] for key in ("wrong", "untyped", "late", "hanging"))
    sys.exit(1 if broken or not metrics["both_answer_again"] else 0)


def measure(seconds: float, callers: int, faults: float, seed: int) -> dict[str, Any]:
    """The metrics, and under what conditions they were taken."""
    threads = cores()
    calm = LocalEngine(InferenceSettings(inference_threads=1, inference_cache_mib=0, inference_device="cpu"))
    try:
        known = learn(calm, seed=seed)
    finally:
        calm.close()
    servers = [Server(faults, seed + number) for number in range(2)]
    try:
        for server in servers:
            server.start()
        if not all(server.answers(READY_S) for server in servers):
            sys.exit("The servers did not become ready.")
        threads, sockets = threading.active_count(), open_sockets()
        engine = CountingEngine(InferenceSettings(inference_url=",".join(server.url for server in servers)))
        crowd = Crowd(
            engine,
            known,
            callers=callers,
            deadline_s=DEADLINE_S,
            weights=WEIGHTS,
            most_texts=MOST_TEXTS,
            seed=seed,
        )
        crowd.start()
        disturb(servers, seconds)
        found = crowd.stop().metrics()
        again = all(server.answers(READY_S) for server in servers)
        engine.close()
        time.sleep(1.0)
        found |= {
            "asked_again": engine.again,
            "answered_after_asking_again": engine.answered_again,
            "both_answer_again": again,
            "threads_left": threading.active_count() - threads,
            "sockets_left": open_sockets() - sockets,
            "servers_killed": sum(server.killed for server in servers),
            "servers_that_ended": sum(server.died for server in servers),
        }
    finally:
        for server in servers:
            server.stop()
    return found | {
        "callers": callers,
        "deadline_s": DEADLINE_S,
        "grace_s": GRACE_S,
        "faults": faults,
        "seconds": seconds,
        "seed": seed,
        "load_per_core": round(os.getloadavg()[0] / threads, 2),
        **conditions(threads),
    }


def disturb(servers: list[Server], seconds: float) -> None:
    """Kill one after the other, and start what has ended."""
    ends = time.monotonic() + seconds
    kill_at = time.monotonic() + KILL_EVERY_S
    turn = 0
    while time.monotonic() < ends:
        for server in servers:
            server.restart_if_ended()
        if time.monotonic() >= kill_at:
            victim = servers[turn % len(servers)]
            victim.kill()
            victim.start()
            turn += 1
            kill_at += KILL_EVERY_S
        time.sleep(0.1)


def open_sockets() -> int:
    """Sockets this process holds."""
    held = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held += os.readlink(entry).startswith("socket:")
        except OSError:  # the folder's own, closed by now
            continue
    return held


def show(metrics: dict[str, Any]) -> None:
    """What became of the calls."""
    first = ("calls", "right", "answered_after_asking_again", "typed_errors")
    errors = tuple(key for key in metrics if key.startswith("error_"))
    times = ("p50_ms", "p95_ms", "p99_ms", "longest_call_s", "servers_killed", "servers_that_ended")
    people = ("answered_interactive", "answered_normal", "answered_batch")
    rest = ("wrong", "untyped", "late", "hanging", "both_answer_again", "threads_left", "sockets_left")
    for key in (*first, *people, *errors, *times, *rest):
        print(f"{key.replace('_', ' '):34}{metrics[key]!s:>12}")
    if metrics["first_untyped"]:
        print(f"the first untyped: {metrics['first_untyped']}")
    told = (
        "callers",
        "deadline_s",
        "faults",
        "seconds",
        "cpu",
        "cores",
        "load_per_core",
        "date",
        "commit",
        "seed",
    )
    print("\n" + ", ".join(f"{key} {metrics[key]}" for key in told))


if __name__ == "__main__":
    main()
