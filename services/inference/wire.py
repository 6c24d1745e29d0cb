"""The JSON of the inference server: requests read into values, values and errors written as answers.

Embeddings, chat completions and models have OpenAI's shapes; rerank has that of Cohere and Jina; classify
and tag are our own. Fields this server does not know are left unread, as others do.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import orjson

from services.errors import InvalidInput, MalformedRequest, NotFound, SuiteError
from services.inference.values import (
    ChatMessage,
    ClassScores,
    Delta,
    EncoderInfo,
    Failed,
    Finished,
    GenerateEvent,
    ModelInfo,
    Pair,
    Relevance,
    Sampling,
    Tagged,
    Vectors,
)

_BYTES_PER_TOKEN = 4
"""Usage of embeddings is an estimate: the answer does not wait for a count."""
_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}

Body = Mapping[str, Any]
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat completion asks for."""

    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    stream: bool
    include_usage: bool


def parse(data: bytes) -> Body:
    """A JSON object. Raises MalformedRequest."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest("The body is not JSON in UTF-8.") from error
    if not isinstance(found, dict):
        raise MalformedRequest("The body is not a JSON object.")
    return found


def texts(body: Body, field: str, most: int, least: int = 1) -> list[str]:
    """One string or a list of strings, `least` to `most`. Raises InvalidInput, naming the field."""
    found = body.get(field)
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list) or len(found) < least:
        raise InvalidInput(f"{field} is a string or a list of at least {least}.", field=field)
    _require_few(found, field, most)
    for at, text in enumerate(found):
        if not isinstance(text, str):
            raise InvalidInput(f"{field}[{at}] is not a string; token numbers are not taken.", field=field)
    return found


def documents(body: Body, most: int) -> list[str]:
    """Strings, or objects with `text`."""
    found = body.get("documents")
    if not isinstance(found, list) or not found:
        raise InvalidInput("documents is a list of at least one text.", field="documents")
    _require_few(found, "documents", most)
    read = [one.get("text") if isinstance(one, dict) else one for one in found]
    if not all(isinstance(one, str) for one in read):
        raise InvalidInput("Each of documents is a string or an object with text.", field="documents")
    return [str(one) for one in read]


def pairs(body: Body, most: int) -> list[Pair]:
    """Strings, or objects with `text` and, for what is asked about in it, `towards`; a list may be empty."""
    found = body.get("input")
    found = [found] if isinstance(found, str | dict) else found
    if not isinstance(found, list):
        raise InvalidInput("input is a text or a list of texts.", field="input")
    _require_few(found, "input", most)
    read: list[Pair] = []
    for at, one in enumerate(found):
        text, towards = (one.get("text"), one.get("towards")) if isinstance(one, dict) else (one, None)
        if not isinstance(text, str) or not (towards is None or isinstance(towards, str)):
            raise InvalidInput(
                f"input[{at}] is a string or an object with text and towards, both strings.", field="input"
            )
        read.append((text, towards))
    return read


def required(body: Body, field: str) -> str:
    """A string that must be there; it may be empty."""
    found = body.get(field)
    if not isinstance(found, str):
        raise InvalidInput(f"{field} is a string.", field=field)
    return found


def encoding(body: Body) -> Literal["float", "base64"]:
    """How vectors are written."""
    found = body.get("encoding_format") or "float"
    if found not in ("float", "base64"):
        raise InvalidInput("encoding_format is float or base64.", field="encoding_format")
    return cast(Literal["float", "base64"], found)


def require_dim(body: Body, dim: int) -> None:
    """Raises InvalidInput when other dimensions are asked for than the encoder has."""
    if body.get("dimensions") not in (None, dim):
        raise InvalidInput(f"This encoder has {dim} dimensions and no fewer.", field="dimensions")


def require_model(body: Body, *known: str) -> None:
    """Raises NotFound when a model is named that is not one of these."""
    named = body.get("model")
    if named and named not in (*known, "default"):
        raise NotFound(
            f"There is no model {str(named)[:80]!r} here; GET /v1/models lists them.", field="model"
        )


def chat_request(body: Body) -> ChatRequest:
    """A chat completion's request. Raises InvalidInput, naming the field."""
    found = body.get("messages")
    if not isinstance(found, list) or not found:
        raise InvalidInput("messages is a list of at least one.", field="messages")
    if body.get("n") not in (None, 1):
        raise InvalidInput("n is 1: one answer is written.", field="n")
    stop = body.get("stop") or []
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or len(stop) > 8 or not all(isinstance(one, str) for one in stop):
        raise InvalidInput("stop is a string or up to eight.", field="stop")
    options = body.get("stream_options") or {}
    most = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    seed = body.get("seed")
    return ChatRequest(
        tuple(_message(one, at) for at, one in enumerate(found)),
        Sampling(
            max_tokens=_whole(body, most, 512, 1, 1_000_000),
            temperature=_number(body, "temperature", 0.0, 0.0, 2.0),
            top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
            stop=tuple(stop),
            seed=None if seed is None else _whole(body, "seed", 0, -(2**63), 2**63 - 1),
        ),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def embeddings(vecs: Vectors, info: EncoderInfo, how: str, given: Sequence[str]) -> bytes:
    """OpenAI's list of embeddings; base64 holds little-endian float32."""
    rows: list[Any] = (
        [base64.b64encode(vec.astype("<f4").tobytes()).decode() for vec in vecs]
        if how == "base64"
        else list(vecs)
    )
    tokens = sum(len(text.encode("utf-8", "replace")) for text in given) // _BYTES_PER_TOKEN + 1
    found = {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)],
        "model": info.version,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def read_vector(found: Any, dim: int | None = None) -> Vectors:
    """An embedding as a server wrote it: base64 of float32, or a list. Raises ValueError."""
    if isinstance(found, str):
        try:
            vec = np.frombuffer(base64.b64decode(found, validate=True), "<f4").astype(np.float32)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    elif isinstance(found, list):
        vec = np.asarray(found, np.float32)
    else:
        raise ValueError("neither base64 nor a list")
    if vec.ndim != 1 or (dim is not None and len(vec) != dim) or not np.isfinite(vec).all():
        raise ValueError("not a vector of finite numbers")
    return vec


def reranked(found: Relevance, given: Sequence[str], top_n: int, with_documents: bool) -> bytes:
    """The best first."""
    order = np.argsort(-found.scores, kind="stable")[:top_n]
    results: list[dict[str, Any]] = [
        {"index": int(at), "relevance_score": float(found.scores[at])} for at in order
    ]
    if with_documents:
        for row in results:
            row["document"] = {"text": given[row["index"]]}
    return orjson.dumps({"object": "list", "model": found.version, "results": results})


def classified(found: ClassScores) -> bytes:
    """Probabilities by text, in the order of `labels`."""
    return orjson.dumps(
        {
            "object": "list",
            "model": found.version,
            "labels": found.labels,
            "exclusive": found.exclusive,
            "data": np.ascontiguousarray(found.probs),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def tagged(found: Tagged) -> bytes:
    """Entities by text."""
    return orjson.dumps({"object": "list", "model": found.version, "data": found.entities})


def models(found: Sequence[ModelInfo], info: EncoderInfo | None) -> bytes:
    """OpenAI's list of models, with what else is known of each."""
    rows = []
    for model in found:
        row: dict[str, Any] = {
            "id": model.version or model.name,
            "object": "model",
            "created": 0,
            "owned_by": "trefoil",
            "task": model.task,
            "kind": model.kind,
            "name": model.name,
            "version": model.version,
            "runtime": model.runtime,
            "device": model.device,
            "loaded": model.loaded,
            "labels": model.labels,
            "languages": model.languages,
        }
        if model.kind == "encoder" and info is not None:
            row |= {"dim": info.dim, "max_tokens": info.max_tokens, "languages": info.languages}
        rows.append(row)
    return orjson.dumps({"object": "list", "data": rows})


def chat_answer(text: str, end: Finished, name: str, now: int) -> bytes:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": end.reason}
    found = {"id": name, "object": "chat.completion", "created": now, "model": end.version}
    return orjson.dumps({**found, "choices": [choice], "usage": _usage(end)})


def chat_chunk(event: GenerateEvent, name: str, now: int, model: str, include_usage: bool) -> bytes:
    """One event of a streamed chat completion, as server-sent events; what ends it holds the last line."""
    head = {"id": name, "object": "chat.completion.chunk", "created": now, "model": model}
    if isinstance(event, Failed):
        return _event({"error": _error(event.code, event.detail, "server_error", None)})
    if isinstance(event, Delta):
        delta = {"role": "assistant", "content": event.text}
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    choice = {"index": 0, "delta": {}, "finish_reason": event.reason}
    lines = _event({**head, "model": event.version, "choices": [choice]})
    if include_usage:
        lines += _event({**head, "model": event.version, "choices": [], "usage": _usage(event)})
    return lines + b"data: [DONE]\n\n"


def error(problem: SuiteError) -> bytes:
    """OpenAI's error object with our code; `detail` is safe to show to anybody."""
    kind = "invalid_request_error" if problem.http_status < 500 else "server_error"
    return orjson.dumps({"error": _error(problem.code, problem.detail, kind, problem.field)})


def _error(code: str, detail: str, kind: str, field: str | None) -> dict[str, Any]:
    return {"message": detail, "type": kind, "code": code, "param": field}


def _event(found: Any) -> bytes:
    return b"data: " + orjson.dumps(found) + b"\n\n"


def _usage(end: Finished) -> dict[str, int]:
    total = end.prompt_tokens + end.completion_tokens
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "total_tokens": total,
    }


def _message(found: Any, at: int) -> ChatMessage:
    field = "messages"
    role = found.get("role") if isinstance(found, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidInput(f"messages[{at}] needs a role: system, user or assistant.", field=field)
    content = found.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        content = "".join(parts) if all(isinstance(part, str) for part in parts) else None  # type: ignore[arg-type]
    if not isinstance(content, str):
        raise InvalidInput(f"messages[{at}].content is text, or parts of text.", field=field)
    return ChatMessage(_ROLES[role], content)


def _number(body: Body, field: str, default: float, least: float, most: float) -> float:
    found = body.get(field)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
        raise InvalidInput(f"{field} is a number from {least:g} to {most:g}.", field=field)
    return found


def _whole(body: Body, field: str, default: int, least: int, most: int) -> int:
    found = _number(body, field, default, least, most)
    if found != int(found):
        raise InvalidInput(f"{field} is a whole number.", field=field)
    return int(found)


def _require_few(found: Sequence[Any], field: str, most: int) -> None:
    if len(found) > most:
        raise InvalidInput(
            f"{field} holds {len(found)} texts; {most} is the most for one request.", field=field
        )
