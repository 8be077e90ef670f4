"""OpenTelemetry's way in: taken in and out again, Prefect is as it was."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from exporting import run
from prefect_instrumentation import PrefectInstrumentor, _prefect
from prefect_instrumentation._prefect.engines import CLIENTS, ENGINES, GENERATORS

REFUSED = """
from opentelemetry.instrumentation.dependencies import DependencyConflictError
from prefect_instrumentation import PrefectInstrumentor

instrumentor = PrefectInstrumentor()
instrumentor.instrument()
try:
    instrumentor.instrument(raise_exception_on_conflict=True)
except DependencyConflictError as error:
    print(error.conflict.required, error.conflict.found)
print(instrumentor.is_instrumented_by_opentelemetry)
from prefect_instrumentation._prefect import engines
print(engines._observer)
"""


MODULES = {name: importlib.import_module(name) for name in (*ENGINES, *CLIENTS)}


def seams() -> dict[str, object]:
    """Return what is changed in Prefect, as it is now."""
    found: dict[str, object] = {}
    for name, module in MODULES.items():
        for owner in (*ENGINES.get(name, ()), *CLIENTS.get(name, ())):
            seam = "initialize_run" if name in ENGINES else "create_flow_run_from_deployment"
            found[f"{owner}.{seam}"] = getattr(getattr(module, owner), seam)
        found |= {function: getattr(module, function) for function in GENERATORS.get(name, ())}
    return found


def look(function: object) -> list[object]:
    """Return what others see of a function."""
    names = ("__name__", "__qualname__", "__module__", "__doc__")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return [*(getattr(function, name) for name in names), *(kind(function) for kind in kinds)]


@pytest.fixture
def instrumentor() -> Iterator[PrefectInstrumentor]:
    """Return the instrumentor, which every process has one of; Prefect is as it was after."""
    instrumentor = PrefectInstrumentor()
    _prefect.uninstrument()  # a test elsewhere may have decorated a function with `@traced`
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    _prefect.uninstrument()


def test_uninstrumenting_restores_the_very_same_functions(
    instrumentor: PrefectInstrumentor,
) -> None:
    """However often it goes in and out, each seam is changed and then what it was before."""
    native = seams()
    for _ in range(3):
        instrumentor.instrument()
        changed = [name for name, seam in seams().items() if seam is native[name]]
        instrumentor.uninstrument()
        left = [name for name, seam in seams().items() if seam is not native[name]]

        assert ([], []) == (changed, left)


def test_changed_functions_look_like_the_old_ones(instrumentor: PrefectInstrumentor) -> None:
    """Names, modules, docstrings and kinds stay, for whoever looks at a function."""
    native = seams()
    instrumentor.instrument()
    changed = seams()

    assert {name: look(seam) for name, seam in native.items()} == {
        name: look(seam) for name, seam in changed.items()
    }


def test_second_instrumenting_is_harmless(
    instrumentor: PrefectInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry warns, and nothing is wrapped twice."""
    instrumentor.instrument()
    once = seams()
    with caplog.at_level(logging.WARNING):
        instrumentor.instrument()
        PrefectInstrumentor().instrument()

    assert [True] * len(once) == [seam is once[name] for name, seam in seams().items()]
    assert ["Attempting to instrument while already instrumented"] * 2 == caplog.messages


def test_uninstrumenting_first_is_harmless(
    instrumentor: PrefectInstrumentor, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry warns, and Prefect is as it was."""
    native = seams()
    with caplog.at_level(logging.WARNING):
        instrumentor.uninstrument()

    assert native == seams()
    assert ["Attempting to uninstrument while already uninstrumented"] == caplog.messages


def test_it_is_what_opentelemetry_expects() -> None:
    """There is one of its kind, and the Prefect that is installed is one that it takes."""
    instrumentor = PrefectInstrumentor()

    assert isinstance(instrumentor, BaseInstrumentor)
    assert instrumentor is PrefectInstrumentor()
    assert ("prefect >= 3.4, < 4",) == tuple(instrumentor.instrumentation_dependencies())


@pytest.mark.parametrize("version", ["2.20.4", "3.3.9", "4.0.0"])
def test_unknown_prefect_is_left_alone(version: str, tmp_path: Path) -> None:
    """With a Prefect that is too old or too new, OpenTelemetry says so and nothing is changed."""
    metadata = tmp_path / f"prefect-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: prefect\nVersion: {version}\n")
    process = run(REFUSED, {"PYTHONPATH": str(tmp_path)}, prelude="")

    assert (f"prefect >= 3.4, < 4 prefect {version}", "False", "None") == process.lines
    assert 1 == len(process.complaints)
