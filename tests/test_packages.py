"""What the two distributions may know of each other and of Prefect."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import prefect_exporter
import prefect_instrumentation

ROOT = Path(__file__).parents[1]
EXPORTER = ROOT / "exporter" / "src" / "prefect_exporter"
INSTRUMENTATION = ROOT / "instrumentation" / "src" / "prefect_instrumentation"

LOADED = """
import pkgutil, sys
import prefect_exporter
for module in pkgutil.walk_packages(prefect_exporter.__path__, "prefect_exporter."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
import prefect_exporter.__main__
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imports(folder: Path) -> Iterator[str]:
    """Yield the name of every module that a package imports, anywhere in its code."""
    for file in folder.rglob("*.py"):
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


def test_instrumentation_has_its_name_alone() -> None:
    """Nothing in it pretends to work yet: it has a version, and no modules."""
    modules = [each.name for each in pkgutil.iter_modules(prefect_instrumentation.__path__)]
    public = [name for name in vars(prefect_instrumentation) if not name.startswith("_")]

    assert ([], [], "0.1.0") == (modules, public, prefect_instrumentation.__version__)


def test_exporter_never_asks_for_scheduled_runs() -> None:
    """That route marks deployments as ready: asking it would change what is watched."""
    forbidden = ("get_scheduled_flow_runs", "/scheduled_flow_runs")
    texts = {file: file.read_text() for file in EXPORTER.rglob("*.py")}

    assert [] == [file for file, text in texts.items() if any(each in text for each in forbidden)]


def test_exporter_has_one_version() -> None:
    """The version in the package is that of its distribution."""
    assert prefect_exporter.__version__ == version("prefect-exporter")
