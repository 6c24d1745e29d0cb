"""The change that training made to a transformer, kept as LoRA matrices: the part of it that fits a rank.

For each linear layer the difference between tuned and base weights is cut to its largest singular values
(Eckart and Young, 1936), which is the closest change of that rank. Biases and layer norms are small and are
kept whole.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from services.training.recipes.batches import open_model

TARGETS = ("query", "key", "value", "dense")
"""Names of the linear layers of BERT-like encoders."""


def extract_lora(tuned: Any, base_folder: Path, rank: int) -> Any:
    """A peft model over the base that computes as `tuned` does, up to what does not fit the rank.

    The adapter has the biases as well; layer norms' weights are the base's. Call it before calibrating.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    base = open_model(AutoModel, base_folder)
    device = next(tuned.parameters()).device
    changes = {
        name: (
            module.weight.detach().cpu().float(),
            None if module.bias is None else module.bias.detach().cpu(),
        )
        for name, module in tuned.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    biases = {
        name: parameter.detach().cpu()
        for name, parameter in tuned.named_parameters()
        if name.endswith("LayerNorm.bias")
    }
    moved = sorted(
        {
            int(layer.group(1))
            for name, (weight, _) in changes.items()
            if (layer := re.search(r"layers?\.(\d+)\.", name))
            and not torch.equal(weight, dict(base.named_modules())[name].weight.detach().float())
        }
    )
    adapted: Any = get_peft_model(
        base,
        LoraConfig(
            r=rank,
            lora_alpha=rank,
            target_modules=list(TARGETS),
            bias="all",
            layers_to_transform=moved or None,
            exclude_modules=".*pooler.*",
        ),
    )
    for name, module in adapted.base_model.model.named_modules():
        if not hasattr(module, "lora_A") or name not in changes:
            continue
        weight, bias = changes[name]
        change = weight - module.base_layer.weight.detach().float()
        u, s, v = torch.linalg.svd(change, full_matrices=False)
        root = s[:rank].sqrt()
        module.lora_B["default"].weight.data = (u[:, :rank] * root).contiguous()
        module.lora_A["default"].weight.data = (root[:, None] * v[:rank]).contiguous()
        if bias is not None:
            module.base_layer.bias.data = bias.clone()
    found = dict(adapted.base_model.model.named_parameters())
    for name, value in biases.items():
        if name in found:
            found[name].data = value.clone()
    return adapted.to(device)


def plain_adapter(folder: Path, base: str) -> None:
    """An adapter as peft saved it, made fit to be given on.

    The base by its name, not by where it lies here; weights in float16, half the bytes.
    """
    from safetensors.torch import load_file, save_file

    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    told = json.dumps(config | {"base_model_name_or_path": base}, indent=1, sort_keys=True)
    path.write_text(f"{told}\n", encoding="utf-8")
    file = folder / "adapter_model.safetensors"
    save_file({name: one.half().contiguous() for name, one in load_file(file).items()}, file)
