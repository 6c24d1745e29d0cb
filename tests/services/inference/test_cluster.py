"""The engine on Ray Serve: a cluster of two nodes on this machine, and one of them killed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.inference.conf import InferenceSettings
from services.inference.fake import FakeEngine
from services.inference.remote import RemoteEngine
from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[3]
QUIET = {"log_level": "ERROR", "enable_access_log": False}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, str]]:
    """A cluster with the service on it, the node that is to die, and where the service listens.

    The head, which the proxy is on, has room for one replica, and so has the other node.
    """
    environment = {
        "INFERENCE_RUNTIME": "fake",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    from services.inference.cluster import Inference

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    port = free_port()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        mortal = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        serve.start("HeadOnly", {"host": "127.0.0.1", "port": port}, logging_config=QUIET)
        deployment: Any = Inference
        replicas = deployment.options(
            num_replicas=2, ray_actor_options={"num_cpus": 1}, logging_config=QUIET
        ).bind()
        serve.run(replicas, name="inference", route_prefix="/")
        yield cluster, mortal, f"http://127.0.0.1:{port}"
    finally:
        if ray.is_initialized():
            serve.shutdown()
            ray.shutdown()
        cluster.shutdown()


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore:Using extra keyword")
def test_every_call_is_answered_although_a_machine_with_a_replica_dies(nodes: tuple[Any, Any, str]) -> None:
    cluster, mortal, url = nodes
    engine = RemoteEngine(InferenceSettings(inference_url=url, inference_deadline_s=30))
    texts = ["The parcel has not come.", "Where is my order?", ""]
    right = FakeEngine().embed(texts)
    try:
        assert np.allclose(engine.embed(texts), right, atol=1e-6)
        assert running_replicas() == 2  # one a node: neither has room for two

        cluster.remove_node(mortal, allow_graceful=False)

        for _ in range(20):
            assert np.allclose(engine.embed(texts), right, atol=1e-6)
    finally:
        engine.close()


def running_replicas() -> int:
    from ray import serve

    deployment = serve.status().applications["inference"].deployments["Inference"]
    return sum(count for state, count in deployment.replica_states.items() if state == "RUNNING")
