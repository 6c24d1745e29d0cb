"""The lower layers of an encoder, left as they are and computed once: training then costs less than half.

What they say of every row is kept in memory (two bytes a number) and fed to the upper layers; the layers
themselves are set aside meanwhile, so that no step runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from services.errors import InvalidInput
from services.training.recipes.batches import Padded


class Passing(torch.nn.Module):
    """Stands where a layer was: gives on what it was given, or what was put in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.put: torch.Tensor | None = None

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """float (n, width, dim)."""
        return hidden if self.put is None else self.put.to(hidden.dtype)


def layers_of(encoder: Any) -> torch.nn.ModuleList:
    """The encoder's layers. Raises InvalidInput when they cannot be told."""
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.ModuleList) and name.split(".")[-1] in {"layer", "layers"}:
            return module
    raise InvalidInput(
        "The layers of this base cannot be told apart: set frozen_layers to 0.", field="frozen_layers"
    )


def fix(encoder: Any, count: int) -> None:
    """The embeddings and the first `count` layers learn nothing."""
    layers = layers_of(encoder)
    if count >= len(layers):
        raise InvalidInput(
            f"The base has {len(layers)} layers: frozen_layers is less than that.", field="frozen_layers"
        )
    for name, parameter in encoder.named_parameters():
        if "embeddings" in name:
            parameter.requires_grad_(False)
    for layer in layers[:count]:
        layer.requires_grad_(False)


def states(encoder: Any, count: int, ids: Sequence[Sequence[int]], batch: int = 64) -> list[torch.Tensor]:
    """What the first `count` layers say of each row: bfloat16 (length, dim), on the CPU."""
    caught: list[torch.Tensor] = []
    layer = layers_of(encoder)[count]
    hook = layer.register_forward_pre_hook(lambda module, args: caught.append(args[0]))
    above = layers_of(encoder)[count:]
    whole = [one.forward for one in above]
    device = next(encoder.parameters()).device
    found: list[torch.Tensor] = [torch.empty(0)] * len(ids)
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    pad = Padded(0)
    encoder.eval()
    try:
        for one in above:
            one.forward = lambda hidden, *_, **__: hidden
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                caught.clear()
                encoder(**{k: v.to(device) for k, v in pad([{"input_ids": ids[at]} for at in part]).items()})
                for row, at in enumerate(part):
                    found[at] = caught[0][row, : len(ids[at])].to(torch.bfloat16).cpu().clone()
    finally:
        hook.remove()
        for one, forward in zip(above, whole, strict=True):
            one.forward = forward
    return found


class SetAside:
    """While it is entered, the first `count` layers are passed by; `put` says what the next one is given."""

    def __init__(self, encoder: Any, count: int) -> None:
        self._layers = layers_of(encoder)
        self._kept = list(self._layers[:count])
        self._count = count
        self.last = Passing()

    def __enter__(self) -> SetAside:
        for at in range(self._count):
            self._layers[at] = self.last if at == self._count - 1 else Passing()
        return self

    def __exit__(self, *_: object) -> None:
        for at, layer in enumerate(self._kept):
            self._layers[at] = layer
