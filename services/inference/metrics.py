"""An engine's report in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from services.inference.meters import EDGES_S, Report
from services.inference.values import ModelInfo


def exposition(report: Report, models: Sequence[ModelInfo]) -> bytes:
    """What `/metrics` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(report, models))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, report: Report, models: Sequence[ModelInfo]) -> None:
        self._report = report
        self._models = models

    def collect(self) -> Iterator[Metric]:
        report = self._report
        yield _counted("trefoil_inference_calls", "Calls that ended.", "operation", report.calls)
        yield _counted("trefoil_inference_texts", "Texts of those calls.", "operation", report.texts)
        yield _counted("trefoil_inference_errors", "Calls that ended in an error.", "code", report.errors)
        for name, what, value in (
            ("tokens", "Tokens the models read, without padding.", report.tokens),
            ("batches", "Batches the models ran.", report.batches),
            ("busy_seconds", "Seconds the lanes spent in models.", report.busy_s),
            ("cache_hits", "Texts whose vector was remembered.", report.cache_hits),
            ("cache_misses", "Texts whose vector was not.", report.cache_misses),
        ):
            counter = CounterMetricFamily(f"trefoil_inference_{name}", what)
            counter.add_metric([], value)
            yield counter
        yield GaugeMetricFamily("trefoil_inference_queue_texts", "Texts that wait.", value=report.queue)
        yield GaugeMetricFamily("trefoil_inference_lanes", "Batches run at once.", value=report.lanes)
        yield GaugeMetricFamily("trefoil_inference_alive", "1 while the loop works.", value=report.alive)
        yield self._latency()
        yield self._served()

    def _latency(self) -> Metric:
        seen, buckets = 0, []
        for at, edge in enumerate(EDGES_S[:-1]):
            seen += self._report.latency_bins.get(at, 0)
            buckets.append((f"{edge:.6g}", float(seen)))
        buckets.append(("+Inf", float(sum(self._report.latency_bins.values()))))
        found = HistogramMetricFamily("trefoil_inference_call_seconds", "Seconds a call took.")
        found.add_metric([], buckets, self._report.latency_sum_s)
        return found

    def _served(self) -> Metric:
        """One family for all of them: a name may be introduced only once in the format."""
        found = InfoMetricFamily("trefoil_inference_model", "A model that is served.")
        for model in self._models:
            told = {"task": model.task, "kind": model.kind, "name": model.name, "version": model.version}
            found.add_metric([], {**told, "runtime": model.runtime, "loaded": str(model.loaded).lower()})
        return found


def _counted(name: str, what: str, label: str, values: dict[str, int]) -> Metric:
    found = CounterMetricFamily(name, what, labels=[label])
    for key, value in sorted(values.items()):
        found.add_metric([key], value)
    return found
