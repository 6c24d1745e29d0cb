"""The same engine on Ray Serve: as many replicas on as many machines as the queue asks for.

    serve deploy docker/cluster.yaml           on a Ray cluster of any size; the file says all there is to say

A replica is one engine behind the same HTTP doors as `services.inference.server`, with the settings of its
node's environment. Ray starts replicas when requests queue up, starts anew what dies, and exchanges replicas
one by one when the file is deployed again with another environment (`env_vars`; raising ROLLOUT is enough).
A task's model that is promoted in the registry is followed by every replica on its own, without a restart.
Knows nothing of what runs inside: that is `server.build_app`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve

from services.conf import CoreSettings, load
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine, configure_engine, get_engine
from services.inference.local import build_engine
from services.inference.server import build_app, require_key_beyond_this_machine
from services.logs import configure
from services.registry.store import ModelStore
from services.storage import open_storage

_PROBE_S = 30.0


def _make_engine() -> Engine:
    core = load(CoreSettings)
    return build_engine(_settings(), store=ModelStore(open_storage(core)), redis_url=core.redis_url)


def _settings() -> InferenceSettings:
    settings: InferenceSettings = load(InferenceSettings)
    return settings.model_copy(update={"inference_url": ""})


def _app() -> Any:
    """The doors of a replica, made in the replica."""
    configure_engine(_make_engine)
    return build_app(get_engine(), _settings(), warm=False)


@serve.deployment
@serve.ingress(_app)
class Inference:
    """One replica. Options (how many, on what) come from the file that is deployed."""

    async def __init__(self) -> None:  # type: ignore[misc]  # Ray awaits it
        core = load(CoreSettings)
        configure(core.log_level, core.log_format)
        configure_engine(_make_engine)
        await asyncio.to_thread(get_engine().warm)

    async def check_health(self) -> None:
        """Raises when the engine's loop has died or does not infer, so that Ray starts another replica."""
        engine = get_engine()
        if not engine.alive:
            raise RuntimeError("the inference loop has stopped")
        await asyncio.to_thread(engine.probe, _PROBE_S)


def build(args: dict[str, str]) -> Any:
    """The application, for `import_path: services.inference.cluster:build`.

    Raises Misconfigured when strangers could ask it: INFERENCE_HOST, beside `http_options: host` in the file,
    is not of this machine, and there is no INFERENCE_API_KEY.
    """
    require_key_beyond_this_machine(_settings())
    deployment: Any = Inference
    return deployment.bind()
