"""The engine as a process of its own: an HTTP server in OpenAI's shapes.

    python -m services.inference.server        one process, one engine; settings from the environment

`POST /v1/embeddings  /v1/chat/completions  /rerank  /classify  /tag`, `GET /v1/models  /stats  /metrics`
ask for INFERENCE_API_KEY when one is set; `GET /live  /ready` never do. X-Trefoil-Priority (interactive,
normal, batch) and X-Trefoil-Deadline-S say who waits, and how long.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import math
import signal
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, NoReturn, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from services.conf import CoreSettings, load
from services.errors import (
    InvalidInput,
    MalformedRequest,
    Misconfigured,
    NotAuthenticated,
    NotFound,
    SuiteError,
    TooLarge,
    Unavailable,
)
from services.inference import dying, metrics, streaming, wire
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.local import build_engine
from services.inference.values import EncoderInfo, ModelInfo, Priority
from services.inference.writing import awrite
from services.logs import configure, get_logger
from services.registry.store import ModelStore
from services.storage import open_storage

log = get_logger(__name__)

_SMALL_TEXTS = 16
"""Below this a request is answered without looking whether its caller is still there."""
_READY_S = 5.0

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def build_app(engine: Engine, settings: InferenceSettings, *, warm: bool = True) -> Starlette:
    """The ASGI application over an engine; `warm` loads the encoder at the start, in the background."""
    doors = _Doors(engine, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if warm:
            threading.Thread(target=_warm, args=(engine,), name="warm", daemon=True).start()
        yield
        await asyncio.to_thread(engine.close)

    def post(path: str, handler: Handler) -> Route:
        return Route(path, doors.guarded(handler), methods=["POST"])

    def get(path: str, handler: Handler) -> Route:
        return Route(path, doors.guarded(handler), methods=["GET"])

    return Starlette(
        routes=[
            post("/v1/embeddings", doors.embeddings),
            post("/v1/chat/completions", doors.chat),
            post("/rerank", doors.rerank),
            post("/v1/rerank", doors.rerank),
            post("/classify", doors.classify),
            post("/tag", doors.tag),
            get("/v1/models", doors.models),
            get("/stats", doors.stats),
            get("/metrics", doors.metrics),
            Route("/live", doors.guarded(doors.live, with_key=False)),
            Route("/ready", doors.guarded(doors.ready, with_key=False)),
        ],
        exception_handlers={HTTPException: _no_such_door},
        lifespan=lifespan,
    )


class _Doors:
    """One method an endpoint: read, ask the engine once, write."""

    def __init__(self, engine: Engine, settings: InferenceSettings) -> None:
        self._engine = engine
        self._key = settings.inference_api_key.get_secret_value().encode()
        self._most_texts = settings.inference_max_texts
        self._most_bytes = settings.inference_max_body_mib * 2**20
        self._deadline_s = settings.inference_deadline_s
        self._loaded = False

    def guarded(self, handler: Handler, *, with_key: bool = True) -> Handler:
        """The key is asked for first; every way out is an answer."""

        async def endpoint(request: Request) -> Response:
            try:
                if with_key:
                    self._require_key(request)
                return await handler(request)
            except SuiteError as problem:
                return _problem(problem)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception:
                log.exception("request_failed", path=request.url.path)
                return _problem(SuiteError())

        return endpoint

    async def embeddings(self, request: Request) -> Response:
        body = await self._body(request)
        given = wire.texts(body, "input", self._most_texts)
        how = wire.encoding(body)
        priority, deadline_s = self._terms(request)
        info = await self._encoder()
        wire.require_model(body, info.name, info.version)
        wire.require_dim(body, info.dim)
        vecs = await self._while_there(
            request, len(given), self._engine.aembed(given, priority=priority, deadline_s=deadline_s)
        )
        return Response(wire.embeddings(vecs, info, how, given), media_type=wire.JSON)

    async def rerank(self, request: Request) -> Response:
        body = await self._body(request)
        query, given = wire.required(body, "query"), wire.documents(body, self._most_texts)
        top_n = len(given) if body.get("top_n") is None else body["top_n"]
        if not isinstance(top_n, int) or top_n < 1:
            raise InvalidInput("top_n is a number from 1 on.", field="top_n")
        priority, deadline_s = self._terms(request)
        found = await self._while_there(
            request, len(given), self._engine.arerank(query, given, priority=priority, deadline_s=deadline_s)
        )
        wire.require_model(body, found.version, *await self._names("rerank"))
        return Response(
            wire.reranked(found, given, top_n, body.get("return_documents") is True), media_type=wire.JSON
        )

    async def classify(self, request: Request) -> Response:
        body = await self._body(request)
        task, given = wire.required(body, "task"), wire.pairs(body, self._most_texts)
        priority, deadline_s = self._terms(request)
        found = await self._while_there(
            request, len(given), self._engine.aclassify(task, given, priority=priority, deadline_s=deadline_s)
        )
        wire.require_model(body, found.version, task)
        return Response(wire.classified(found), media_type=wire.JSON)

    async def tag(self, request: Request) -> Response:
        body = await self._body(request)
        task, given = wire.required(body, "task"), wire.texts(body, "input", self._most_texts, least=0)
        priority, deadline_s = self._terms(request)
        found = await self._while_there(
            request, len(given), self._engine.atag(task, given, priority=priority, deadline_s=deadline_s)
        )
        wire.require_model(body, found.version, task)
        return Response(wire.tagged(found), media_type=wire.JSON)

    async def chat(self, request: Request) -> Response:
        body = await self._body(request)
        asked = wire.chat_request(body)
        names = await self._names("generate")
        wire.require_model(body, *names)
        _, deadline_s = self._terms(request)
        name, now = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        if not asked.stream:
            text, end = await self._while_there(
                request,
                _SMALL_TEXTS,
                awrite(self._engine, asked.messages, asked.sampling, deadline_s=deadline_s),
            )
            return Response(wire.chat_answer(text, end, name, now), media_type=wire.JSON)
        events = self._engine.generate(asked.messages, asked.sampling, deadline_s=deadline_s)
        # what fails before the first event is still an error with a status
        first = await self._while_there(request, _SMALL_TEXTS, streaming.first_of(events))
        version = next(iter(names), "")
        return streaming.Events(
            events,
            streaming.lines(
                first, events, lambda e: wire.chat_chunk(e, name, now, version, asked.include_usage)
            ),
        )

    async def models(self, request: Request) -> Response:
        found = await self._models()
        info = self._engine.encoder() if _has_encoder(found) else None
        return Response(wire.models(found, info), media_type=wire.JSON)

    async def stats(self, request: Request) -> Response:
        found = asdict(self._engine.report())
        found["latency_bins"] = {str(key): value for key, value in found["latency_bins"].items()}
        return Response(orjson.dumps(found), media_type=wire.JSON)

    async def metrics(self, request: Request) -> Response:
        found = metrics.exposition(self._engine.report(), await self._models())
        return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def live(self, request: Request) -> Response:
        """200 as long as the loop works."""
        if not self._engine.alive:
            return _problem(Unavailable("The inference loop has stopped; restart the process."))
        return Response(b'{"status":"live"}', media_type=wire.JSON)

    async def ready(self, request: Request) -> Response:
        """200 when a text was really embedded just now."""
        try:
            if not _has_encoder(await self._models()):
                raise Unavailable("The encoder is still loading.")
            await asyncio.to_thread(self._engine.probe, _READY_S)
        except SuiteError as problem:
            return _problem(Unavailable(problem.detail))
        return Response(b'{"status":"ready"}', media_type=wire.JSON)

    async def _body(self, request: Request) -> wire.Body:
        """At most INFERENCE_MAX_BODY_MIB, whatever the headers say."""
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._most_bytes:
            raise self._too_large()
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._most_bytes:
                raise self._too_large()
            parts.append(part)
        return wire.parse(b"".join(parts))

    def _too_large(self) -> TooLarge:
        mib = self._most_bytes // 2**20
        return TooLarge(f"The request is over {mib} MiB; send fewer texts.", limit_bytes=self._most_bytes)

    def _require_key(self, request: Request) -> None:
        if not self._key:
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._key):
            raise NotAuthenticated("Send the inference key: Authorization: Bearer KEY.")

    def _terms(self, request: Request) -> tuple[Priority, float]:
        """Who waits, and how many seconds at most."""
        named = request.headers.get("x-trefoil-priority", "normal").upper()
        if named not in Priority.__members__:
            raise InvalidInput("The priority is interactive, normal or batch.", field="X-Trefoil-Priority")
        try:
            deadline_s = float(request.headers.get("x-trefoil-deadline-s", self._deadline_s))
        except ValueError:
            deadline_s = math.nan
        if not 0 < deadline_s <= 3600:
            raise InvalidInput("The deadline is 0 to 3600 seconds.", field="X-Trefoil-Deadline-S")
        return Priority[named], deadline_s

    async def _encoder(self) -> EncoderInfo:
        """The encoder's identity; while it is still loading, waited for in a thread."""
        if not self._loaded:
            await asyncio.to_thread(self._engine.encoder)
            self._loaded = True
        return self._engine.encoder()

    async def _models(self) -> tuple[ModelInfo, ...]:
        """In a thread: a registry may have to be read for it."""
        return await asyncio.to_thread(self._engine.models)

    async def _names(self, task: str) -> list[str]:
        mine = [model for model in await self._models() if model.task == task]
        return [name for model in mine for name in (model.version, model.name)]

    async def _while_there(self, request: Request, texts: int, work: Awaitable[T]) -> T:
        """The work's answer; work worth stopping is stopped when its caller leaves."""
        if texts < _SMALL_TEXTS:
            return await work
        asked = asyncio.ensure_future(work)
        left = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({asked, left}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return await asked
        finally:
            for task in (asked, left):
                task.cancel()
            await asyncio.gather(asked, left, return_exceptions=True)


def serve(settings: InferenceSettings, core: CoreSettings) -> int:
    """Serve until told to stop; the exit status, 1 when the engine's loop died."""
    import uvicorn

    signal.signal(signal.SIGTERM, _leave)  # uvicorn sends itself, once it has stopped, what stopped it
    settings = settings.model_copy(update={"inference_url": ""})
    require_key_beyond_this_machine(settings)
    storage = open_storage(core)
    engine = build_engine(
        settings, store=ModelStore(storage), redis_url=core.redis_url, on_death=dying.end_process
    )
    log.info("inference_server", host=settings.inference_host, port=settings.inference_port)
    uvicorn.run(
        build_app(engine, settings),
        host=settings.inference_host,
        port=settings.inference_port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )
    return _status()


def require_key_beyond_this_machine(settings: InferenceSettings) -> None:
    """Raises Misconfigured for a server that strangers could ask."""
    near = settings.inference_host in {"127.0.0.1", "::1", "localhost"}
    if not near and not settings.inference_api_key.get_secret_value():
        raise Misconfigured(
            f"INFERENCE_API_KEY: a server on {settings.inference_host} needs a key. "
            "Set one of at least 16 characters, or set INFERENCE_HOST=127.0.0.1."
        )


def main() -> None:
    """`python -m services.inference.server`."""
    parser = argparse.ArgumentParser(prog="services.inference.server", description=__doc__.splitlines()[0])
    parser.add_argument("--host", help="instead of INFERENCE_HOST")
    parser.add_argument("--port", type=int, help="instead of INFERENCE_PORT")
    args = parser.parse_args()
    try:
        core, settings = load(CoreSettings), load(InferenceSettings)
        given = {"inference_host": args.host, "inference_port": args.port}
        settings = settings.model_copy(update={key: value for key, value in given.items() if value})
        configure(core.log_level, core.log_format)
        sys.exit(serve(settings, core))
    except Misconfigured as error:
        sys.exit(error.detail)


def _warm(engine: Engine) -> None:
    try:
        engine.warm()
    except SuiteError as error:
        log.error("encoder_not_loaded", detail=error.detail)


def _has_encoder(found: Sequence[ModelInfo]) -> bool:
    return any(model.loaded for model in found if model.kind == "encoder")


def _status() -> int:
    return 1 if dying.died() else 0


def _leave(*_: object) -> NoReturn:
    sys.exit(_status())


async def _left(request: Request) -> None:
    """Until the caller has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _no_such_door(_: Request, error: Exception) -> Response:
    """An address or a method that is not served, in the same shape as every other error."""
    status = getattr(error, "status_code", 500)
    problem = NotFound("There is nothing at this address.") if status == 404 else MalformedRequest()
    return Response(wire.error(problem), status, getattr(error, "headers", None), wire.JSON)


def _problem(problem: SuiteError) -> Response:
    headers = {}
    wait_s: Any = getattr(problem, "retry_after_s", None)
    if wait_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    if problem.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(wire.error(problem), problem.http_status, headers, wire.JSON)


if __name__ == "__main__":
    main()
