"""Typed settings: read once from the environment, frozen, each with its unit and default.

Every owner keeps its own class beside it (`chatbot/conf.py`, ...) and derives it from `SuiteSettings`.
A variable NAME is the field's name in capitals; a secret may also be given as NAME_FILE, the path of
a file holding it. A bad value stops the start with `Misconfigured`, naming variable and remedy.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from services.errors import Misconfigured

S = TypeVar("S", bound="SuiteSettings")


class _SecretFiles(PydanticBaseSettingsSource):
    """NAME_FILE -> the file's content, for the fields that hold secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if path is None or not is_secret(field):
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise Misconfigured(
                f"{variable}: the file cannot be read ({error.strerror}). "
                f"Give the path of a readable file, or set {field_name.upper()} instead."
            ) from error

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                values[key] = value
        return values


class SuiteSettings(BaseSettings):
    """What every settings class shares: frozen, `.env`, NAME_FILE for secrets, empty means unset."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_ignore_empty=True, case_sensitive=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _SecretFiles(settings_cls), env_settings, dotenv_settings


def writable_folder(path: Path, variable: str) -> Path:
    """The folder, made when it is not there. Raises Misconfigured when it cannot be made or written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise Misconfigured(
            f"{variable}: the folder cannot be written ({error.strerror}). "
            f"Set {variable} to a folder this user may write."
        ) from error
    return path


def _has_port(url: str) -> bool:
    """Whether what follows the host is a port, or nothing; urlsplit raises on anything else."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def is_secret(field: FieldInfo) -> bool:
    """Whether the field's type says that its value must not be shown."""
    return "SecretStr" in str(field.annotation)


@cache
def load(cls: type[S]) -> S:
    """The process's one instance of a settings class.

    Raises Misconfigured with one line for each wrong variable: its name, what is wrong, the remedy.
    """
    try:
        return cls()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            field = cls.model_fields.get(name.lower())
            remedy = f" It should be: {field.description}" if field and field.description else ""
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name.upper()}: {message}.{remedy}")
        raise Misconfigured("\n".join(lines)) from error


class CoreSettings(SuiteSettings):
    """Where the suite lives: addresses, database, broker, files, logs."""

    debug: bool = Field(False, description="Developer mode, true or false; never on in production.")
    secret_key: SecretStr | None = Field(
        None,
        description="At least 32 characters that sign sessions; made once in DATA_DIR when not set.",
    )
    allowed_hosts: str = Field(
        "localhost,127.0.0.1,[::1]",
        description="Host names the web server answers to, comma-separated.",
    )
    public_url: str = Field(
        "http://localhost:8000",
        description="The address people use to reach the suite, for links in emails; http(s)://host[:port].",
    )
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the web server listens on, 1 to 65535.")
    data_dir: Path = Field(
        Path("var"), description="A writable folder for the embedded database, broker, files and caches."
    )
    database_url: str = Field(
        "",
        description="sqlite:///path or postgresql://user:password@host:port/name; "
        "empty keeps SQLite in DATA_DIR.",
    )
    redis_url: str = Field(
        "",
        description="redis://host:port/0 or rediss://…; broker, cache and wake-ups. "
        "Empty keeps the embedded broker in DATA_DIR.",
    )
    storage_url: str = Field(
        "",
        description="Where uploaded files, indexes and models are kept: a folder, file:///path or "
        "s3://bucket/prefix. Empty keeps them in DATA_DIR.",
    )
    s3_endpoint_url: str = Field(
        "", description="Endpoint of an S3-compatible store, http(s)://host:port; empty means AWS."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged: DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="console (for people) or json (one object a line, for collectors)."
    )
    language_code: Literal["en", "zh-hans"] = Field(
        "en", description="Language of the console where the browser asks for none: en or zh-hans."
    )
    time_zone: str = Field("UTC", description="Time zone of the console, an IANA name such as Europe/Paris.")
    max_upload_mib: int = Field(
        20, ge=1, le=2048, description="Largest upload or request body, in MiB, 1 to 2048."
    )
    worker_concurrency: int = Field(2, ge=1, le=64, description="Tasks one worker runs at once, 1 to 64.")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("too short")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname:
            raise ValueError("not an http or https address")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"sqlite", "postgres", "postgresql"}:
            raise ValueError("unknown kind of database")
        if not _has_port(value):
            raise ValueError("the port is not a number")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("not a Redis address")
        if not _has_port(value):
            raise ValueError("the port is not a number")
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        scheme = value.split("://", 1)[0] if "://" in value else "file"
        if scheme not in {"file", "s3", "memory"}:
            raise ValueError("unknown kind of file store")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a known time zone") from error
        return value
