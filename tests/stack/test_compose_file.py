"""docker-compose.yml as text: each combination of profiles, and what a missing .env leads to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stack.compose import PROFILES, ROOT, Stack, docker_run
from stack.installing import make_secrets

pytestmark = pytest.mark.stack

_COMBINATIONS = [
    combination
    for length in range(len(PROFILES) + 1)
    for combination in itertools.combinations(PROFILES, length)
]


@pytest.fixture(name="configured", scope="module")
def _configured(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack that is never started."""
    folder = tmp_path_factory.mktemp("configured")
    make_secrets(
        folder,
        OPENSEARCH_URL="https://search.example.com:9200",
        EXTERNAL_POSTGRES_HOST="db.example.com",
    )
    return Stack(name="configured", folder=folder, ports={})


@pytest.mark.parametrize("override", ["", "tls", "opensearch", "external-postgres", "pgbouncer"])
@pytest.mark.parametrize("profiles", _COMBINATIONS, ids=lambda names: "+".join(names) or "default")
def test_file_is_clean(configured: Stack, profiles: Sequence[str], override: str) -> None:
    """Compose reads every combination without an error and without a warning."""
    files = [ROOT / f"docker-compose.{override}.yml"] if override else []
    stack = replace(configured.having(*profiles), overrides=files)

    ran = stack.try_compose("config", "--quiet")

    assert ("", 0) == (ran.stderr, ran.returncode)


def test_without_env_one_line_names_make_secrets(tmp_path: Path) -> None:
    """Who forgot `make secrets` reads one line, which says so."""
    file = f"--file={ROOT / 'docker-compose.yml'}"
    (tmp_path / ".env").touch()

    ran = docker_run("compose", file, f"--env-file={tmp_path / '.env'}", "config", "--quiet")

    assert ran.returncode
    (line,) = ran.stderr.splitlines()
    assert "make secrets" in line


def test_every_image_is_pinned(configured: Stack) -> None:
    """No image is named without a version, or with one that moves."""
    document = json.loads(configured.having(*PROFILES).compose("config", "--format=json"))
    images = [service["image"] for service in document["services"].values()]

    moving = [it for it in images if ":" not in it or it.endswith((":latest", ":main"))]

    assert [] == moving


def test_overrides_pin_what_the_file_pins(configured: Stack) -> None:
    """What stands in overrides too, as anchors do not cross files, has one version."""
    files = [ROOT / f"docker-compose.{name}.yml" for name in ("tls", "opensearch", "pgbouncer")]
    stack = replace(configured.having(*PROFILES), overrides=files)

    document = json.loads(stack.compose("config", "--format=json"))

    images = {name: service["image"] for name, service in document["services"].items()}
    assert images["pgbouncer"] == document["x-images"]["pgbouncer"]
    assert images["prefect-proxy"] == images["tls"]
    assert images["jaeger"].split(":")[1] == images["jaeger-index-cleaner"].split(":")[1]
