"""Every setting of the service, checked, in one frozen object."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from limits import parse
from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_NAME = re.compile(r"[^/\x00-\x1f]{1,200}/[^/\x00-\x1f]{1,200}")
_STORES = ("memory://", "redis://", "rediss://")


class BadSettings(Exception):
    """The settings cannot be used.

    Args:
        problems: One line each, which names the variable and the mend, and holds no secret.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _names(text: object) -> object:
    return tuple(filter(None, map(str.strip, text.split(",")))) if isinstance(text, str) else text


def _deployments(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong or not names:
        raise ValueError("is no list of flow/deployment, separated by commas")
    return names


def _rate(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise ValueError("is no rate; write it as 30/minute or 5/10 seconds") from None
    return text


def _store(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(_STORES):
        raise ValueError(f"does not begin with one of {', '.join(_STORES)}")
    return url


Rate = Annotated[str, AfterValidator(_rate)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_deployments)]


class Settings(BaseSettings):
    """What the service was told.

    Args:
        api_keys_file: Who may ask; `trigger.keys` says how it is written.
        deployments: What may be started, as ``flow/deployment``.
        rate_limit: Starts and cancellations that each caller has.
        read_limit: The same for looking at runs.
        wrong_key_limit: Wrong keys after which an address gets 429 in place of 401.
        limits_url: Where the limits count; a Redis where several replicas share them.
        limits_url_file: A file that holds that address, for one with a password.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRIGGER_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    api_keys_file: Path
    deployments: Names = (
        "nightly-orders/nightly",
        "remote-jobs/nightly",
    )
    rate_limit: Rate = "30/minute"
    read_limit: Rate = "300/minute"
    wrong_key_limit: Rate = "10/minute"
    limits_url: Annotated[SecretStr, AfterValidator(_store)] = SecretStr("memory://")
    limits_url_file: Path | None = None


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        BadSettings: With every problem there is, not only the first.
    """
    try:
        settings = Settings.model_validate({})
    except ValidationError as error:
        raise BadSettings(*(_line(each["loc"], each["msg"]) for each in error.errors())) from None
    if settings.limits_url_file is None:
        return settings
    return settings.model_copy(update={"limits_url": _from_file(settings.limits_url_file)})


def _line(location: tuple[int | str, ...], message: str) -> str:
    name = f"TRIGGER_{location[0]}".upper() if location else "TRIGGER_*"
    return f"{name} {message.removeprefix('Value error, ')}"


def _from_file(path: Path) -> SecretStr:
    try:
        return _store(SecretStr(path.read_text(encoding="utf-8").strip()))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadSettings(f"TRIGGER_LIMITS_URL_FILE={str(path)!r}: {why}") from None
