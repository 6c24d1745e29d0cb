"""How many texts a second does the inference server embed over HTTP, next to another server?

`python -m benchmarks.serve [--data DIR] [--peer-url URL] [--url URL] [--json FILE] [--seed N]
[--seconds S] [--rounds N]`

Ours is `services.inference.server` as it is started in production, its cache of answers off, or what
listens at --url; the peer is any OpenAI-compatible server at --peer-url. Both are up for the whole run,
but only one has work at a time: they take turns in short rounds, so that a busy machine slows them
alike, and who goes first changes with every round. A figure is the median of its rounds.

Closed-loop clients (`benchmarks.serve_load`, a process of their own) keep 1, 16 and 64 connections busy
with one text a request, then 2 connections with 256 texts a request. No request repeats a text, so no
cache helps either side. Texts are the lines of `texts.txt` in DIR or, without it, 8 to 20 words drawn
from a list. Answers are asked for as JSON numbers from both; ours also as base64. Floor: ratio 3.0 in
every setting. Before that, both sides embed the same 64 texts, and the least cosine is told.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, cores, write
from benchmarks.embed import SHORT_WORDS, passage
from benchmarks.serve_load import Job, Outcome

SETTINGS = {"c1": (1, 1), "c16": (16, 1), "c64": (64, 1), "bulk": (2, 256)}
"""Connections and texts a request."""
FLOOR = 3.0
COMPARED = 64
GENERATED = 8192
READY_S = 180
WARM_S = 1.0


@dataclass(slots=True)
class Side:
    """One server under test. `next_text` moves on with every request, so that none repeats a text."""

    name: str
    url: str
    model: str | None
    next_text: int = COMPARED


def main() -> None:
    """Parse, measure, print, write."""
    parser = arguments(__doc__, "a folder that may hold texts.txt", required=False)
    parser.add_argument("--peer-url", help="an OpenAI-compatible server to compare with")
    parser.add_argument("--url", help="a running server of ours (default: start one)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default 3)")
    args = parser.parse_args()
    texts = corpus(args.data, args.seed)
    peer = [find("peer", args.peer_url)] if args.peer_url else []
    with running(args.url) as url:
        sides = [find("trefoil", url), *peer]
        metrics = measure(sides, texts, args.seconds, args.rounds) | {"seed": args.seed}
    show(metrics)
    write(args.json, metrics)


def corpus(data: Path | None, seed: int) -> list[str]:
    """The lines of texts.txt, or generated texts, in an order the seed decides."""
    rng = random.Random(seed)
    path = data / "texts.txt" if data else None
    lines: list[str] = []
    if path and path.is_file():
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    texts = [line for line in dict.fromkeys(lines) if line]
    if not texts:
        texts = [passage(None, rng.randint(*SHORT_WORDS), rng) for _ in range(GENERATED)]
    rng.shuffle(texts)
    return texts


@contextmanager
def running(url: str | None) -> Iterator[str]:
    """The address of our server: the one given, or of one that runs until the end of the block."""
    if url:
        yield url
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "services.inference.server", "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=os.environ | {"INFERENCE_CACHE_MIB": "0"}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            if not _ready(server, f"http://127.0.0.1:{port}/ready"):
                log.seek(0)
                sys.exit(f"The server did not become ready.\n{log.read().decode(errors='replace')[-3000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _ready(server: subprocess.Popen[bytes], url: str) -> bool:
    for _ in range(READY_S * 2):
        if server.poll() is not None:
            return False
        try:
            if httpx.get(url, timeout=10, trust_env=False).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    return False


def find(name: str, url: str) -> Side:
    """The server at URL or URL/v1, asked for the first model it lists; exits when there is none."""
    met = []
    for base in (url.rstrip("/"), url.rstrip("/") + "/v1"):
        side = Side(name, base + "/embeddings", None)
        try:
            listed = httpx.get(base + "/models", timeout=30, trust_env=False)
            models = listed.json().get("data", []) if listed.status_code == 200 else []
            side.model = models[0]["id"] if models else None
            answer = _post(side, ["Is anyone there?"], "float")
        except httpx.TransportError as error:
            sys.exit(f"Nobody answers at {url}: {error}")
        if answer.status_code == 200:
            return side
        met.append(f"{side.url} answered {answer.status_code} {answer.text[:300]}")
    sys.exit("\n".join(["No embeddings here:", *met]))


def _post(side: Side, texts: Sequence[str], encoding: str) -> httpx.Response:
    body = {"input": list(texts), "encoding_format": encoding} | ({"model": side.model} if side.model else {})
    return httpx.post(side.url, json=body, timeout=120, trust_env=False)


def vectors(side: Side, texts: Sequence[str], encoding: str) -> NDArray[np.float32]:
    """What the server answers, as it says it. Returns float32 (n, dim), normalised here."""
    rows = sorted(
        _post(side, texts, encoding).raise_for_status().json()["data"], key=lambda row: row["index"]
    )
    found = [
        np.frombuffer(base64.b64decode(row["embedding"]), np.float32)
        if isinstance(row["embedding"], str)
        else np.asarray(row["embedding"], np.float32)
        for row in rows
    ]
    vecs = np.stack(found)
    return vecs / np.linalg.norm(vecs, axis=1, keepdims=True)


def measure(sides: Sequence[Side], texts: Sequence[str], seconds: float, rounds: int) -> dict[str, Any]:
    """The metrics, and under what conditions they were taken. `sides`: ours, then perhaps the peer."""
    threads = cores()
    ours, shown = sides[0], texts[:COMPARED]
    vecs = vectors(ours, shown, "float")
    others = [vectors(ours, shown, "base64"), *(vectors(peer, shown, "float") for peer in sides[1:])]
    metrics: dict[str, Any] = {}
    with clients(texts) as load:
        for setting in SETTINGS:
            for side in sides:
                turn(load, side, setting, "float", WARM_S)
        for setting in SETTINGS:
            outcomes: list[list[Outcome]] = [[] for _ in sides]
            for number in range(rounds):
                for at in range(len(sides)) if number % 2 else reversed(range(len(sides))):
                    outcomes[at].append(turn(load, sides[at], setting, "float", seconds))
            for prefix, rows in zip(("", "peer_"), outcomes, strict=False):
                metrics |= summary(prefix, setting, rows)
        base64_rows = [turn(load, ours, "bulk", "base64", seconds) for _ in range(rounds)]
        metrics |= summary("", "bulk_base64", base64_rows)
    if len(sides) > 1:
        for setting in SETTINGS:
            key = f"texts_per_s_{setting}"
            metrics[f"ratio_{key}"] = round(metrics[key] / max(metrics[f"peer_{key}"], 0.1), 2)
        metrics |= {"peer_errors": _errors(metrics, "peer_errors_"), "peer_model": sides[1].model}
    return metrics | {
        "errors": _errors(metrics, "errors_"),
        "min_cosine_base64": round(float(np.sum(vecs * others[0], axis=1).min()), 5),
        **({"min_cosine": round(float(np.sum(vecs * others[1], axis=1).min()), 5)} if others[1:] else {}),
        "model": ours.model,
        "seconds": seconds,
        "rounds": rounds,
        "load_per_core": round(os.getloadavg()[0] / threads, 2),
        **conditions(threads),
    }


def _errors(metrics: dict[str, Any], prefix: str) -> int:
    return sum(value for key, value in metrics.items() if key.startswith(prefix))


@contextmanager
def clients(texts: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The process of the clients, with the texts handed over."""
    command = [sys.executable, "-m", "benchmarks.serve_load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin
        load.stdin.write(json.dumps(list(texts)) + "\n")
        yield load
        load.stdin.close()


def turn(load: subprocess.Popen[str], side: Side, setting: str, encoding: str, seconds: float) -> Outcome:
    """One round of one side; errors are told at once."""
    connections, per_request = SETTINGS[setting]
    job = Job(side.url, side.model, encoding, connections, per_request, seconds, side.next_text)
    assert load.stdin
    assert load.stdout
    load.stdin.write(json.dumps(asdict(job)) + "\n")
    load.stdin.flush()
    line = load.stdout.readline()
    if not line:
        sys.exit("The clients' process ended early.")
    outcome = Outcome(**json.loads(line))
    side.next_text = outcome.next_start
    if outcome.errors:
        print(f"{side.name}, {setting}: {outcome.errors} errors, the first: {outcome.first_error}")
    return outcome


def summary(prefix: str, setting: str, rounds: Sequence[Outcome]) -> dict[str, Any]:
    """The medians of a setting's rounds; its errors are added up."""
    return {
        f"{prefix}texts_per_s_{setting}": round(statistics.median(r.texts / r.seconds for r in rounds), 1),
        f"{prefix}p50_ms_{setting}": round(statistics.median(r.p50_ms for r in rounds), 2),
        f"{prefix}p95_ms_{setting}": round(statistics.median(r.p95_ms for r in rounds), 2),
        f"{prefix}clients_cpu_{setting}": round(statistics.median(r.cpu_share for r in rounds), 3),
        f"{prefix}errors_{setting}": sum(r.errors for r in rounds),
    }


def show(metrics: dict[str, Any]) -> None:
    """The table: ours, the peer, the ratio, the floor."""
    print(f"{'':26}{'trefoil':>12}{'peer':>12}{'ratio':>8}{'floor':>8}")
    for setting in (*SETTINGS, "bulk_base64"):
        for label, key in (("texts / s", "texts_per_s"), ("p50 ms", "p50_ms"), ("p95 ms", "p95_ms")):
            name, first = f"{key}_{setting}", key == "texts_per_s"
            ratio = metrics.get(f"ratio_{name}", "")
            cells = f"{metrics[name]:>12}{metrics.get(f'peer_{name}', ''):>12}{ratio:>8}"
            print(f"{setting if first else '':14}{label:12}{cells}{FLOOR if first and ratio else '':>8}")
    print(f"{'errors':26}{metrics['errors']:>12}{metrics.get('peer_errors', ''):>12}")
    print(f"{'least cosine':26}{metrics.get('min_cosine', ''):>12}{'':>20}{0.999:>8}")
    told = (
        "seconds",
        "rounds",
        "model",
        "cpu",
        "amx_bf16",
        "cores",
        "load_per_core",
        "date",
        "commit",
        "seed",
    )
    print("\n" + ", ".join(f"{key} {metrics[key]}" for key in told))


if __name__ == "__main__":
    main()
