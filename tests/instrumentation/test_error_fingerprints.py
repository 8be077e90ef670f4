"""One failure is known again after its file was edited, moved, and run by another Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import prefect_instrumentation
from traced_scene import Scene

SOURCE = Path(prefect_instrumentation.__file__).parents[1]

SHOP = """
import asyncio
import json

from prefect_instrumentation._errors.context import error_context


class Refused(Exception):
    pass


def check(order):
    if order == 7:
        raise Refused(f"order {order} at {__file__}")
    return order


def in_comprehensions(orders):
    return {order: [check(each) for each in {o for o in orders}] for order in orders}


def pages(orders):
    yield from (check(order) for order in orders)


def in_generator(orders):
    return list(pages(orders))


async def in_coroutine(orders):
    return [check(order) for order in orders]


@error_context(source="shop")
def wrapped(orders):
    try:
        in_generator(orders)
    except Refused as error:
        raise LookupError("load failed") from error


def in_library(orders):
    return json.loads("{" * len(orders))


def in_walk(orders):
    return check(7) if not orders else in_walk(orders[1:])


def in_group(orders):
    errors = []
    for function in (in_walk, in_library):
        try:
            function(orders)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)


def in_coroutines(orders):
    asyncio.run(in_coroutine(orders))


CASES = [in_comprehensions, in_generator, in_coroutines, wrapped, in_library, in_walk, in_group]
"""

RUN = """
from prefect_instrumentation import _errors

found = {}
for case in CASES:
    try:
        case([1, 7])
    except Exception as error:
        found[case.__name__] = _errors.fingerprint(error)
print(json.dumps(found))
"""

FLOWS = """
from prefect import flow, task


class Refused(Exception):
    pass


def check(order):
    raise Refused(order)


@task
def load(order):
    return [check(each) for each in [order]]


@flow
def orders(order):
    load(order)
"""

DRIVER = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
from prefect_instrumentation import PrefectInstrumentor
PrefectInstrumentor().instrument()
from prefect.flows import load_flow_from_entrypoint
for order, entrypoint in enumerate(sys.argv[1:]):
    load_flow_from_entrypoint(entrypoint)(order, return_state=True)
keys = ("error.type", "prefect.error.fingerprint")
found = [(span.name, *map(span.attributes.get, keys)) for span in exporter.get_finished_spans()]
print(json.dumps(found))
"""


def fingerprints(file: Path, python: str = sys.executable) -> Mapping[str, str]:
    """Return what a process that runs a file prints."""
    done = subprocess.run(
        [python, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    found: Mapping[str, str] = json.loads(done.stdout)
    return found


def write(folder: Path, source: str = SHOP) -> Path:
    """Return a file in a new folder."""
    folder.mkdir(parents=True)
    file = folder / "flows.py"
    file.write_text(source + RUN)
    return file


def shifted(source: str) -> str:
    """Return the same functions on other lines."""
    return "# above\n" * 40 + source.replace("\ndef ", "\n# between\n\ndef ").replace(
        "    errors = []", "    unused = 1\n\n    errors = []"
    )


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return the fingerprints of the file as it was written first."""
    return fingerprints(write(tmp_path_factory.mktemp("original") / "shop"))


def test_edited_copy_fails_as_the_same(original: Mapping[str, str], tmp_path: Path) -> None:
    """Lines above, between and within, another folder and another process change nothing."""
    edited = fingerprints(write(tmp_path / "a1b2c3" / "clone of shop", shifted(SHOP)))

    assert original == edited
    assert 7 == len({*original.values()}), "every case is a failure of its own"


def test_other_function_type_or_cause_fails_as_another(
    original: Mapping[str, str], tmp_path: Path
) -> None:
    """An edit that makes another failure makes another fingerprint."""
    renamed = fingerprints(write(tmp_path / "renamed", SHOP.replace("check(", "verify(")))
    retyped = fingerprints(write(tmp_path / "retyped", SHOP.replace("Refused", "Denied")))
    reasoned = fingerprints(write(tmp_path / "cause", SHOP.replace(" from error", " from None")))

    concerned = original.keys() - {"in_library"}
    assert all(original[each] != renamed[each] for each in concerned)
    assert all(original[each] != retyped[each] for each in concerned)
    assert original["in_library"] == renamed["in_library"] == retyped["in_library"]
    assert original["wrapped"] != reasoned["wrapped"]
    assert original["in_generator"] == reasoned["in_generator"]


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_other_pythons_agree(original: Mapping[str, str], tmp_path: Path, version: str) -> None:
    """Frames that Python has no more, and frames of its own, do not count."""
    python = other_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")

    assert original == fingerprints(write(tmp_path / "shop"), python)


def other_python(version: str) -> str | None:
    """Return a Python of the version, of pyenv's or on the path."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = sorted(folder.glob(f"{version}.*/bin/python{version}"))
    return str(own[-1]) if own else shutil.which(f"python{version}")


@pytest.mark.real
@pytest.mark.timeout(300)
def test_runs_of_an_edited_flow_fail_as_the_same(tmp_path: Path, scene: Scene) -> None:
    """A flow of Prefect's and its task fail as one, and as those of a worker's clone do."""
    original = tmp_path / "shop" / "flows.py"
    clone = tmp_path / "tmpx1prefect" / "flows.py"
    for file, source in ((original, FLOWS), (clone, shifted(FLOWS))):
        file.parent.mkdir()
        file.write_text(source)
    environ = scene.sandbox.prefect_environment(
        "fingerprints", **scene.server.client_environment, PREFECT_LOGGING_LEVEL="CRITICAL"
    )
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, f"{original}:orders", f"{clone}:orders"],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    found = json.loads(done.stdout.splitlines()[-1])

    assert ["task load", "flow orders"] * 2 == [name for name, *_ in found]
    assert 1 == len({fingerprint for *_, fingerprint in found})
    assert ["flows.Refused"] * 2 + ["Refused"] * 2 == [kind for _, kind, _ in found]
