"""An encoder without weights on the real queue: what it does with a batch is up to the test."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.inference.loading import LoadedEncoder
from services.inference.values import EncoderInfo, Vectors

DIM = 8
Ids = Sequence[Sequence[int]]


class ScriptedModel:
    """A token is a character. `does` is called with each batch first: it may wait, raise, or answer."""

    name = "scripted"
    device = "cpu"
    lanes = 1
    token_budget = 1024
    packed_up_to = 0

    def __init__(self, does: Callable[[list[str]], Vectors | None] = lambda texts: None) -> None:
        self.does = does
        self.texts: list[str] = []
        """Every text that was run, in order."""

    def run(self, token_ids: Ids) -> Vectors:
        texts = ["".join(map(chr, ids)) for ids in token_ids]
        self.texts += texts
        answer = self.does(texts)
        return vectors(texts) if answer is None else answer

    def loaded(self, *_: Any) -> LoadedEncoder:
        """In the place of `services.inference.serving.load_encoder`."""
        info = EncoderInfo("scripted", "scripted-1", DIM, 512, "scripted", "cpu", ("en", "zh"))
        return LoadedEncoder(info, _characters, self, Path())  # type: ignore[arg-type]


class Gate:
    """Holds the model in the middle of a batch until the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, texts: list[str]) -> None:
        self.entered.set()
        assert self.opened.wait(60)


def vectors(texts: Sequence[str]) -> Vectors:
    """float32 (n, DIM), L2-normalised, different for different texts."""
    rows = [np.frombuffer(hashlib.blake2b(t.encode(), digest_size=DIM).digest(), np.uint8) for t in texts]
    vecs = np.stack(rows).astype(np.float32) + 1.0
    return np.asarray(vecs / np.linalg.norm(vecs, axis=1, keepdims=True), np.float32)


def _characters(texts: Sequence[str]) -> list[list[int]]:
    return [[ord(char) for char in text[:512]] or [0] for text in texts]
