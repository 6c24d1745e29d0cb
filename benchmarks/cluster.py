"""Does the engine on Ray Serve get faster with a second node, and does it lose calls when a node dies?

`python -m benchmarks.cluster [--json FILE] [--seconds S] [--rounds N]`

A real Ray cluster on this machine: a head, which has the controller and the HTTP proxy and no replica, and
worker nodes of one CPU each, so that every replica (one thread) has a node of its own.
1. Texts a second with one and with two replicas, in turns: 8 closed-loop connections, 8 texts a request, no
   text twice (`benchmarks.serve_load`). All of it shares this machine's cores: the clients and the proxy too.
2. 16 callers through a RemoteEngine while the node of one of the two replicas is killed, its raylet and all
   that runs on it; two thirds through, another node joins.
3. 16 callers while both replicas are exchanged for replicas with another setting.
Every call of 2 and 3 has to end right, or in a SuiteError within its deadline.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import httpx

from benchmarks.callers import CountingEngine, Crowd, Known, learn_vectors
from benchmarks.command import conditions, cores, write
from benchmarks.embed import SHORT_WORDS, passage
from benchmarks.serve import clients
from benchmarks.serve_load import Job, Outcome
from services.inference.conf import InferenceSettings

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS, TEXTS_A_REQUEST = 8, 8
CALLERS, MOST_TEXTS, DEADLINE_S = 16, 8, 20.0
QUIET = {"log_level": "ERROR", "enable_access_log": False}
READY_S = 90.0
ENVIRONMENT = {
    "INFERENCE_THREADS": "1",
    "INFERENCE_CACHE_MIB": "0",
    "HF_HUB_OFFLINE": "1",
    "LOG_LEVEL": "WARNING",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(ROOT),
}


class Nodes:
    """A Ray cluster on this machine with the inference service on it, until `close`."""

    def __init__(self, workers: int) -> None:
        os.environ.update(ENVIRONMENT)
        import ray
        from ray import serve
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.workers = [self._cluster.add_node(num_cpus=1) for _ in range(workers)]
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start("HeadOnly", {"host": "127.0.0.1", "port": self.port}, logging_config=QUIET)

    @property
    def url(self) -> str:
        """Where the proxy listens."""
        return f"http://127.0.0.1:{self.port}"

    def deploy(self, replicas: int, **environment: str) -> None:
        """Have so many replicas; another environment than before exchanges them. Waits until they serve."""
        from ray import serve

        from services.inference.cluster import Inference

        deployment: Any = Inference
        application = deployment.options(
            num_replicas=replicas,
            max_ongoing_requests=64,
            health_check_period_s=5,
            graceful_shutdown_timeout_s=20,
            ray_actor_options={"num_cpus": 1, "runtime_env": {"env_vars": environment}},
            logging_config=QUIET,
        ).bind()
        serve.run(application, name="inference", route_prefix="/")
        self.await_replicas(replicas)

    def replicas(self) -> int:
        """Replicas that serve now, as the controller knows."""
        from ray import serve

        deployments = serve.status().applications["inference"].deployments
        states = deployments["Inference"].replica_states
        return sum(count for state, count in states.items() if state == "RUNNING")

    def await_replicas(self, wanted: int) -> float:
        """Seconds until that many serve; exits the benchmark when they do not come."""
        started = time.monotonic()
        while time.monotonic() - started < READY_S:
            if self.replicas() == wanted:
                return time.monotonic() - started
            time.sleep(0.2)
        sys.exit(f"{wanted} replicas were asked for; {self.replicas()} came within {READY_S:.0f} s.")

    def kill(self) -> None:
        """End one worker's raylet at once; what it ran ends with it."""
        self._cluster.remove_node(self.workers.pop(), allow_graceful=False)

    def join(self) -> None:
        """Another worker."""
        self.workers.append(self._cluster.add_node(num_cpus=1))

    def close(self) -> None:
        """End everything."""
        import ray
        from ray import serve

        serve.shutdown()
        ray.shutdown()
        self._cluster.shutdown()


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the metrics here")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="length of the runs with callers (default 30)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of one and two replicas (default 3)")
    args = parser.parse_args()
    with redirect_stdout(StringIO()):  # Ray prints the last words of a node that dies
        metrics = measure(args.seconds, args.rounds)
    show(metrics)
    write(args.json, metrics)


def measure(seconds: float, rounds: int) -> dict[str, Any]:
    """The metrics, and under what conditions they were taken."""
    threads = cores()
    nodes = Nodes(workers=2)
    try:
        nodes.deploy(2)
        found = throughput(nodes, min(seconds, 6.0), rounds)
        nodes.deploy(2)
        engine = CountingEngine(InferenceSettings(inference_url=nodes.url, inference_deadline_s=DEADLINE_S))
        known = learn_vectors(engine)
        found |= {f"kill_{key}": value for key, value in node_dies(nodes, engine, known, seconds).items()}
        found |= {f"rollout_{key}": value for key, value in rollout(nodes, engine, known, seconds).items()}
        engine.close()
    finally:
        nodes.close()
    return found | {
        "callers": CALLERS,
        "deadline_s": DEADLINE_S,
        "seconds": seconds,
        "rounds": rounds,
        "load_per_core": round(os.getloadavg()[0] / threads, 2),
        **conditions(threads),
    }


def throughput(nodes: Nodes, seconds: float, rounds: int) -> dict[str, Any]:
    """One and two replicas in turns; who goes first changes every time."""
    rng = random.Random(0)
    texts = [passage(None, rng.randint(*SHORT_WORDS), rng) for _ in range(8192)]
    outcomes: dict[int, list[Outcome]] = {1: [], 2: []}
    start = 0
    with clients(texts) as load:
        assert load.stdin
        assert load.stdout
        for number in range(rounds):
            for replicas in (2, 1) if number % 2 == 0 else (1, 2):
                nodes.deploy(replicas)
                for length in (1.0, seconds):  # the first is for warmth and not counted
                    job = Job(
                        f"{nodes.url}/v1/embeddings",
                        None,
                        "base64",
                        CONNECTIONS,
                        TEXTS_A_REQUEST,
                        length,
                        start,
                    )
                    load.stdin.write(json.dumps(asdict(job)) + "\n")
                    load.stdin.flush()
                    outcome = Outcome(**json.loads(load.stdout.readline()))
                    start = outcome.next_start
                outcomes[replicas].append(outcome)
    speeds = {n: statistics.median(o.texts / o.seconds for o in rows) for n, rows in outcomes.items()}
    found: dict[str, Any] = {"scale_2_over_1": round(speeds[2] / speeds[1], 2)}
    for replicas, rows in outcomes.items():
        found[f"texts_per_s_{replicas}"] = round(speeds[replicas], 1)
        found[f"p50_ms_{replicas}"] = round(statistics.median(o.p50_ms for o in rows), 1)
        found[f"p95_ms_{replicas}"] = round(statistics.median(o.p95_ms for o in rows), 1)
        found[f"clients_cpu_{replicas}"] = round(statistics.median(o.cpu_share for o in rows), 2)
        found[f"errors_{replicas}"] = sum(o.errors for o in rows)
    return found


def node_dies(nodes: Nodes, engine: CountingEngine, known: Known, seconds: float) -> dict[str, Any]:
    """A node is killed at a third of the time, another joins at two thirds."""
    told: dict[str, Any] = {}

    def kill() -> None:
        nodes.kill()
        told["seconds_until_one_replica"] = round(nodes.await_replicas(1), 1)

    def join() -> None:
        nodes.join()
        told["seconds_until_two_again"] = round(nodes.await_replicas(2), 1)

    return under_load(nodes, engine, known, seconds, (kill, join)) | told


def rollout(nodes: Nodes, engine: CountingEngine, known: Known, seconds: float) -> dict[str, Any]:
    """Both replicas are exchanged at a third of the time; each ends what it has begun."""
    told: dict[str, Any] = {}

    def exchange() -> None:
        started = time.monotonic()
        nodes.deploy(2, ROLLOUT="2")
        told["seconds"] = round(time.monotonic() - started, 1)

    return under_load(nodes, engine, known, seconds, (exchange,)) | told


def under_load(
    nodes: Nodes,
    engine: CountingEngine,
    known: Known,
    seconds: float,
    happenings: Sequence[Callable[[], None]],
) -> dict[str, Any]:
    """The callers' outcomes while things happen, a third of the time apart."""
    engine.again = engine.answered_again = 0
    crowd = Crowd(
        engine, known, callers=CALLERS, deadline_s=DEADLINE_S, weights={"embed": 1}, most_texts=MOST_TEXTS
    )
    started = time.monotonic()
    crowd.start()
    for number, happening in enumerate(happenings, 1):
        time.sleep(max(0.0, started + number * seconds / 3 - time.monotonic()))
        happening()
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    found = crowd.stop().metrics()
    httpx.get(f"{nodes.url}/ready", timeout=30, trust_env=False).raise_for_status()
    return found | {"asked_again": engine.again, "answered_after_asking_again": engine.answered_again}


def show(metrics: dict[str, Any]) -> None:
    """Two tables: speed, and what came of the calls."""
    print(f"{'replicas':24}{'texts / s':>12}{'p50 ms':>10}{'p95 ms':>10}{'errors':>8}")
    for n in (1, 2):
        cells = [metrics[f"{key}_{n}"] for key in ("texts_per_s", "p50_ms", "p95_ms", "errors")]
        print(f"{n:<24}{cells[0]:>12}{cells[1]:>10}{cells[2]:>10}{cells[3]:>8}")
    print(f"{'two over one':24}{metrics['scale_2_over_1']:>12}\n")
    print(f"{'calls':30}{'node dies':>12}{'rollout':>12}")
    for key in (
        "calls",
        "right",
        "answered_after_asking_again",
        "typed_errors",
        "wrong",
        "untyped",
        "late",
        "hanging",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "longest_call_s",
    ):
        print(f"{key.replace('_', ' '):30}{metrics[f'kill_{key}']:>12}{metrics[f'rollout_{key}']:>12}")
    told = ("cpu", "cores", "load_per_core", "date", "commit", "seconds", "rounds")
    print("\n" + ", ".join(f"{key} {metrics[key]}" for key in told))


if __name__ == "__main__":
    main()
