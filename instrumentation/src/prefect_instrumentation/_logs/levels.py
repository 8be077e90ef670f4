"""Which records are logged: least levels by logger, as the settings and Prefect's say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

CHATTY = (
    *("aiobotocore", "aiosqlite", "alembic", "apscheduler", "asyncio", "azure", "boto3"),
    *("botocore", "distributed", "docker", "docket", "fakeredis", "fsspec", "google", "grpc"),
    *("h2", "hpack", "httpcore", "httpx", "kafka", "kubernetes", "matplotlib", "numba"),
    *("opentelemetry", "paramiko", "PIL", "pika", "s3fs", "s3transfer", "snowflake", "urllib3"),
    "websockets",
)
"""Libraries that tell of every request at `info`: they say warnings unless settings name them."""

OF_PREFECT = ("prefect", "prefect.extra", "prefect.client", "prefect.infrastructure")
"""The loggers to which Prefect gives the level of `PREFECT_LOGGING_LEVEL`."""


def levels(
    given: Mapping[str, int], said: Callable[[str], bool], now: Callable[[str], int]
) -> dict[str, int]:
    """Return the levels to set, by the loggers' names, "" being the root's.

    A level that the user's own code has set stays unless the settings name the logger.

    Args:
        given: by the settings.
        said: whether the user has set a variable of Prefect's.
        now: the level that a logger has.
    """
    found = {name: logging.WARNING for name in CHATTY if now(name) == logging.NOTSET}
    # It is what both `logging` and Prefect start with.
    if now("") == logging.WARNING and not said("PREFECT_LOGGING_ROOT_LEVEL"):
        found[""] = logging.INFO
    if "prefect" in given or not said("PREFECT_LOGGING_LEVEL"):
        level = given.get("prefect", given.get(""))
        if level is not None:
            found |= {name: level for name in OF_PREFECT if not said(_variable(name))}
    return {name: level for name, level in (found | dict(given)).items() if now(name) != level}


def _variable(name: str) -> str:
    return f"PREFECT_LOGGING_LOGGERS_{name.replace('.', '_').upper()}_LEVEL"
