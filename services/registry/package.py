"""What lies beside the weights of an exported package: tokenizer, labels, a predict.py and a README."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

PREDICT = '''"""Answer texts: python predict.py [--model plain.onnx] TEXT... One line of JSON a text."""

import argparse
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).parent
HOW = json.loads((HERE / "answering.json").read_text(encoding="utf-8"))


def session(file):
    """inputs -> the first output: OpenVINO for both kinds of file, else ONNX Runtime for .onnx."""
    try:
        import openvino
    except ImportError:
        import onnxruntime
        run = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return lambda inputs: run.run(None, inputs)[0]
    run = openvino.Core().compile_model(file, "CPU")
    return lambda inputs: run(inputs)[0]


def answer(row, found, text):
    if HOW["kind"] == "encoder":
        return {"vector": [round(float(value), 6) for value in found]}
    scaled = found / HOW["temperature"]
    if HOW["kind"] == "classifier" and not HOW["exclusive"]:
        probs = 1 / (1 + np.exp(-scaled))
        return {"probs": {label: round(float(p), 5) for label, p in zip(HOW["labels"], probs)}}
    grown = np.exp(scaled - scaled.max(-1, keepdims=True))
    probs = grown / grown.sum(-1, keepdims=True)
    if HOW["kind"] == "tagger":
        return {"tokens": [[start, end, text[start:end], HOW["labels"][int(p.argmax())]]
                           for (start, end), p in zip(row.offsets, probs) if end > start]}
    told = {label: round(float(p), 5) for label, p in zip(HOW["labels"], probs)}
    return {"label": HOW["labels"][int(probs.argmax())], "probs": told}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    files = sorted(path.name for path in HERE.iterdir() if path.suffix in (".onnx", ".xml"))
    parser.add_argument("--model", choices=files, default=files[0])
    parser.add_argument("texts", nargs="+")
    args = parser.parse_args()
    run, tokenizer = session(HERE / args.model), Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(HOW["max_tokens"])
    for text in args.texts:
        row = tokenizer.encode(text.lower() if HOW["lowercase"] else text)
        inputs = {"input_ids": [row.ids], "attention_mask": [row.attention_mask]}
        if HOW["takes_types"]:
            inputs["token_type_ids"] = [row.type_ids]
        found = run({name: np.array(value, np.int64) for name, value in inputs.items()})
        print(json.dumps(answer(row, np.asarray(found)[0], text), ensure_ascii=False))


if __name__ == "__main__":
    main()
'''

_README = """# {title}

A model exported from Trefoil; it runs without it.

    pip install numpy tokenizers openvino        # or onnxruntime, for the .onnx files
    python predict.py "a text"
    python predict.py --model {example} "a text" "another text"

- `plain` is the model as it was trained, `pruned` has its smallest weights at zero, `int8` keeps its weights
  in eight bits. `.onnx` is ONNX; `.xml` with its `.bin` is OpenVINO. Those that were asked for are here.
- `measured.json` says what each of them measured on sample texts: bytes, agreement with the original,
  accuracy and its loss (where labels were given), milliseconds a text and their ratio to `plain`.
  Pruned weights take as many bytes as before unless the file is compressed.
- `answering.json` says how the numbers become answers: labels, temperature, the most tokens it reads.
- Where the model comes from, its data and its licences: `MODEL.md`, when the version had a card.
"""


@dataclass(frozen=True, slots=True)
class Answering:
    """How a package's numbers become answers. `temperature` divides the logits; `max_tokens` are read."""

    kind: Literal["classifier", "tagger", "encoder"]
    labels: tuple[str, ...]
    exclusive: bool
    temperature: float
    max_tokens: int
    lowercase: bool
    takes_types: bool


def fill(folder: Path, answering: Answering, tokenizer: Path, title: str, card: Path | None = None) -> None:
    """Write everything but the weights. Raises OSError."""
    (folder / "answering.json").write_text(
        json.dumps(asdict(answering), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "labels.json").write_text(
        json.dumps(list(answering.labels), ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "predict.py").write_text(PREDICT, encoding="utf-8")
    (folder / "README.md").write_text(_README.format(title=title, example="plain.onnx"), encoding="utf-8")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    if card is not None and card.is_file():
        shutil.copyfile(card, folder / "MODEL.md")
