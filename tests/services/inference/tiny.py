"""A causal language model small enough to be made on the spot: random weights, a real tokenizer.

What it writes means nothing; that it writes, streams and stops is what tests need.
"""

from __future__ import annotations

from pathlib import Path

LINES = (
    "A parcel leaves the warehouse on the day it is ordered.",
    "Returns are free within thirty days, with the receipt.",
    "The invoice is sent by post, or as a file when you ask for it.",
    "包裹在下单当天发出。",
    "三十天内凭收据免费退货。",
)
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tiny_generator(folder: Path) -> Path:
    """Write a Llama of two layers (safetensors), its tokenizer and chat template into `folder`; return it.

    The weights are drawn with a fixed seed, torch's own state left as it was; the vocabulary is trained
    on `LINES`, bytes as a last resort, so any text can be read. 512 tokens of context.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    roles = ["<|system|>", "<|user|>", "<|assistant|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>", "<pad>", *roles],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=roles,
        model_max_length=512,
    )
    fast.chat_template = _TEMPLATE
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
