"""Every setting of the pipeline: its variable, default, bounds and meaning, in one object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from etl.errors import BadSetting

_REDIS_URL = "ETL_REDIS_URL"
_SECRET_BYTES = 10_000


def _address(value: str, schemes: tuple[str, ...]) -> str:
    words = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"is not an address; give {words}")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    return SecretStr(_address(value.get_secret_value().strip(), ("redis", "rediss")))


def _http_url(value: str) -> str:
    # Logs and spans name it, and so does the input of a task.
    if "@" in value or "?" in value:
        raise ValueError("is no plain address: it holds credentials or a query")
    return _address(value.strip(), ("http", "https")).rstrip("/")


def _setting(name: str, default: object, meaning: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    return Field(default, validate_default=True, validation_alias=name, description=meaning)


class Settings(BaseSettings):
    """What the pipeline was told, checked; `load_settings` reads it from the environment."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = _setting(
        _REDIS_URL, "redis://127.0.0.1:6379/0", "The Redis with the orders; or ETL_REDIS_URL_FILE."
    )
    destination: Path = _setting(
        "ETL_DESTINATION", "lake", "The folder for Parquet files; all workers must see the same."
    )
    rates_url: Annotated[str, AfterValidator(_http_url)] = _setting(
        "ETL_RATES_URL", "http://127.0.0.1:8099", "The service that knows exchange rates."
    )
    memory_mib: Annotated[int, Field(ge=16, le=65_536)] = _setting(
        "ETL_MEMORY_MIB", 256, "What the rows of one process may take up, in MiB."
    )
    parallel: Annotated[int, Field(ge=1, le=64)] = _setting(
        "ETL_PARALLEL", 2, "How many chunks one process works on at a time."
    )
    max_rejected: Annotated[float, Field(ge=0, le=1)] = _setting(
        "ETL_MAX_REJECTED", 0.1, "The share of rejected rows above which a batch fails."
    )
    lease_seconds: Annotated[float, Field(ge=0.5, le=3600)] = _setting(
        "ETL_LEASE_SECONDS", 60.0, "After how long others take over a chunk of a dead worker."
    )
    retry_seconds: Annotated[float, Field(ge=0, le=600)] = _setting(
        "ETL_RETRY_SECONDS", 2.0, "The pause before the first retry; later ones are longer."
    )
    timeout_seconds: Annotated[float, Field(ge=1, le=86_400)] = _setting(
        "ETL_TIMEOUT_SECONDS", 3600.0, "How long a batch may take."
    )
    breaker_failures: Annotated[int, Field(ge=1, le=100)] = _setting(
        "ETL_BREAKER_FAILURES", 5, "After how many failures in a row the rates are not asked."
    )
    breaker_seconds: Annotated[float, Field(ge=0.1, le=3600)] = _setting(
        "ETL_BREAKER_SECONDS", 30.0, "For how long they are not."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_secret(cls, given: dict[str, Any]) -> dict[str, Any]:
        path = os.environ.get(f"{_REDIS_URL}_FILE")
        return given | {_REDIS_URL: _secret(Path(path))} if path else given


def load_settings() -> Settings:
    """Read the environment; an empty variable counts as not given.

    Raises:
        BadSetting: One cannot be used; the message is one line that names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise BadSetting(name, _words(problem)) from None


def _words(problem: str) -> str:
    return problem if problem.startswith("is ") else f"is wrong: {problem}"


def _secret(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_SECRET_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadSetting(f"{_REDIS_URL}_FILE", f"cannot be read: {why}") from None
