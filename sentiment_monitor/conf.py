"""The monitor's settings."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from services.conf import SuiteSettings


class MonitorSettings(SuiteSettings):
    """Polling, stories, the surge's budget and the alert emails."""

    monitor_poll_interval_s: int = Field(
        900, ge=30, le=86_400, description="Seconds between two looks at a healthy feed, 30 to 86400."
    )
    monitor_poll_cap_s: int = Field(
        86_400,
        ge=300,
        le=604_800,
        description="Longest wait between two looks at a failing feed, in seconds.",
    )
    monitor_lease_s: int = Field(
        120, ge=5, le=3600, description="Seconds after which a worker's claim on a row is taken over."
    )
    monitor_story_window_h: int = Field(
        72, ge=1, le=720, description="Hours within which copies of a story are looked for."
    )
    monitor_story_similarity: float = Field(
        0.86, ge=0.5, le=1.0, description="Cosine from which two alike texts are one story, 0.5 to 1."
    )
    monitor_false_alarms_per_year: float = Field(
        6.0,
        gt=0,
        le=10_000,
        description="False alarms a year the whole watch-list may raise: the one knob of the surge's "
        "sensitivity. Fewer alarms mean later warnings.",
    )
    email_url: SecretStr | None = Field(
        None,
        description="smtp://user:password@host:port, smtp+tls://… (STARTTLS) or smtps://…; when not set, "
        "emails are kept as files in DATA_DIR/outbox.",
    )
    email_from: str = Field("Trefoil <alerts@localhost>", description="Sender of alert emails.")

    @field_validator("email_url")
    @classmethod
    def _known_server(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value()) if value else None
        if parts and (parts.scheme not in {"smtp", "smtps", "smtp+tls"} or not parts.hostname):
            raise ValueError("not a mail server's address")
        return value
