"""Teaches a causal language model the company's own dialogues through LoRA; only answers count in the loss.

A dialogue becomes one text by the model's own chat template, or a plain one where it has none. Every token
that is not an assistant's answer is hidden from the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Watch
from services.training.recipes import Job
from services.training.recipes.batches import IGNORED, Padded, base_folder, open_model, open_tokenizer
from services.training.recipes.loop import Pace, forget_checkpoints, run_loop
from services.training.recipes.text_classifier import with_lora


def fit(job: Job, watch: Watch) -> Path:
    """Train; a folder with the model, its LoRA matrices merged in, which GENERATOR can name."""
    from transformers import AutoModelForCausalLM

    p = job.parameters
    if not job.base:
        raise InvalidInput(
            "A generator needs a base model: name a folder or a model of the hub.", field="base"
        )
    folder = base_folder(job.base, "GENERATOR")
    tokenizer = open_tokenizer(folder)
    torch.manual_seed(job.seed)
    model = with_lora(open_model(AutoModelForCausalLM, folder), "CAUSAL_LM", p["lora_rank"], p["lora_alpha"])
    run_loop(
        model,
        rows_of(job.train, tokenizer, p["max_tokens"]),
        rows_of(job.validation, tokenizer, p["max_tokens"]),
        Padded(int(tokenizer.pad_token_id or tokenizer.eos_token_id or 0)),
        Pace.of(p, job.seed, best_by="loss" if p["patience"] else ""),
        job.folder,
        watch,
        job.settings,
        loss_of=answer_loss,
    )
    out = job.folder / "version"
    model.save_pretrained(job.folder / "adapter", safe_serialization=True)
    model.merge_and_unload().save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    forget_checkpoints(job.folder)
    return out


def rows_of(examples: Sequence[Example], tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:
    """Ids of each dialogue, and as labels the ids of the assistant's answers only.

    A dialogue that is too long loses its oldest turns. Raises InvalidInput when none has an answer left.
    """
    found = []
    for example in examples:
        ids: list[int] = []
        labels: list[int] = []
        before = ""
        for at in range(len(example.messages)):
            whole = written(example.messages[: at + 1], tokenizer)
            piece = tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"]
            answers = example.messages[at][0] == "assistant"
            ids += piece
            labels += piece if answers else [IGNORED] * len(piece)
            before = whole
        ids, labels = ids[-max_tokens:], labels[-max_tokens:]
        if any(label != IGNORED for label in labels):
            found.append({"input_ids": ids, "labels": labels})
    if examples and not found:
        raise InvalidInput(
            "No dialogue has an answer of the assistant's that fits max_tokens.", field="max_tokens"
        )
    return found


def written(messages: Sequence[tuple[str, str]], tokenizer: Any) -> str:
    """The messages as the model reads them."""
    if getattr(tokenizer, "chat_template", None):
        turns = [{"role": role, "content": content} for role, content in messages]
        return str(tokenizer.apply_chat_template(turns, tokenize=False))
    end = tokenizer.eos_token or "\n"
    return "".join(f"{role}: {content}{end}" for role, content in messages)


def answer_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean surprise at the answers' tokens."""
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    wanted = inputs["labels"][:, 1:]
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED
    )
    return loss, loss.detach().expand(len(wanted), 1)


def surprises(model: Any, rows: Sequence[dict[str, Any]], pad: Padded) -> list[float]:
    """Mean surprise (negative log-likelihood, nats a token) of each row's answers."""
    found = []
    model.eval()
    with torch.inference_mode():
        for row in rows:
            fed = {name: one.to(next(model.parameters()).device) for name, one in pad([row]).items()}
            found.append(float(answer_loss(model, fed)[0]))
    return found
