"""The OpenAI-compatible format: requests, and what statuses, streamed chat chunks and embeddings mean.

Pure functions and one small reader; nothing here sends anything. Whatever the other server says in its own
words stays here: details are ours, and name the setting to look at.
Formats: the OpenAI API reference (chat completion chunks, embeddings), https://platform.openai.com/docs.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np

from services.errors import InvalidInput, ModelFailed, ModelUnavailable, Overloaded, SuiteError, Unavailable
from services.inference.values import ChatMessage, Delta, Finished, Sampling, Vectors

_LONGEST_WAIT_S = 3600.0
_SAFE_NAME = re.compile(r"[\w.:/@+-]{1,200}")
_CUT = frozenset({"length", "max_tokens"})
_WITHHELD = frozenset({"content_filter", "tool_calls", "function_call"})


def _in_json(payload: dict[str, Any]) -> bytes:
    """ASCII, so that half a surrogate pair in a text cannot stop it."""
    return json.dumps(payload).encode("ascii")


def chat_request(model: str, messages: Sequence[ChatMessage], sampling: Sampling) -> bytes:
    """The body of a request for a streamed chat."""
    payload: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        payload["seed"] = sampling.seed
    return _in_json(payload)


def embed_request(model: str, texts: Sequence[str]) -> bytes:
    """The body of a request for embeddings. The interface takes no empty text: it is sent as one space."""
    payload = {"model": model, "input": [text or " " for text in texts], "encoding_format": "base64"}
    return _in_json(payload)


def is_passing(status: int) -> bool:
    """Whether the same request may fare better a moment later."""
    return status >= 500 or status in (408, 425)


def error_of(status: int, headers: Mapping[str, str]) -> SuiteError:
    """The error a status other than 200 stands for."""
    if status in (401, 403):
        return ModelUnavailable("The model's server refused the key. Check GENERATOR_API_KEY.")
    if status == 404:
        return ModelUnavailable(
            "The model's server knows no such model or address. Check GENERATOR and GENERATOR_URL."
        )
    if status in (400, 413, 422):
        return InvalidInput(
            f"The model's server refused the request (status {status}): too long for the model, "
            "or not the model that it serves (GENERATOR)."
        )
    if status == 429:
        wait_s = _retry_after_s(headers.get("retry-after", ""))
        return Overloaded("The model's server takes no more requests now.", retry_after_s=wait_s)
    if is_passing(status):
        return Unavailable(f"The model's server failed (status {status}). Try again later.")
    return ModelUnavailable(
        f"The model's server answered with status {status}, which is no answer. Check GENERATOR_URL."
    )


def _retry_after_s(value: str) -> float:
    """Seconds or a date (RFC 9110, section 10.2.3); one second when it is neither."""
    try:
        wait_s = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return 1.0
        wait_s = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S) if wait_s == wait_s else 1.0


def parse(text: str | bytes) -> dict[str, Any]:
    """A JSON object. Raises ModelFailed for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFailed("The model's server answered with something that is not JSON.") from error
    if not isinstance(value, dict):
        raise ModelFailed("The model's server answered with JSON of another shape.")
    return value


@dataclass(slots=True)
class ChatReader:
    """The chunks of one chat answer, in order, into deltas and what `Finished` needs.

    Also reads an answer in one piece (`message` instead of `delta`), from servers that do not stream.
    """

    model: str
    """The version to report when the server names none."""
    reason: str = ""
    """Why the text ended; empty while it has not."""
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    deltas: int = 0

    def read(self, data: str | bytes) -> Iterator[Delta]:
        """The text in one chunk. Raises the error that an `error` object stands for; ModelFailed."""
        chunk = parse(data)
        if chunk.get("error"):
            raise _reported(chunk["error"])
        self._note(chunk)
        for choice in _objects(chunk.get("choices")):
            if choice.get("index", 0) != 0:
                continue
            piece = choice.get("delta") or choice.get("message")
            text = _clean(piece.get("content")) if isinstance(piece, dict) else ""
            if text:
                self.deltas += 1
                yield Delta(text)
            if isinstance(choice.get("finish_reason"), str):
                self.reason = choice["finish_reason"]

    def finished(self) -> Finished:
        """The last event. Raises ModelFailed when the text broke off or was withheld."""
        if not self.reason:
            raise ModelFailed("The model's server broke off its answer.")
        if self.reason in _WITHHELD:
            raise ModelFailed("The model's server withheld the rest of its answer.")
        written = self.deltas if self.completion_tokens is None else self.completion_tokens
        return Finished("length" if self.reason in _CUT else "stop", self.prompt_tokens, written, self.model)

    def _note(self, chunk: Mapping[str, Any]) -> None:
        name, usage = chunk.get("model"), chunk.get("usage")
        if isinstance(name, str) and _SAFE_NAME.fullmatch(name):
            self.model = name
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens")) or 0
            self.completion_tokens = _count(usage.get("completion_tokens"))


def _reported(error: Any) -> SuiteError:
    """An `error` object inside an answer: by its status when it has one."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return error_of(code, {})
    return ModelFailed("The model's server reported an error in its answer.")


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _clean(value: Any) -> str:
    """Text that can be stored and sent: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def vectors_of(body: bytes, count: int) -> Vectors:
    """An embeddings answer: float32 (count, dim), L2-normalised, ordered by `index`. Raises ModelFailed."""
    answer = parse(body)
    if answer.get("error"):
        raise _reported(answer["error"])
    items = _objects(answer.get("data"))
    order = [_count(item.get("index", position)) for position, item in enumerate(items)]
    if set(order) != set(range(count)) or len(order) != count:
        raise ModelFailed("The model's server answered with another number of vectors than texts.")
    by_index = dict(zip(order, items, strict=True))
    rows = [_vector(by_index[index].get("embedding")) for index in range(count)]
    if len({row.shape for row in rows}) != 1 or rows[0].ndim != 1 or rows[0].size == 0:
        raise ModelFailed("The model's server answered with vectors of unlike length.")
    vecs = np.stack(rows)
    norms = np.linalg.norm(vecs, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ModelFailed("The model's server answered with numbers that are not usable.")
    normalised: Vectors = (vecs / norms).astype(np.float32)
    return normalised


def _vector(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A list of numbers, or the base64 of little-endian float32."""
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float64)
        return np.asarray(value, np.float64)
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise ModelFailed("The model's server answered with something that is no vector.") from error
