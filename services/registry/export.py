"""A version as a package that runs without Trefoil: ONNX and OpenVINO, plain, pruned and in eight bits.

Takes classifiers, taggers, encoders and adapters (merged into their base). Every variant is run on sample
texts beside the original, so that what it lost and gained is a figure and not a promise.
A head that came from `manifest.json` needs Trefoil's own features and is refused.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.errors import Conflict, InvalidInput, ModelUnavailable, StorageFailed
from services.registry.manifest import MANIFEST
from services.registry.package import Answering, fill
from services.registry.store import ModelStore

Kind = Literal["onnx", "openvino"]
Variant = Literal["plain", "pruned", "int8"]
KINDS: tuple[Kind, ...] = ("onnx", "openvino")
VARIANTS: tuple[Variant, ...] = ("plain", "pruned", "int8")
PRUNED_SHARE = 0.3
_OPSET = 17
_BATCH = 16
_TIMED_ROUNDS = 3

Floats = NDArray[np.float32]
Inputs = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Exported:
    """One variant and what it measured on the samples.

    `agreement` is the share of answers (of tokens, for a tagger) that are those of the original; for an
    encoder the mean cosine with its vectors. `accuracy` and `loss` (the original's accuracy less this one's)
    are None without labels. `time_ratio` is its time a text by that of the plain variant of its kind.
    """

    kind: Kind
    variant: Variant
    file: str
    bytes: int
    agreement: float
    accuracy: float | None
    loss: float | None
    ms_per_text: float
    time_ratio: float


@dataclass(frozen=True, slots=True)
class Samples:
    """Texts to measure on, and the label of each (of a classifier) when they are known."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def export(
    store: ModelStore,
    task: str,
    version: str,
    target: Path,
    samples: Samples,
    *,
    kinds: Sequence[Kind] = KINDS,
    variants: Sequence[Variant] = VARIANTS,
    pruned_share: float = PRUNED_SHARE,
    find_base: Callable[[str], Path] = Path,
) -> list[Exported]:
    """Write the package into a folder that is not there yet, whole or not at all; what each variant measured.

    `find_base` finds the folder of an adapter's base model by its name.
    Raises Conflict (the folder exists), InvalidInput (nothing to measure on, or a kind of version that cannot
    be exported), ModelUnavailable (it does not load), StorageFailed.
    """
    _require(target, samples, pruned_share)
    folder = store.open(task, version)
    model, answering, tokenizer = _loaded(folder, find_base)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        fill(part, answering, tokenizer, f"{task} {version}", folder / "README.md")
        done = _variants(model, answering, tokenizer, part, samples, kinds, variants, pruned_share)
        (part / "measured.json").write_text(json.dumps([asdict(one) for one in done], indent=1) + "\n")
        os.replace(part, target)
    except OSError as error:
        raise StorageFailed(f"The package could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return done


def _require(target: Path, samples: Samples, pruned_share: float) -> None:
    if target.exists():
        raise Conflict(f"{target.name} exists already; give a folder that is not there yet.")
    if not samples.texts:
        raise InvalidInput("Give sample texts: without them nothing can be measured.", field="texts")
    if samples.labels and len(samples.labels) != len(samples.texts):
        raise InvalidInput("There are not as many labels as texts.", field="labels")
    if not 0 < pruned_share < 1:
        raise InvalidInput("The share to prune is between 0 and 1.", field="pruned_share")


def _loaded(folder: Path, find_base: Callable[[str], Path]) -> tuple[Any, Answering, Path]:
    """The module (ids, mask[, types] -> logits or vectors), how to read its answers, its tokenizer.json."""
    if (folder / MANIFEST).is_file() and not (folder / "config.json").is_file():
        raise InvalidInput(
            "This version is a head over the encoder's vectors and Trefoil's own features, which a package "
            "without Trefoil cannot compute. Train the task with the recipe text_classifier and export that.",
            field="version",
        )
    adapter = _json(folder / "adapter_config.json")
    base = folder
    if adapter:
        base = find_base(str(adapter.get("base_model_name_or_path", "")))
        if not (base / "config.json").is_file():
            raise ModelUnavailable("The base model of the adapter is not to be found here.")
    config = _json(folder / "config.json") or _json(base / "config.json")
    kind = _kind(adapter, _json(base / "config.json"))
    labels = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    sentence = _json(base / "sentence_bert_config.json")
    answering = Answering(
        kind=kind,
        labels=() if kind == "encoder" else tuple(str(labels[key]) for key in sorted(labels, key=int)),
        exclusive=config.get("problem_type") != "multi_label_classification",
        temperature=float(_json(folder / "calibration.json").get("temperature", 1.0)),
        max_tokens=_max_tokens(base),
        lowercase=bool(sentence.get("do_lower_case", False)),
        takes_types=False,
    )
    tokenizer = next(
        (at / "tokenizer.json" for at in (folder, base) if (at / "tokenizer.json").is_file()), None
    )
    if tokenizer is None:
        raise InvalidInput("The version has no tokenizer.json; a package needs one.", field="version")
    model = _torch_model(base, folder if adapter else None, kind, len(answering.labels))
    wrapped = _wrapped(model, kind, _pools_by_first(base))
    return wrapped, replace(answering, takes_types=wrapped.takes_types), tokenizer


def _kind(adapter: dict[str, Any], config: dict[str, Any]) -> Literal["classifier", "tagger", "encoder"]:
    architecture = str((config.get("architectures") or [""])[0])
    told = str(adapter.get("task_type", "")) or architecture
    if told == "SEQ_CLS" or told.endswith("ForSequenceClassification"):
        return "classifier"
    if told == "TOKEN_CLS" or told.endswith("ForTokenClassification"):
        return "tagger"
    if not adapter and (architecture.endswith("Model") or architecture.endswith("ForMaskedLM")):
        return "encoder"
    raise InvalidInput(
        f"A version of the kind {told or 'unknown'} cannot be exported: classifiers, taggers, encoders can.",
        field="version",
    )


def _torch_model(base: Path, adapter: Path | None, kind: str, n_labels: int) -> Any:
    import transformers

    names = {
        "classifier": "AutoModelForSequenceClassification",
        "tagger": "AutoModelForTokenClassification",
        "encoder": "AutoModel",
    }
    options = {"num_labels": n_labels} if adapter else {}
    try:
        model = getattr(transformers, names[kind]).from_pretrained(
            base,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
        if adapter is not None:
            from peft import PeftModel

            adapted: Any = PeftModel.from_pretrained(model, str(adapter), use_safetensors=True)
            model = adapted.merge_and_unload()
    except Exception as error:
        raise ModelUnavailable(f"The weights of {base.name} do not load ({type(error).__name__}).") from error
    return model.eval().float()


def _wrapped(model: Any, kind: str, by_first: bool) -> Any:
    import inspect

    import torch

    takes = "token_type_ids" in inspect.signature(model.forward).parameters
    takes = takes and int(getattr(model.config, "type_vocab_size", 0) or 0) > 0

    class Answers(torch.nn.Module):
        """ids, mask[, types] int64 (n, width) -> logits (n[, width], labels), or vectors (n, dim)."""

        takes_types = takes

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            found = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra)
            if kind != "encoder":
                return found.logits
            hidden = found.last_hidden_state
            if by_first:
                pooled = hidden[:, 0]
            else:
                kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
                pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0)
            return torch.nn.functional.normalize(pooled, dim=1)

    return Answers().eval()


def _variants(
    model: Any,
    answering: Answering,
    tokenizer: Path,
    folder: Path,
    samples: Samples,
    kinds: Sequence[Kind],
    variants: Sequence[Variant],
    pruned_share: float,
) -> list[Exported]:
    batches = _batches(samples.texts, answering, tokenizer)
    original = _by_torch(model, batches)
    right = _accuracy(original, answering, samples.labels)
    done: list[Exported] = []
    for kind in kinds:
        plain_ms = 0.0
        for variant in dict.fromkeys(("plain", *variants)):  # plain is what the others are compared with
            made = _pruned(model, pruned_share) if variant == "pruned" else model
            file = _write(made, kind, variant, folder, batches[0])
            answers, ms = _by_openvino(file, batches)
            plain_ms = plain_ms or ms
            accuracy = _accuracy(answers, answering, samples.labels)
            one = Exported(
                kind=kind,
                variant=variant,
                file=file.name,
                bytes=sum(f.stat().st_size for f in folder.glob(f"{file.stem}.*") if _belongs(f, kind)),
                agreement=round(_agreement(original, answers, answering), 4),
                accuracy=accuracy,
                loss=None if right is None or accuracy is None else round(right - accuracy, 4),
                ms_per_text=round(ms / len(samples.texts), 3),
                time_ratio=round(ms / plain_ms, 3),
            )
            if variant in variants:
                done.append(one)
            else:
                for left in folder.glob(f"{file.stem}.*"):
                    if _belongs(left, kind):
                        left.unlink()
    return done


def _belongs(file: Path, kind: Kind) -> bool:
    return (file.suffix == ".onnx") == (kind == "onnx")


def _write(model: Any, kind: Kind, variant: str, folder: Path, example: Inputs) -> Path:
    """The variant's file: .onnx, or .xml with a .bin beside it."""
    import openvino
    import torch

    from services.registry.rounding import round_weights

    given = tuple(torch.from_numpy(part[:2]) for part in example.values())
    file = folder / f"{variant}{'' if kind == 'onnx' else '-staged'}.onnx"
    torch.onnx.export(
        model,
        given,
        str(file),
        dynamo=False,
        opset_version=_OPSET,
        input_names=list(example),
        output_names=["answers"],
        dynamic_axes={name: {0: "n", 1: "width"} for name in example} | {"answers": {0: "n"}},
    )
    if variant == "int8":
        round_weights(file)
    if kind == "onnx":
        return file
    found = openvino.convert_model(str(file))
    file.unlink()
    converted = folder / f"{variant}.xml"
    openvino.save_model(found, converted, compress_to_fp16=False)
    return converted


def _pruned(model: Any, share: float) -> Any:
    """A copy whose linear layers, but the last, have their smallest weights at zero (by magnitude)."""
    import torch
    from torch.nn.utils import prune as pruning

    prune: Any = pruning
    smaller = copy.deepcopy(model)
    layers = [one for one in smaller.modules() if isinstance(one, torch.nn.Linear)]
    for layer in layers[:-1]:
        prune.l1_unstructured(layer, "weight", amount=share)
        prune.remove(layer, "weight")
    return smaller


def _batches(texts: Sequence[str], answering: Answering, tokenizer: Path) -> list[Inputs]:
    from tokenizers import Tokenizer

    encode = Tokenizer.from_file(str(tokenizer))
    encode.enable_truncation(answering.max_tokens)
    encode.enable_padding(pad_id=_pad_id(encode))
    if answering.lowercase:
        texts = [text.lower() for text in texts]
    found = []
    for at in range(0, len(texts), _BATCH):
        rows = encode.encode_batch(list(texts[at : at + _BATCH]))
        inputs = {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
        }
        if answering.takes_types:
            inputs["token_type_ids"] = np.array([row.type_ids for row in rows], np.int64)
        found.append(inputs)
    if len(found[0]["input_ids"]) == 1:  # the form is traced with two rows, so that none is taken for fixed
        found[0] = {name: np.repeat(part, 2, axis=0) for name, part in found[0].items()}
    return found


def _by_torch(model: Any, batches: Sequence[Inputs]) -> list[Floats]:
    import torch

    with torch.inference_mode():
        return [
            model(*(torch.from_numpy(part) for part in batch.values())).numpy().astype(np.float32)
            for batch in batches
        ]


def _by_openvino(file: Path, batches: Sequence[Inputs]) -> tuple[list[Floats], float]:
    """The answers, and the milliseconds of the fastest of some rounds."""
    import openvino

    run = openvino.Core().compile_model(file, "CPU")
    best = float("inf")
    answers: list[Floats] = [np.asarray(run(batch)[0], np.float32) for batch in batches]
    for _ in range(_TIMED_ROUNDS):
        began = time.perf_counter()
        for batch in batches:
            run(batch)
        best = min(best, (time.perf_counter() - began) * 1000)
    return answers, best


def _agreement(original: list[Floats], answers: list[Floats], answering: Answering) -> float:
    if answering.kind == "encoder":
        rows = [(a * b).sum(-1) for a, b in zip(original, answers, strict=True)]
        return float(np.concatenate(rows).mean())
    if answering.exclusive:
        same = [(a.argmax(-1) == b.argmax(-1)).ravel() for a, b in zip(original, answers, strict=True)]
    else:
        same = [((a > 0) == (b > 0)).ravel() for a, b in zip(original, answers, strict=True)]
    return float(np.concatenate(same).mean())


def _accuracy(answers: list[Floats], answering: Answering, labels: Sequence[str]) -> float | None:
    if not labels or answering.kind != "classifier" or not answering.exclusive:
        return None
    said = np.concatenate([part.argmax(-1) for part in answers])[: len(labels)]
    right = [answering.labels[k] == label for k, label in zip(said, labels, strict=True)]
    return round(float(np.mean(right)), 4)


def _pad_id(encode: Any) -> int:
    return next((at for token in ("[PAD]", "<pad>") if (at := encode.token_to_id(token)) is not None), 0)


def _max_tokens(folder: Path) -> int:
    limits = [
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
        _json(folder / "config.json").get("max_position_embeddings"),
    ]
    return int(min([limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**6], default=512))


def _pools_by_first(folder: Path) -> bool:
    found = _json(folder / "1_Pooling" / "config.json")
    return bool(found.get("pooling_mode_cls_token")) or found.get("pooling_mode") == "cls"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
