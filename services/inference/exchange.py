"""What goes to an inference server and comes back, seen from its caller: requests from values, values and
errors from answers. `wire.py` is the same seen from the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import orjson

from services.errors import (
    MalformedRequest,
    ModelFailed,
    ModelUnavailable,
    Overloaded,
    RateLimited,
    SuiteError,
    Unavailable,
    every_error,
)
from services.inference import wire
from services.inference.values import ClassScores, Entity, Pair, Relevance, Tagged, Vectors

TEXTS_A_REQUEST = 512
_ERRORS = {known.code: known for known in every_error()}


def error(response: httpx.Response) -> SuiteError:
    """The server's typed error; a stranger's (a proxy's) by its status."""
    try:
        found = orjson.loads(response.content)["error"]
        cls, detail, name = _ERRORS[found["code"]], str(found["message"])[:500], found.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError):
        if response.status_code >= 500 or response.status_code == 429:
            return Unavailable("An inference server is not available at the moment.")
        return ModelFailed(f"An inference server answered with the status {response.status_code}.")
    if cls.code == "not_authenticated":
        return ModelUnavailable("The inference server refuses the key: check INFERENCE_API_KEY.")
    if issubclass(cls, Overloaded | RateLimited):
        wait = response.headers.get("retry-after", "1")
        return cls(detail, retry_after_s=float(wait) if wait.isdigit() else 1.0)
    if issubclass(cls, MalformedRequest):
        return ModelFailed("An inference server could not read our request.")
    return cls(detail, field=name)


def parts(texts: Sequence[str]) -> list[Sequence[str]]:
    """A large call in requests of their own."""
    return [texts[at : at + TEXTS_A_REQUEST] for at in range(0, len(texts), TEXTS_A_REQUEST)]


def sound(text: str) -> str:
    """Half surrogate pairs, which have no UTF-8, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def embed_body(texts: Sequence[str]) -> bytes:
    """A request for vectors."""
    return dump({"input": list(texts), "encoding_format": "base64"})


def pairs_body(task: str, pairs: Sequence[Pair]) -> bytes:
    """A request for classes."""
    return dump({"task": task, "input": [{"text": text, "towards": towards} for text, towards in pairs]})


def dump(found: Any) -> bytes:
    """JSON; half surrogate pairs, which have no UTF-8, become question marks."""
    try:
        return orjson.dumps(found)
    except TypeError:
        return orjson.dumps(_clean(found))


def _clean(found: Any) -> Any:
    if isinstance(found, str):
        return sound(found)
    if isinstance(found, list):
        return [_clean(one) for one in found]
    return {key: _clean(value) for key, value in found.items()} if isinstance(found, dict) else found


def embeddings(answer: bytes, count: int) -> tuple[Vectors, str]:
    """Vectors in the order of the texts, and the version that made them. Raises ModelFailed."""
    try:
        found = orjson.loads(answer)
        rows = sorted(found["data"], key=lambda row: int(row["index"]))
        vecs = [wire.read_vector(row["embedding"]) for row in rows]
        if len(vecs) != count or len({len(vec) for vec in vecs}) > 1:
            raise ValueError("not one vector a text")
        return np.stack(vecs), str(found["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailed("An inference server's answer is not a list of embeddings.") from error


def relevance(answer: bytes, count: int) -> Relevance:
    """Scores in the order of the texts. Raises ModelFailed."""
    try:
        found = orjson.loads(answer)
        scores = np.full(count, np.nan, np.float32)
        for row in found["results"]:
            scores[row["index"]] = row["relevance_score"]
        if not np.isfinite(scores).all():
            raise ValueError("not one score a text")
        return Relevance(scores, str(found["model"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFailed("An inference server's answer is not a list of scores.") from error


def scores(answer: bytes, count: int) -> ClassScores:
    """Probabilities by text. Raises ModelFailed."""
    try:
        found = orjson.loads(answer)
        labels = tuple(map(str, found["labels"]))
        probs = np.asarray(found["data"], np.float32).reshape(count, len(labels))
        return ClassScores(labels, probs, str(found["model"]), bool(found["exclusive"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailed("An inference server's answer is not a list of probabilities.") from error


def tagged(answer: bytes, count: int) -> Tagged:
    """Entities by text. Raises ModelFailed."""
    try:
        found = orjson.loads(answer)
        rows = tuple(tuple(Entity(**one) for one in row) for row in found["data"])
        if len(rows) != count:
            raise ValueError("not one row a text")
        return Tagged(rows, str(found["model"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailed("An inference server's answer is not a list of entities.") from error
