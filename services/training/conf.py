"""The training settings: where runs keep their work, how precise they count, who else is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.conf import SuiteSettings

REPORTERS = ("tensorboard", "wandb", "mlflow")


class TrainingSettings(SuiteSettings):
    """What a training run is made of, apart from its own order."""

    training_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="auto (bf16 where the processor or GPU has it, else fp32), fp32, bf16 or fp16; "
        "fp16 needs a GPU.",
    )
    training_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto (a GPU when there is one), cpu or cuda."
    )
    training_threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads of a training run, 0 to 1024; 0 means all cores."
    )
    training_report_to: str = Field(
        default="tensorboard",
        description="Who follows the curves besides the console, comma-separated: tensorboard (files in the "
        "run's folder, always on), wandb, mlflow; each is set up by its own variables.",
    )
    training_runs_dir: Path = Field(
        default=Path("var/runs"),
        description="A folder for checkpoints and TensorBoard files of runs; a finished run's checkpoints "
        "are removed.",
    )

    @field_validator("training_report_to")
    @classmethod
    def _known_reporters(cls, value: str) -> str:
        named = {part.strip() for part in value.split(",") if part.strip()}
        if unknown := named - set(REPORTERS):
            raise ValueError(f"'{min(unknown)[:40]}' is not one of {', '.join(REPORTERS)}")
        return ",".join(sorted(named | {"tensorboard"}))

    @property
    def reporters(self) -> list[str]:
        """TRAINING_REPORT_TO, read."""
        return self.training_report_to.split(",")
