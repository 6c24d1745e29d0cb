"""The real default encoder, converted once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine

if TYPE_CHECKING:
    from tests.services.inference.live_server import LiveServer


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own; the first engine that uses it fills it."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def local_engine(model_cache: Path) -> Iterator[LocalEngine]:
    """The engine as it is served, with the default encoder."""
    engine = LocalEngine(cpu_settings(model_cache))
    engine.warm()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def real_server(local_engine: LocalEngine) -> Iterator[LiveServer]:
    """A server over the encoder as it is shipped."""
    from tests.services.inference.live_server import live_server

    with live_server(local_engine) as server:
        yield server


def cpu_settings(cache: Path, **changes: Any) -> InferenceSettings:
    """The defaults, but for the cache and what a test changes; the environment has no say."""
    defaults = {name: field.default for name, field in InferenceSettings.model_fields.items()}
    here = {"inference_device": "cpu", "model_cache_dir": cache}
    return InferenceSettings(**{**defaults, **here, **changes})
