"""One Redis for the tests of the pipeline's core, and an empty database of it for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from demo.redis_server import start_redis_server
from demo.sandbox import Sandbox
from etl.lake import Lake
from etl.source import Source, connect

CLIENT = "acme"


@pytest.fixture(scope="session", name="redis_url")
def _redis_url() -> Iterator[str]:
    """Start a Redis that may forget everything when it ends."""
    with Sandbox() as sandbox:
        yield start_redis_server(sandbox, durable=False).url


@pytest.fixture(name="redis")
def _redis(redis_url: str) -> Iterator[Redis]:
    """Give a client of an empty database, as the pipeline makes it."""
    with connect(SecretStr(redis_url)) as client:
        client.flushdb()
        yield client


@pytest.fixture(name="source")
def _source(redis: Redis) -> Source:
    return Source(redis, CLIENT)


@pytest.fixture(name="lake")
def _lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", CLIENT)
