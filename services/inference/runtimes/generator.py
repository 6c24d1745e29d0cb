"""A causal language model in torch that writes token by token: on a GPU in bfloat16, else in float32.

Each text is written in a thread of its own, at most `concurrency` at once; a few more may wait. The thread
looks between any two tokens whether the reader has left or the deadline has passed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from services.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ModelUnavailable,
    Overloaded,
    SuiteError,
)
from services.inference.stopping import StopFilter
from services.inference.values import (
    ChatMessage,
    Delta,
    Failed,
    Finished,
    GenerateEvent,
    ModelInfo,
    Sampling,
)
from services.logs import get_logger

log = get_logger(__name__)

_WAITING_PER_WRITER = 8
_REPLACEMENT = "\ufffd"
_Post = Callable[[GenerateEvent | SuiteError], None]


class LocalGenerator:
    """A model folder with safetensors, a tokenizer and, for chats, a chat template."""

    def __init__(self, folder: Path, name: str, version: str, device: str, concurrency: int = 1) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.bfloat16 if device == "cuda" else torch.float32,
                attn_implementation="sdpa",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise ModelUnavailable(
                f"The generator {name} does not load ({type(error).__name__}). Check GENERATOR."
            ) from error
        self._model: Any = model.to(device).eval()
        self._device = device
        self._window = int(getattr(self._model.config, "max_position_embeddings", 0) or 2048)
        self._version = version
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="generator")
        self._lock = threading.Lock()
        self._begun = 0
        self.info = ModelInfo("generate", "generator", name, version, "torch", device, loaded=True)

    async def chat(
        self, messages: Sequence[ChatMessage], sampling: Sampling, deadline_s: float | None
    ) -> AsyncGenerator[GenerateEvent]:
        """As `Engine.generate`."""
        deadline = None if deadline_s is None else time.monotonic() + deadline_s
        ids = self._prompt(messages, sampling)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[GenerateEvent | SuiteError] = asyncio.Queue()
        left = threading.Event()

        def post(event: GenerateEvent | SuiteError) -> None:
            if not left.is_set():
                loop.call_soon_threadsafe(events.put_nowait, event)

        self._admit()
        writing = self._pool.submit(self._write, ids, sampling, deadline, left, post)
        writing.add_done_callback(lambda _: self._done())
        begun = False
        try:
            while True:
                event = await events.get()
                if isinstance(event, SuiteError):
                    if not begun:
                        raise event
                    event = Failed(event.code, event.detail)
                begun = True
                yield event
                if not isinstance(event, Delta):
                    return
        finally:
            left.set()
            writing.cancel()

    def close(self) -> None:
        """Let nothing new begin; what is being written ends by itself when its reader leaves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _admit(self) -> None:
        with self._lock:
            if self._begun >= self._concurrency * (1 + _WAITING_PER_WRITER):
                raise Overloaded("Too many texts are being written; nothing was started.", retry_after_s=5.0)
            self._begun += 1

    def _done(self) -> None:
        with self._lock:
            self._begun -= 1

    def _prompt(self, messages: Sequence[ChatMessage], sampling: Sampling) -> Any:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        else:
            text = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns) + "\nassistant:"
        ids = self._tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        if ids.shape[1] + sampling.max_tokens > self._window:
            raise InvalidInput(
                f"The messages have {ids.shape[1]} tokens and {sampling.max_tokens} more may be written; "
                f"this model reads {self._window} in all. Send less, or ask for fewer.",
                field="messages",
            )
        return ids

    def _write(
        self, ids: Any, sampling: Sampling, deadline: float | None, left: threading.Event, post: _Post
    ) -> None:
        """One text, event by event. Every way out posts exactly one last event."""
        try:
            self._write_tokens(ids, sampling, deadline, left, post)
        except SuiteError as error:
            post(error)
        except Exception as error:
            log.exception("generator_failed", version=self._version)
            failure = ModelFailed("The model raised an error.")
            failure.__cause__ = error
            post(failure)

    @torch.inference_mode()
    def _write_tokens(
        self, ids: Any, sampling: Sampling, deadline: float | None, left: threading.Event, post: _Post
    ) -> None:
        ends = _ids(self._model.generation_config.eos_token_id) | _ids(self._tokenizer.eos_token_id)
        draw = torch.Generator(self._device)
        draw.manual_seed(sampling.seed) if sampling.seed is not None else draw.seed()
        stops = StopFilter(sampling.stop)
        written: list[int] = []
        told, past, step = 0, None, ids.to(self._device)
        reason = "length"
        while len(written) < sampling.max_tokens and reason == "length":
            if left.is_set():
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceeded("The text was not finished in time.")
            found = self._model(input_ids=step, past_key_values=past, use_cache=True)
            past = found.past_key_values
            token = _next(found.logits[0, -1].float(), sampling, draw)
            step = torch.tensor([[token]], device=self._device)
            written.append(token)
            if token in ends:
                reason = "stop"
            text = self._tokenizer.decode(written, skip_special_tokens=True)
            if not text.endswith(_REPLACEMENT) or reason == "stop":  # else half a character
                piece, stopped = stops.take(text[told:])
                told = len(text)
                if piece:
                    post(Delta(piece))
                if stopped:
                    reason = "stop"
        if rest := stops.rest():
            post(Delta(rest))
        post(Finished("stop" if reason == "stop" else "length", ids.shape[1], len(written), self._version))


def _next(logits: torch.Tensor, sampling: Sampling, draw: torch.Generator) -> int:
    """The likeliest token, or one drawn from the smallest set that holds `top_p` of the probability."""
    if not torch.isfinite(logits).all():
        raise ModelFailed("The model returned numbers that are not finite.")
    if sampling.temperature <= 0:
        return int(logits.argmax())
    probs = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ordered, order = probs.sort(descending=True)
        ordered[ordered.cumsum(-1) - ordered > sampling.top_p] = 0.0
        probs = torch.zeros_like(probs).scatter_(0, order, ordered)
    return int(torch.multinomial(probs, 1, generator=draw))


def _ids(found: Any) -> set[int]:
    return {int(one) for one in (found if isinstance(found, list | tuple) else [found]) if one is not None}
