"""The metrics as a collector reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.errors import Overloaded
from services.inference.fake import FakeEngine
from services.inference.meters import EDGES_S, Meter
from services.inference.metrics import exposition
from services.inference.values import ModelInfo
from tests.services.inference.live_server import LiveServer, live_server

MODELS = (
    ModelInfo("embed", "encoder", "small", "small-1", "openvino", "cpu", loaded=True),
    ModelInfo("topics", "classifier", 'a "quoted"\nname', "", "", "", loaded=False),
)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(FakeEngine()) as found:
        yield found


def _samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    rows = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    found = dict(rows)
    assert len(found) == len(rows)
    return found


def _told(meter: Meter, **now: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    report = meter.report(**{"queue": 3, "lanes": 2, "alive": True, **now})
    return _samples(exposition(report, MODELS).decode())


def test_calls_texts_and_errors_are_counted_by_name() -> None:
    meter = Meter()
    meter.count("embed", 7, 0.01)
    meter.count("embed", 2, 0.01, "overloaded")
    meter.count("rerank", 5, 0.01)
    meter.batch(9, 120, 0.25)
    meter.cache(4, 5)
    found = _told(meter)
    assert found["trefoil_inference_calls_total", (("operation", "embed"),)] == 2
    assert found["trefoil_inference_texts_total", (("operation", "embed"),)] == 9
    assert found["trefoil_inference_calls_total", (("operation", "rerank"),)] == 1
    assert found["trefoil_inference_errors_total", (("code", "overloaded"),)] == 1
    for name, value in (("tokens", 120), ("batches", 1), ("busy_seconds", 0.25)):
        assert found[f"trefoil_inference_{name}_total", ()] == value
    assert found["trefoil_inference_cache_hits_total", ()] == 4
    assert found["trefoil_inference_cache_misses_total", ()] == 5
    assert (found["trefoil_inference_queue_texts", ()], found["trefoil_inference_lanes", ()]) == (3, 2)
    assert found["trefoil_inference_alive", ()] == 1
    assert _told(meter, alive=False)["trefoil_inference_alive", ()] == 0


def test_latencies_are_a_histogram_that_only_rises() -> None:
    meter = Meter()
    for took_s in (0.0001, 0.01, 0.01, 3.0, 10_000.0):
        meter.count("embed", 1, took_s)
    found = _told(meter)
    name = "trefoil_inference_call_seconds"
    buckets = sorted((float(key[1][0][1]), n) for key, n in found.items() if key[0] == f"{name}_bucket")
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1] == (float("inf"), 5)
    assert all(count <= 4 for edge, count in buckets[:-1])
    assert dict(buckets)[float(f"{EDGES_S[0]:.6g}")] == 1
    assert found[f"{name}_count", ()] == 5
    assert found[f"{name}_sum", ()] == pytest.approx(10_003.0201)


def test_every_model_is_told_under_one_name_with_any_characters_in_its_own() -> None:
    text = exposition(Meter().report(queue=0, lanes=1, alive=True), MODELS).decode()
    assert text.count("# TYPE trefoil_inference_model_info ") == 1
    rows = [dict(labels) for name, labels in _samples(text) if name == "trefoil_inference_model_info"]
    assert {row["name"] for row in rows} == {"small", 'a "quoted"\nname'}
    assert {row["loaded"] for row in rows} == {"true", "false"}


def test_an_engine_that_did_nothing_has_metrics_all_the_same() -> None:
    assert _told(Meter())["trefoil_inference_call_seconds_count", ()] == 0


def test_the_server_tells_its_own_calls(server: LiveServer) -> None:
    server.client.post("/v1/embeddings", json={"input": ["a", "b"]})
    response = server.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert _samples(response.text)["trefoil_inference_texts_total", (("operation", "embed"),)] == 2


def test_the_server_counts_what_it_refused(server: LiveServer) -> None:
    with live_server(FakeEngine(fail_with=Overloaded())) as refusing:
        refusing.client.post("/v1/embeddings", json={"input": "a"})
        text = refusing.client.get("/metrics").text
    assert _samples(text)["trefoil_inference_errors_total", (("code", "overloaded"),)] == 1
