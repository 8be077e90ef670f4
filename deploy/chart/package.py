"""Pack the chart into one file, with the charts that it can bring along or without them."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from chart import CHART
from generated import ROOT


def main(arguments: list[str] | None = None) -> int:
    """Pack it, and return Helm's exit code.

    Args:
        arguments: Of the command line; None for the process' own.
    """
    parser = argparse.ArgumentParser(prog="python -m chart.package", description=__doc__)
    parser.add_argument(
        "--without-dependencies",
        action="store_true",
        help="for who has Prometheus, Grafana and Prefect already: nothing is downloaded",
    )
    parser.add_argument("--destination", type=Path, default=ROOT / "dist", help="the folder for it")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return pack(
            Path(folder) / CHART.name, given.destination, whole=not given.without_dependencies
        )


def pack(copy: Path, destination: Path, *, whole: bool) -> int:
    """Pack a copy of the chart, and return Helm's exit code.

    Args:
        copy: Where to copy it to: a folder that is not there yet.
        destination: The folder for the packed chart.
        whole: Download its dependencies into it; else it has none.
    """
    shutil.copytree(CHART, copy)
    command = [_helm(), "package", str(copy), f"--destination={destination}"]
    if whole:
        command.append("--dependency-update")
    else:
        _drop_dependencies(copy)
    return subprocess.run(command, check=False).returncode


def _drop_dependencies(copy: Path) -> None:
    path = copy / "Chart.yaml"
    about = yaml.safe_load(path.read_text(encoding="utf-8"))
    del about["dependencies"]
    path.write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
    shutil.rmtree(copy / "charts", ignore_errors=True)
    (copy / "Chart.lock").unlink(missing_ok=True)


def _helm() -> str:
    """Return the Helm of the environment, or else the one on PATH."""
    beside = Path(sys.executable).with_name("helm")
    return str(beside) if beside.exists() else "helm"


if __name__ == "__main__":
    sys.exit(main())
