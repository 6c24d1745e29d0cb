"""Which models an engine serves: encoder, reranker, one a task, generator; each is loaded when asked.

A task's model is what TASK_MODELS names, else the version that is live in the registry, else the one shipped
with the product. One that is live in the registry is followed: another version is loaded beside it and takes
over, and what waits for the old one is answered by the old one.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.errors import ModelUnavailable, NotFound, SuiteError
from services.inference import heads, tuned
from services.inference.batching import Batcher, Served
from services.inference.conf import InferenceSettings
from services.inference.current import Current
from services.inference.loading import (
    LoadedEncoder,
    LoadedModel,
    load_encoder,
    load_files,
    load_model,
    load_token_states,
)
from services.inference.model_files import Kind, plain_name
from services.inference.reranking import LATE
from services.inference.runtimes import Runtime
from services.inference.tokenising import Tokeniser
from services.inference.values import (
    ChatMessage,
    EncoderInfo,
    GenerateEvent,
    ModelInfo,
    Priority,
    Sampling,
    Vectors,
)
from services.registry import manifest as registry
from services.registry.store import ModelStore

_REGISTRY = "registry:"
_HEAD = "head"


class Encoder(Protocol):
    """An encoder on the queue, or one behind an endpoint."""

    @property
    def info(self) -> EncoderInfo:
        """Which one it is."""
        ...

    def submit(
        self, texts: Sequence[str], *, priority: Priority, deadline: float | None, admitted: bool
    ) -> Future[Vectors]:
        """The texts' vectors, float32 (n, dim), later."""
        ...


class Generator(Protocol):
    """A generator in this process, or one behind an endpoint."""

    info: ModelInfo

    def chat(
        self, messages: Sequence[ChatMessage], sampling: Sampling, deadline_s: float | None
    ) -> AsyncGenerator[GenerateEvent]:
        """As `Engine.generate`."""
        ...


@dataclass(frozen=True, slots=True)
class QueuedEncoder:
    """The encoder that runs here."""

    info: EncoderInfo
    loaded: LoadedEncoder
    served: Served
    batcher: Batcher

    def submit(
        self, texts: Sequence[str], *, priority: Priority, deadline: float | None, admitted: bool
    ) -> Future[Vectors]:
        """Tokenise now, embed when it is these texts' turn."""
        ids = self.loaded.tokenise(texts)
        return self.batcher.submit(self.served, ids, priority=priority, deadline=deadline, admitted=admitted)


@dataclass(frozen=True, slots=True)
class Reranker:
    """A cross-encoder, or the encoder's word vectors in its place."""

    version: str
    name: str
    is_cross_encoder: bool
    tokenise: Tokeniser
    served: Served


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A layer and the encoder it brings, on the queue."""

    layer: tuned.LoadedTuned
    encoder: LoadedEncoder
    served: Served


@dataclass(frozen=True, slots=True)
class TaskModel:
    """What answers a task: a head on the encoder's vectors, one with an encoder of its own, or a model."""

    version: str
    head: heads.LoadedHead | None
    queued: tuple[LoadedModel, Served] | None
    tuned: TunedModel | None = None

    @property
    def loaded(self) -> LoadedModel:
        """The model on the queue. Raises ModelUnavailable for a head, which only classifies."""
        if self.queued is None:
            raise ModelUnavailable(f"The model {self.version} classifies texts and does nothing else.")
        return self.queued[0]

    @property
    def served(self) -> Served:
        """Its place on the queue."""
        if self.queued is None:
            raise ModelUnavailable(f"The model {self.version} has no place on the queue.")
        return self.queued[1]


class ServedModels:
    """The models of one engine."""

    def __init__(self, settings: InferenceSettings, batcher: Batcher, store: ModelStore | None) -> None:
        self._settings = settings
        self._batcher = batcher
        self._store = store
        self._lock = threading.Lock()
        self._tasks: dict[tuple[str, Kind], Current[TaskModel]] = {}
        self.encoder: Current[Encoder] = Current(lambda: settings.encoder, self._load_encoder)
        self.reranker: Current[Reranker] = Current(
            self._which_reranker,
            self._load_reranker,
            lambda old: batcher.retire(old.served),
            follows=settings.reranker.startswith(_REGISTRY),
        )
        self.generator: Current[Generator] = Current(lambda: settings.generator, self._load_generator)

    def task(self, task: str, kind: Kind) -> Current[TaskModel]:
        """A task's model. Raises ModelUnavailable when there is none of that name."""
        with self._lock:
            if (task, kind) not in self._tasks:
                self._which_task(task)
                self._tasks[task, kind] = Current(
                    lambda: self._which_task(task),
                    lambda key: self._load_task(task, kind, key),
                    self._retire_task,
                    follows=self._follows(task),
                )
            return self._tasks[task, kind]

    def models(self) -> tuple[ModelInfo, ...]:
        """What is served, the encoder first; loads nothing."""
        found = [self._encoder_info(), self._reranker_info()]
        with self._lock:
            current = dict(self._tasks)
        asked = {task for task, _ in current}
        for (task, kind), model in sorted(current.items()):
            found.append(self._task_info(task, kind, model.loaded))
        for task in sorted({*self._settings.models_by_task, *registry.shipped(), *self._promoted()} - asked):
            found.append(self._task_info(task, "classifier", None))
        if self._settings.generator:
            loaded = self.generator.loaded
            name = plain_name(self._settings.generator)
            found.append(
                loaded.info
                if loaded is not None
                else ModelInfo("generate", "generator", name, "", "", "", loaded=False)
            )
        return tuple(found)

    def close(self) -> None:
        """End what has threads or connections of its own."""
        for current in (self.encoder, self.generator):
            if (close := getattr(current.loaded, "close", None)) is not None:
                close()

    def _load_encoder(self, _: str) -> Encoder:
        if self._settings.encoder_url:
            from services.inference.endpoints import EndpointEncoder

            return EndpointEncoder(self._settings)
        loaded = load_encoder(self._settings)
        served = self._batcher.serve(self._served("encoder", loaded.runtime, loaded.info.dim))
        return QueuedEncoder(loaded.info, loaded, served, self._batcher)

    def _served(self, name: str, runtime: Runtime, dim: int | None) -> Served:
        budget = self._settings.inference_token_budget or runtime.token_budget
        return Served(name, runtime.run, dim, budget, runtime.lanes, runtime.packed_up_to)

    def _which_reranker(self) -> str:
        name = self._settings.reranker
        return self._versioned(name) if name.startswith(_REGISTRY) else name

    def _load_reranker(self, key: str) -> Reranker:
        if not key:
            encoder = self.encoder.get()
            if not isinstance(encoder, QueuedEncoder):
                raise ModelUnavailable(
                    "Without word vectors (ENCODER_URL is set) RERANKER has to name a model."
                )
            runtime = load_token_states(encoder.loaded, self._settings)
            served = self._batcher.serve(self._served(LATE, runtime, None))
            name = f"{LATE} of {encoder.info.name}"
            return Reranker(f"late-{encoder.info.version}", name, False, encoder.loaded.tokenise, served)
        found = load_model("rerank", self._place(key), "reranker", "RERANKER", self._settings)
        served = self._batcher.serve(self._served("reranker", found.runtime, 1))
        return Reranker(found.files.version, found.files.name, True, found.tokenise, served)

    def _load_generator(self, name: str) -> Generator:
        if not name:
            raise ModelUnavailable("No text generator is configured: set GENERATOR.")
        from services.inference.endpoints import EndpointGenerator, local_generator

        if self._settings.generator_url:
            return EndpointGenerator(self._settings)
        return local_generator(self._settings)

    def _which_task(self, task: str) -> str:
        """The folder or name of the model to serve; it changes when another version goes live."""
        named = self._settings.models_by_task.get(task, "")
        if named and not named.startswith(_REGISTRY):
            return named
        if named or (self._store is not None and _may_be_task(task) and self._store.live(task) is not None):
            return self._versioned(named or f"{_REGISTRY}{task}")
        if task in registry.shipped():
            return str(registry.SHIPPED / task)
        raise ModelUnavailable(f"No model is configured for the task {task[:60]!r}: set TASK_MODELS.")

    def _follows(self, task: str) -> bool:
        named = self._settings.models_by_task.get(task, "")
        return self._store is not None and (not named or named.startswith(_REGISTRY))

    def _versioned(self, name: str) -> str:
        """registry:TASK with the version that is live written out."""
        task, _, version = name.removeprefix(_REGISTRY).partition("@")
        if self._store is None:
            raise ModelUnavailable(f"{name} cannot be had: this process has no registry.")
        live = None if version else self._store.live(task)
        if not version and live is None:
            raise ModelUnavailable(f"No version of {task} is live in the registry: promote one.")
        return f"{_REGISTRY}{task}@{version or (live.version if live else '')}"

    def _place(self, key: str) -> str:
        """A folder for a registry version; any other name as it is."""
        if not key.startswith(_REGISTRY):
            return key
        task, _, version = key.removeprefix(_REGISTRY).partition("@")
        if self._store is None:
            raise ModelUnavailable(f"{key} cannot be had: this process has no registry.")
        try:
            return str(self._store.open(task, version))
        except NotFound as error:
            raise ModelUnavailable(f"The registry has no version {version} of {task}.") from error

    def _load_task(self, task: str, kind: Kind, key: str) -> TaskModel:
        place = self._place(key)
        if (Path(place) / registry.MANIFEST).is_file() and tuned.is_tuned(Path(place)):
            layer = tuned.load_tuned(Path(place), self._settings.model_cache_dir)
            encoder = load_files(layer.files, self._settings)
            served = self._batcher.serve(self._served(task, encoder.runtime, encoder.info.dim))
            return TaskModel(layer.version, None, None, TunedModel(layer, encoder, served))
        if (Path(place) / registry.MANIFEST).is_file():
            head = heads.load_head(Path(place))
            return TaskModel(head.version, head, None)
        found = load_model(task, place, kind, "TASK_MODELS", self._settings)
        dim = None if kind == "tagger" else len(found.files.labels)
        served = self._batcher.serve(self._served(task, found.runtime, dim))
        return TaskModel(found.files.version, None, (found, served))

    def _retire_task(self, old: TaskModel) -> None:
        if old.queued is not None:
            self._batcher.retire(old.queued[1])
        if old.tuned is not None:
            self._batcher.retire(old.tuned.served)

    def _promoted(self) -> set[str]:
        if self._store is None:
            return set()
        try:
            return {task for task in self._store.tasks() if self._store.live(task) is not None}
        except SuiteError:
            return set()

    def _encoder_info(self) -> ModelInfo:
        found = self.encoder.loaded
        if found is None:
            name = plain_name(self._settings.encoder)
            return ModelInfo("embed", "encoder", name, "", "", "", loaded=False)
        info = found.info
        return ModelInfo("embed", "encoder", info.name, info.version, info.runtime, info.device, loaded=True)

    def _reranker_info(self) -> ModelInfo:
        found = self.reranker.loaded
        encoder = self.encoder.loaded
        if found is None or encoder is None:
            name = plain_name(self._settings.reranker) if self._settings.reranker else LATE
            return ModelInfo("rerank", "reranker", name, "", "", "", loaded=False)
        runtime, device = encoder.info.runtime, encoder.info.device
        return ModelInfo("rerank", "reranker", found.name, found.version, runtime, device, loaded=True)

    def _task_info(self, task: str, kind: Kind, found: TaskModel | None) -> ModelInfo:
        if found is None:
            return ModelInfo(task, kind, task, "", "", "", loaded=False)
        if found.queued is not None:
            return found.queued[0].info
        if found.tuned is not None:
            info, layer = found.tuned.encoder.info, found.tuned.layer
            labels, languages = layer.head.labels, layer.manifest.languages
            return ModelInfo(
                task, kind, task, found.version, info.runtime, info.device, True, labels, languages
            )
        encoder = self.encoder.loaded
        runtime = f"{_HEAD} on {encoder.info.runtime}" if encoder else _HEAD
        device = encoder.info.device if encoder else "cpu"
        labels, languages = (), ()
        if found.head is not None:
            labels, languages = found.head.manifest.labels, found.head.manifest.languages
        return ModelInfo(task, kind, task, found.version, runtime, device, True, labels, languages)


def _may_be_task(task: str) -> bool:
    return task.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(task) <= 120
