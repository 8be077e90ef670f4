"""The stacks that tests look at, started when somebody asks for them.

Without ``PREFECT_STACK=lean`` or ``full`` in the environment no test that needs Docker is run:
scripts/test-stack, which `make test-stack` calls, sets it once Docker and the images are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from stack.compose import PROFILES, Stack, docker
from stack.host import Host, host_beside
from stack.installing import installed

# Of a stack's life one part tells after the other; what ends it comes last, what needs none first.
_STORY = (
    "databases",
    "pitr",
    "faults",
    "beside",
    "whole",
    "night",
    "backup",
    "links",
    "dashboards",
    "hardening",
    "alerting",
    "crashes",
    "restore",
    "history",
)

_MINUTES = 15

_SAID = pytest.StashKey[list[str]]()

Say = Callable[[str], None]
"""Puts a line into the summary at the end of the run."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs Docker unless it was asked for, and put the rest into order."""
    ours = [item for item in items if item.get_closest_marker("stack")]
    others = [item for item in items if item not in ours]
    if "PREFECT_STACK" not in os.environ:
        config.hook.pytest_deselected(items=ours)
        ours = []
    for item in ours:
        item.add_marker(pytest.mark.timeout(60 * _MINUTES))
    ours.sort(key=lambda item: (_chapter(item), item.reportinfo()[1] or 0))
    items[:] = others + ours


def _chapter(item: pytest.Item) -> int:
    name = item.path.stem.removeprefix("test_")
    return _STORY.index(name) if name in _STORY else -1


def pytest_configure(config: pytest.Config) -> None:
    """Have a place for what tests say."""
    config.stash[_SAID] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what tests have said."""
    for text in config.stash[_SAID]:
        terminalreporter.write_line(text)


@pytest.fixture(name="say", scope="session")
def _say(pytestconfig: pytest.Config) -> Say:
    """Say something in the summary."""
    return pytestconfig.stash[_SAID].append


@pytest.fixture(name="full", scope="session")
def _full() -> bool:
    """Whether the images of Jaeger and Loki are there."""
    return os.environ.get("PREFECT_STACK") == "full"


@pytest.fixture(name="absent", scope="session")
def _absent(*, full: bool) -> list[str]:
    """The services whose images are left out, or cannot be had where no registry answers."""
    if not full:
        return ["grafana", "jaeger", "loki"]
    return [] if docker("images", "--quiet", "grafana/grafana") else ["grafana"]


@pytest.fixture(name="host", scope="module")
def _host() -> Iterator[Host]:
    """A Prefect server on this machine's loopback address, as `prefect server start` makes it."""
    with host_beside() as host:
        yield host


@pytest.fixture(name="beside", scope="module")
def _beside(host: Host, absent: list[str], say: Say) -> Iterator[Stack]:
    """The default profile beside that server, all green."""
    url = f"http://host.docker.internal:{host.port}/api"
    with installed("beside", absent, PREFECT_API_URL=url) as stack:
        say(f"default profile: all healthy after {stack.up():.0f} s")
        yield stack


@pytest.fixture(name="whole", scope="session")
def _whole(absent: list[str], say: Say) -> Iterator[Stack]:
    """A Prefect of its own with demo flows at work, all green."""
    with installed("whole", absent) as stack:
        served = stack.having("server")
        say(f"profile server: all healthy after {served.up():.0f} s")
        whole = stack.having(*PROFILES)
        say(f"profile demo on top: all healthy after {whole.up():.0f} s")
        yield whole
