"""Which words of a text made a classifier answer as it did?

Integrated gradients (Sundararajan, Taly, Yan, 2017) through a transformer's word embeddings, with captum; and
for any classifier what changes when one word is left out. Weights explain the model, not the world.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.values import Pair

if TYPE_CHECKING:
    from services.inference.runtimes.torch import Logits

Classify = Callable[[list[Pair]], NDArray[np.float32]]

MOST_WORDS = 400
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text, `text[start:end]`; a positive weight speaks for the label."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The tokens of the text in order, and how much of the answer they do not account for.

    `error` is the difference between the sum of all weights (those of special tokens and of the entity asked
    about, too) and the label's logit minus that of an empty text; 0 where words are left out.
    """

    tokens: tuple[Token, ...]
    error: float


def attributions(
    module: Logits, tokenizer: Any, text: str, entity: str | None, label: int, steps: int = 32
) -> Explanation:
    """How each token speaks for the logit of `label`, from the embeddings of padding to those of the text.

    `module` is a classifier as `load_task_module` gives it, on the CPU or a GPU; `tokenizer` a
    `tokenizers.Tokenizer` that cuts at what the model takes. `steps` of the integral: more make `error` less.
    """
    import torch
    from captum.attr import LayerIntegratedGradients

    encoding = tokenizer.encode(text, entity) if entity else tokenizer.encode(text)
    device = next(module.parameters()).device
    ids = torch.tensor([encoding.ids], device=device)
    padding = int(getattr(module.model.config, "pad_token_id", 0) or 0)
    special = torch.tensor([encoding.special_tokens_mask], device=device).bool()
    empty = torch.where(special, ids, torch.full_like(ids, padding))
    mask = torch.ones_like(ids)
    method = LayerIntegratedGradients(module, module.model.get_input_embeddings())
    weights, error = method.attribute(
        ids,
        baselines=empty,
        target=label,
        additional_forward_args=(mask,),
        n_steps=steps,
        internal_batch_size=8,
        return_convergence_delta=True,
    )
    by_token = weights.sum(dim=-1)[0].tolist()
    tokens = tuple(
        Token(start, end, float(weight))
        for (start, end), weight, side in zip(encoding.offsets, by_token, encoding.sequence_ids, strict=True)
        if side == 0 and end > start
    )
    return Explanation(tokens, abs(float(error[0])))


def left_out(classify: Classify, text: str, entity: str | None, label: int) -> Explanation:
    """How much less probable the label is without each word, for any classifier (pairs -> probs (n, k)).

    Raises InvalidInput for a text of more than 400 words.
    """
    places = [match.span() for match in _WORD.finditer(text)]
    if len(places) > MOST_WORDS:
        raise InvalidInput(f"At most {MOST_WORDS} words can be explained.", field="text")
    shorter = [
        (text[:start] + text[end:].lstrip() if start else text[end:].lstrip()) for start, end in places
    ]
    probs = classify([(text, entity), *((words, entity) for words in shorter)])[:, label]
    return Explanation(
        tuple(
            Token(start, end, float(probs[0] - without))
            for (start, end), without in zip(places, probs[1:], strict=True)
        ),
        0.0,
    )
