"""Classifiers, taggers, rerankers and adapters made on the spot: random weights, real files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LINE = "the parcel refund bank raised its forecast delivery of Acme Borealis in Rome is late"
WORDS = _LINE.split()


def write_tokenizer(folder: Path, max_tokens: int = 64) -> None:
    """A WordPiece tokenizer as BERT has it, over WORDS and single characters."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters,
        *(f"##{one}" for one in letters),
    ]
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=False)
    BertTokenizerFast(tokenizer_object=tokenizer._tokenizer, model_max_length=max_tokens).save_pretrained(
        folder
    )


def make_model(
    folder: Path, kind: str, labels: Sequence[str], seed: int = 3, max_tokens: int = 64, **config: Any
) -> Path:
    """`kind` is ForSequenceClassification, ForTokenClassification or Model; weights differ by seed."""
    import torch
    import transformers

    write_tokenizer(folder, max_tokens)
    settings = transformers.BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=max_tokens,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
        **config,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"Bert{kind}")(settings)
        for parameter in model.parameters():  # the usual first weights make every answer alike
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path, labels: Sequence[str], seed: int = 5) -> Path:
    """LoRA weights and a head of their own over a base encoder, as peft saves them."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForSequenceClassification

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
        adapted = get_peft_model(
            model, LoraConfig(task_type=TaskType.SEQ_CLS, r=4, target_modules=["query", "value"])
        )
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(folder)
    saved = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(saved | {"base_model_name_or_path": str(base)}))
    (folder / "config.json").write_text(json.dumps({"id2label": dict(enumerate(labels))}))
    return folder
