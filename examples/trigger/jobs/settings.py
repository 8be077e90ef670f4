"""Where the other systems are, and what opens them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trigger.settings import BadSettings

_LOCAL = "http://127.0.0.1:8098"


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("is no address; begin it with http:// or https://")
    if "@" in text or "?" in text:
        raise ValueError("holds credentials or a query; write the token into a file of its own")
    return text.rstrip("/")


def _readable(path: Path) -> Path:
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); write the token there") from None
    return path


Address = Annotated[str, AfterValidator(_address)]
TokenFile = Annotated[Path, AfterValidator(_readable)]


class JobSettings(BaseSettings):
    """What the flow `remote-jobs` was told.

    Args:
        airbyte_url: The API's address.
        airbyte_token_file: Holds the token; none where the API asks for none.
        dbt_url: Likewise of dbt Cloud.
        dbt_token_file: Likewise.
        dbt_account: The number of the account there.
        answer_seconds: How long an answer may take.
        first_pause_seconds: Before the second look at a job; see `Patience`.
        longest_pause_seconds: What no pause between two looks exceeds.
    """

    model_config = SettingsConfigDict(
        env_prefix="JOBS_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    airbyte_url: Address = _LOCAL
    airbyte_token_file: TokenFile | None = None
    dbt_url: Address = _LOCAL
    dbt_token_file: TokenFile | None = None
    dbt_account: int = Field(1, ge=1)
    answer_seconds: float = Field(10.0, gt=0, le=300)
    first_pause_seconds: float = Field(1.0, gt=0, le=60)
    longest_pause_seconds: float = Field(30.0, gt=0, le=3600)


def load_job_settings() -> JobSettings:
    """Return the settings that the environment gives.

    Raises:
        BadSettings: With every problem there is, not only the first.
    """
    try:
        return JobSettings.model_validate({})
    except ValidationError as error:
        raise BadSettings(
            *(
                f"JOBS_{each['loc'][0]}".upper() + f" {each['msg'].removeprefix('Value error, ')}"
                for each in error.errors()
            )
        ) from None
