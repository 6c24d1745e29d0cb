"""The recommender's settings."""

from __future__ import annotations

from pydantic import Field, field_validator

from services.conf import SuiteSettings

WEIGHTS = "view=0.2,click=0.5,comment=0.7,share=0.8,cart=0.8,purchase=1,dislike=-1"


class RecommenderSettings(SuiteSettings):
    """What events weigh, how fast they fade, who may be made by an event."""

    recommender_event_weights: str = Field(
        WEIGHTS,
        description="Weight of each type of event, type=number, comma-separated; negative means dislike. "
        "Types that are not named weigh 0.2.",
    )
    recommender_half_life_d: float = Field(
        14.0, gt=0, le=3650, description="Days in which an event's weight halves."
    )
    recommender_create_unknown: bool = Field(
        True,
        description="Whether an event makes a user it does not know, true or false. "
        "An event on an unknown item is always refused.",
    )
    recommender_future_s: int = Field(
        300, ge=0, le=86_400, description="Seconds an event's time may lie ahead before it is refused."
    )
    recommender_bulk_rows: int = Field(
        1000, ge=1, le=100_000, description="Most rows in one bulk request, 1 to 100000."
    )

    @field_validator("recommender_event_weights")
    @classmethod
    def _readable(cls, value: str) -> str:
        _weights(value)
        return value

    @property
    def weights(self) -> dict[str, float]:
        """Event type to weight."""
        return _weights(self.recommender_event_weights)


def _weights(text: str) -> dict[str, float]:
    try:
        pairs = (part.split("=") for part in text.split(",") if part.strip())
        return {name.strip(): float(weight) for name, weight in pairs}
    except ValueError as error:
        raise ValueError("not a list of type=number") from error
