"""What the two distributions may know of each other and of Prefect."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, requires, version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import prefect_exporter
import prefect_instrumentation

ROOT = Path(__file__).parents[1]
EXPORTER = ROOT / "exporter" / "src" / "prefect_exporter"
NAME = "prefect_instrumentation"
INSTRUMENTATION = ROOT / "instrumentation" / "src" / NAME

LOADED = """
import pkgutil, sys
import prefect_exporter
for module in pkgutil.walk_packages(prefect_exporter.__path__, "prefect_exporter."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
import prefect_exporter.__main__
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imports(place: Path) -> Iterator[str]:
    """Yield the name of every module that a file or package imports, anywhere in its code."""
    for file in [place] if place.is_file() else place.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Import(names):
                    yield from (each.name for each in names)
                case ast.ImportFrom(module=module, level=0):
                    yield module or ""


@pytest.mark.parametrize(
    ("folder", "other"),
    [(EXPORTER, "prefect_instrumentation"), (INSTRUMENTATION, "prefect_exporter")],
    ids=["exporter", "instrumentation"],
)
def test_neither_distribution_imports_the_other(folder: Path, other: str) -> None:
    """Each can be installed without the other."""
    tops = {name.partition(".")[0] for name in imports(folder)}

    assert list(folder.rglob("*.py"))
    assert other not in tops


def test_exporter_does_not_load_prefect() -> None:
    """All of the exporter is loaded without Prefect: it costs seconds and 40 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()

    assert "httpx" in loaded
    assert "prefect" not in loaded


def test_public_face_is_complete() -> None:
    """What is promised is there, in order, as type checkers see it; nothing else is."""
    source = ast.parse((INSTRUMENTATION / "__init__.py").read_text())
    checked = [
        alias.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{NAME}.")
        for alias in node.names
    ]
    promised = prefect_instrumentation.__all__

    assert sorted(promised) == promised
    assert {*checked, "__version__"} == set(promised)
    assert all(getattr(prefect_instrumentation, name) is not None for name in promised)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        prefect_instrumentation.nothing  # noqa: B018 - asking is what is tested


def test_public_names_are_at_home_where_they_seem() -> None:
    """Functions and classes, and no modules or constants that were imported by chance."""
    for name in set(prefect_instrumentation.__all__) - {"__version__"}:
        home = getattr(prefect_instrumentation, name).__module__

        assert callable(getattr(prefect_instrumentation, name))
        assert home.startswith(f"{NAME}.")


def test_modules_are_private_but_for_those_with_a_purpose() -> None:
    """Whatever else there is may change without notice."""
    modules = [each.name for each in pkgutil.iter_modules(prefect_instrumentation.__path__)]

    assert ["attributes", "instrumentor", "middleware", "plugin", "testing"] == [
        name for name in sorted(modules) if not name.startswith("_")
    ]


def test_entry_points_load() -> None:
    """Prefect, OpenTelemetry and pytest each find what they look for."""
    points = {
        point.group: (point.name, point.load())
        for point in distribution("prefect-instrumentation").entry_points
    }

    assert {
        "prefect.plugins": (NAME, importlib.import_module(f"{NAME}.plugin")),
        "opentelemetry_instrumentor": ("prefect", prefect_instrumentation.PrefectInstrumentor),
        "pytest11": (NAME, importlib.import_module(f"{NAME}.testing")),
    } == points


def needed(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the names of all that installing a distribution installs, itself among them."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [(canonicalize_name(name), extras)]
    while left:
        current = left.pop()
        if current in found:
            continue
        found.add(current)
        for line in requires(current[0]) or ():
            need = Requirement(line)
            chosen = [{"extra": extra} for extra in current[1] or {""}]
            if not need.marker or any(need.marker.evaluate(each) for each in chosen):
                left.append((canonicalize_name(need.name), frozenset(need.extras)))
    return {str(name) for name, _ in found}


def test_instrumentation_adds_little_to_prefect() -> None:
    """Beside OpenTelemetry: what OTLP is written in, what wraps functions, what renders lines."""
    added = needed("prefect-instrumentation") - needed("prefect")
    own = {name for name in added if not name.startswith("opentelemetry-")}

    assert {
        *("prefect-instrumentation", "structlog", "wrapt"),
        *("googleapis-common-protos", "grpcio", "protobuf"),
    } == own


def test_prefects_internals_are_known_in_one_place() -> None:
    """A new version of Prefect is met in one package, and in no other module."""
    places = {
        file.relative_to(INSTRUMENTATION).parts[0]
        for file in INSTRUMENTATION.rglob("*.py")
        if any(name.partition(".")[0] == "prefect" for name in imports(file))
    }

    assert {"_prefect"} == places


def test_exporter_never_asks_for_scheduled_runs() -> None:
    """That route marks deployments as ready: asking it would change what is watched."""
    forbidden = ("get_scheduled_flow_runs", "/scheduled_flow_runs")
    texts = {file: file.read_text() for file in EXPORTER.rglob("*.py")}

    assert [] == [file for file, text in texts.items() if any(each in text for each in forbidden)]


@pytest.mark.parametrize("package", [prefect_exporter, prefect_instrumentation])
def test_distribution_has_one_version(package: ModuleType) -> None:
    """The version in the package is that of its distribution."""
    assert package.__version__ == version(package.__name__)
