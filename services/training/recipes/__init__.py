"""The recipes: what each is for, what it takes, and its parameters, told without importing torch.

A recipe is a module with `fit(job, watch) -> Path`: it trains on the job's examples and leaves the files of a
version in the folder it returns. Knows nothing of how the version is judged or kept.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from services.errors import InvalidInput
from services.inference.engine import Engine
from services.training.conf import TrainingSettings
from services.training.dataset import Example, Shape
from services.training.order import Watch

Serves = Literal["classifier", "tagger", "encoder", "reranker", "generator", "rewriter", "base"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that can be set about a recipe. `least` and `most` are inclusive."""

    name: str
    kind: Literal["int", "float", "bool", "choice", "str"]
    default: Any
    help: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """What a recipe gets. `labels` in the order of the logits; `folder` is its own and survives a kill."""

    task: str
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]
    languages: tuple[str, ...]
    parameters: Mapping[str, Any]
    base: str
    seed: int
    folder: Path
    settings: TrainingSettings
    engine: Engine


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """A recipe as people choose it. `shapes` are those of the examples; `module` holds its `fit`."""

    name: str
    title: str
    description: str
    shapes: tuple[Shape, ...]
    serves: Serves
    module: str
    parameters: tuple[Parameter, ...] = field(default=())
    base_setting: str = "ENCODER"

    @property
    def shape(self) -> Shape:
        """The shape its examples usually have."""
        return self.shapes[0]

    def fit(self, job: Job, watch: Watch) -> Path:
        """Train; the folder with the version's files. Raises what the recipe raises."""
        found: Path = importlib.import_module(f"services.training.recipes.{self.module}").fit(job, watch)
        return found


def whole(info: RecipeInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter with its value. Raises InvalidInput whose field is the parameter that is wrong."""
    known = {parameter.name: parameter for parameter in info.parameters}
    if unknown := sorted(set(given) - set(known)):
        raise InvalidInput(
            f"The recipe {info.name} has no parameter {unknown[0][:60]!r}; "
            f"it has {', '.join(sorted(known))}.",
            field=unknown[0][:60],
        )
    return {name: _value(parameter, given.get(name, parameter.default)) for name, parameter in known.items()}


def _value(parameter: Parameter, given: Any) -> Any:
    name = parameter.name
    if parameter.kind == "bool":
        if isinstance(given, bool):
            return given
        raise InvalidInput(f"{name} is true or false.", field=name)
    if parameter.kind == "choice":
        if given in parameter.choices:
            return given
        raise InvalidInput(f"{name} is one of {', '.join(parameter.choices)}.", field=name)
    if parameter.kind == "str":
        return str(given)
    try:
        value = int(given) if parameter.kind == "int" else float(given)
        right = math.isfinite(float(value)) and (parameter.kind == "float" or float(given) == value)
    except (TypeError, ValueError, OverflowError):
        right, value = False, 0
    low, high = parameter.least, parameter.most
    if not right or (low is not None and value < low) or (high is not None and value > high):
        unit = "a whole number" if parameter.kind == "int" else "a number"
        raise InvalidInput(f"{name} is {unit} from {low} to {high}.", field=name)
    return value


def _p(name: str, kind: Any, default: Any, least: float, most: float, help_: str) -> Parameter:
    return Parameter(name, kind, default, help_, least, most)


_PACE = (
    _p("epochs", "float", 3.0, 0.01, 100, "How often every example is seen."),
    _p("batch_size", "int", 32, 1, 4096, "Examples that make one step."),
    _p("learning_rate", "float", 2e-4, 1e-7, 1, "The step's length at its peak."),
    _p("weight_decay", "float", 0.01, 0, 1, "How strongly weights are pulled towards zero."),
    _p("warmup_share", "float", 0.1, 0, 0.9, "The share of steps in which the rate rises to its peak."),
    _p("layer_decay", "float", 1.0, 0.1, 1, "Each layer's rate as a share of the one above it."),
    _p("patience", "int", 0, 0, 100, "Evaluations without a gain that end the run early; 0 never does."),
    _p("max_tokens", "int", 96, 8, 8192, "Longer texts are cut to this many tokens."),
    _p("accumulation", "int", 1, 1, 1024, "Parts a step is worked through in, to save memory."),
    Parameter("gradient_checkpointing", "bool", False, "Save memory by computing layers twice."),
)
_LORA = (
    _p("lora_rank", "int", 16, 1, 256, "Rank of the LoRA matrices, where they are used."),
    _p("lora_alpha", "float", 32.0, 0.1, 1024, "How much the LoRA matrices count, over their rank."),
)
_AGAINST = (
    _p("fgm", "float", 0.0, 0, 10, "Length of the adversarial step on the word embeddings; 0 for none."),
    _p("label_smoothing", "float", 0.0, 0, 0.5, "The share of each label given to all labels alike."),
    _p("dropout", "float", 0.0, 0, 0.9, "The share of the encoder's activations that is dropped."),
    _p("rare_class_power", "float", 0.5, 0, 1, "0 weighs all examples alike in the loss, 1 all classes."),
    _p("augment_share", "float", 0.0, 0, 5, "Reworded copies made for each example of the training part."),
    _p("mixing", "float", 0.0, 0, 2, "Alpha of mixing two examples' vectors and labels; 0 for none."),
)


def _with(parameters: tuple[Parameter, ...], **defaults: Any) -> tuple[Parameter, ...]:
    """The same with other defaults."""
    return tuple(replace(one, default=defaults.get(one.name, one.default)) for one in parameters)


RECIPES: dict[str, RecipeInfo] = {
    info.name: info
    for info in (
        RecipeInfo(
            "text_head",
            "Head on the encoder (a minute on a laptop)",
            "A linear layer on the serving encoder's vectors and on words. The encoder stays as it is.",
            ("labelled",),
            "classifier",
            "text_head_run",
            (
                _p("strength", "float", 0.3, 1e-4, 1e4, "Inverse of the penalty on large weights."),
                _p("rare_class_power", "float", 0.8, 0, 1, "0 weighs all examples alike, 1 all classes."),
                _p(
                    "joined_share",
                    "float",
                    0.2,
                    0,
                    5,
                    "Joined headlines made for each example towards a company.",
                ),
            ),
        ),
        RecipeInfo(
            "intent_head",
            "Intents, and what is about none of them",
            "Compares a question with every example, by vectors and by words; says when it is like none.",
            ("labelled",),
            "classifier",
            "intent_head_run",
            (
                _p(
                    "name_noise",
                    "float",
                    3.0,
                    0,
                    100,
                    "Noise of a name as one more example; 0 for none.",
                ),
                _p(
                    "false_reject",
                    "float",
                    0.05,
                    0.001,
                    0.5,
                    "Share of fitting questions that may be refused.",
                ),
                _p("most_tried", "int", 1200, 50, 20_000, "Examples that choose the setting."),
                _p("most_support", "int", 16_000, 100, 50_000, "Examples that are kept in the model."),
            ),
        ),
        RecipeInfo(
            "topic_head",
            "Topics, several a text",
            "Compares a text with every example, by vectors and by words; a topic has its own border.",
            ("multi",),
            "classifier",
            "topic_head_run",
            (
                _p(
                    "title_weight",
                    "int",
                    2,
                    0,
                    20,
                    "How often more the words of a title count; 0 reads none.",
                ),
                _p(
                    "border_caution",
                    "float",
                    20.0,
                    0,
                    1000,
                    "How slowly a topic's border leaves the common one.",
                ),
                _p("most_tried", "int", 1200, 50, 20_000, "Examples that choose the setting."),
                _p(
                    "most_support",
                    "int",
                    16_000,
                    100,
                    50_000,
                    "Examples that are kept, the latest.",
                ),
            ),
        ),
        RecipeInfo(
            "tuned_head",
            "Tuned encoder with words beside it (the best for short texts)",
            "LoRA matrices for the encoder, a layer on its vectors and on words; several runs are "
            "averaged and taught to one.",
            ("labelled",),
            "classifier",
            "tuned_head",
            (
                *_with(_PACE, epochs=5.0, learning_rate=3e-4, layer_decay=0.9),
                *_with(_LORA, lora_rank=96),
                *(one for one in _AGAINST if one.name != "mixing"),
                _p(
                    "pretrain_epochs",
                    "float",
                    6.0,
                    0,
                    50,
                    "Epochs of masked-language modelling on the texts first.",
                ),
                _p(
                    "members",
                    "int",
                    1,
                    1,
                    10,
                    "Runs on parts of the rows whose answers are taught to one model.",
                ),
                _p(
                    "distil_epochs",
                    "float",
                    5.0,
                    0,
                    50,
                    "Epochs in which one model learns the average; 0 for none.",
                ),
                _p(
                    "joined_share",
                    "float",
                    0.2,
                    0,
                    5,
                    "Joined headlines made for each example towards a company.",
                ),
                Parameter("words", "bool", True, "Words and pieces of words beside the encoder."),
                _p("frozen_layers", "int", 3, 0, 100, "Lower layers left as they are and computed once."),
                Parameter("full", "bool", True, "Tune all layers and keep the change in LoRA form."),
            ),
        ),
        RecipeInfo(
            "text_classifier",
            "Text classifier (any transformer)",
            "Fine-tunes a transformer whole, through LoRA, or from a few examples of each label.",
            ("labelled", "multi"),
            "classifier",
            "text_classifier",
            (
                Parameter("method", "choice", "full", "What is tuned.", choices=("full", "lora", "few_shot")),
                *_PACE,
                *_LORA,
                *_AGAINST,
                _p("pairs_each", "int", 20, 1, 1000, "few_shot: pairs made for each example."),
            ),
        ),
        RecipeInfo(
            "token_classifier",
            "Tagger of names in texts",
            "Fine-tunes a transformer to mark spans: companies, products, places.",
            ("spans",),
            "tagger",
            "token_classifier",
            (
                Parameter("method", "choice", "lora", "What is tuned.", choices=("full", "lora")),
                *_PACE,
                *_LORA,
            ),
        ),
        RecipeInfo(
            "embedder",
            "Encoder for search and recommendation",
            "Draws questions and their answers together; other answers of the batch are pushed away.",
            ("pairs",),
            "encoder",
            "embedder",
            (
                *_PACE,
                Parameter("matryoshka", "bool", False, "Make the first parts of a vector usable alone."),
                _p(
                    "mini_batch", "int", 32, 1, 4096, "Texts held in memory at once; the batch may be larger."
                ),
            ),
        ),
        RecipeInfo(
            "reranker",
            "Cross-encoder that reranks",
            "Reads question and answer together and says how well they fit.",
            ("pairs",),
            "reranker",
            "reranker",
            (*_PACE, _p("negatives", "int", 4, 1, 100, "Wrong answers set against each right one.")),
            "RERANKER",
        ),
        RecipeInfo(
            "generator",
            "Text generator for dialogues (LoRA)",
            "Teaches a causal language model the company's own answers; only the answers count in the loss.",
            ("dialogues",),
            "generator",
            "generator",
            (*_PACE, *_LORA),
            "GENERATOR",
        ),
        RecipeInfo(
            "seq2seq",
            "Rewriter: summaries, translation",
            "Fine-tunes an encoder-decoder to turn one text into another.",
            ("rewrites",),
            "rewriter",
            "seq2seq",
            _PACE,
            "GENERATOR",
        ),
        RecipeInfo(
            "pretrain",
            "Learn the field's language (masked words)",
            "Goes on with masked-language modelling on the company's own texts; the result is a base for "
            "other recipes.",
            ("texts", "labelled"),
            "base",
            "pretrain",
            (*_PACE, _p("mask_share", "float", 0.15, 0.01, 0.9, "The share of tokens that are hidden.")),
        ),
    )
}
"""Every recipe by name."""
