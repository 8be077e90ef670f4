"""Nobody pays for what he does not use: what importing brings, each in a new process."""

from __future__ import annotations

import json
import sys

import pytest

from traces import printed

NEW = """
import json, sys, time
{first}
before = set(sys.modules)
start = time.process_time()
{then}
seconds = time.process_time() - start
names = sorted(set(sys.modules) - before)
print(json.dumps([names, seconds]))
"""
HOOK = """
from prefect_instrumentation import plugin
plugin.setup_environment(ctx=None)
"""
API = {"prefect_instrumentation", "opentelemetry", "typing_extensions"}
"""The package, and OpenTelemetry's API with what it needs itself."""

DEAR = ("prefect", "grpc", "google", "requests", "httpx", "starlette", "fastapi", "pytest")
DEAR_PARTS = ("sdk", "exporter", "proto")


def brought(then: str, first: str = "") -> tuple[list[str], float]:
    """Return the modules that code brings into a new process, and the CPU seconds it takes."""
    output, complaints = printed(NEW.format(first=first, then=then))
    assert "" == complaints
    names, seconds = json.loads(output)
    return names, seconds


def dear(names: list[str]) -> list[str]:
    """Return those modules that cost much: Prefect, web frameworks, OpenTelemetry's SDK."""
    return [
        name
        for name in names
        if name.partition(".")[0] in DEAR
        or any(name.startswith(f"opentelemetry.{part}") for part in DEAR_PARTS)
    ]


def distributions(names: list[str]) -> set[str]:
    """Return the top-level names that are no part of Python."""
    tops = {name.partition(".")[0] for name in names}
    return tops - sys.stdlib_module_names - {"__mp_main__"}  # `multiprocessing` names it so


def test_package_brings_itself_alone() -> None:
    """The name costs nothing: neither Prefect nor OpenTelemetry is imported."""
    names, _ = brought("import prefect_instrumentation")

    assert {"prefect_instrumentation"} == distributions(names)
    assert "prefect_instrumentation" in names
    assert not [name for name in names if name.startswith("prefect_instrumentation.")]


@pytest.mark.parametrize("name", ["traced", "Trace"])
def test_decorators_bring_the_api_alone(name: str) -> None:
    """Code that is only decorated runs without Prefect, and without an SDK."""
    names, _ = brought(f"from prefect_instrumentation import {name}")

    assert API == distributions(names)
    assert [] == dear(names)
    assert not [each for each in names if each.endswith(("_prefect", "_setup"))]


@pytest.mark.parametrize("name", ["setup", "CorrelationMiddleware"])
def test_other_names_bring_nothing_dear(name: str) -> None:
    """Importing is not using: what is dear is imported when it is called for."""
    names, _ = brought(f"from prefect_instrumentation import {name}")

    assert distributions(names) <= API | {"wrapt"}
    assert [] == dear(names)


def test_decorating_brings_nothing_dear() -> None:
    """A module of traced functions is imported in no time, by whoever it is."""
    code = "from prefect_instrumentation import traced; traced(len)"
    names, _ = brought(code)
    quickest = min(brought(code)[1] for _ in range(3))  # a busy machine's CPU is slower at times

    assert distributions(names) <= API | {"wrapt"}
    assert [] == dear(names)
    assert quickest < 0.2


def test_hook_brings_little() -> None:
    """Commands and workers, which run no flow, get a few small modules and no SDK."""
    names, _ = brought(HOOK, first="import prefect")

    assert distributions(names) <= API | {"pluggy", "wrapt"}
    assert [] == dear(names)
    assert len(names) < 100


def test_hook_imports_nothing_of_prefect() -> None:
    """It runs while Prefect is being imported, and may import none of its engines yet."""
    names, _ = brought(HOOK)

    assert [] == [name for name in names if name.partition(".")[0] == "prefect"]


def test_hook_is_quick() -> None:
    """It takes less than 100 ms of CPU on top of Prefect's import."""
    quickest = min(brought(HOOK, first="import prefect")[1] for _ in range(2))

    assert quickest < 0.1
