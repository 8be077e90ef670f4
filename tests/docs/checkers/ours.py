"""Files that people write for us, read as our own programs read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alerting import teams as teams_file
from certificates import certificate
from docs.blocks import ROOT, Block
from docs.checks import run
from kpi import model as kpi_file
from slo import objectives as slo_file
from sources import BadSource

Document = Any


def targets(block: Block, document: Document, folder: Path) -> Iterator[str]:
    """Ask the exporter, with something in every file and variable that is named."""
    (folder / "secret").write_text("user:password")
    files = {"ca_file": certificate(folder)[0], "auth_string_file": folder / "secret"}
    text = re.sub(r"<[^>]+>", "0", block.text)
    for key, path in files.items():
        text = re.sub(rf"{key}: \S+", f"{key}: {path}", text)
    file = folder / "targets.yaml"
    file.write_text(text)
    named = {each[key] for each in document["targets"] for key in each if key.endswith("_env")}
    told = {"PREFECT_EXPORTER_TARGETS_FILE": str(file), **dict.fromkeys(named, "key")}
    done = run("prefect-exporter", "check-config", env=told)
    if done.returncode:
        yield done.stdout


def objectives(block: Block, _document: Document, folder: Path) -> Iterator[str]:
    """Read them as ``python -m slo`` does."""
    return _read(slo_file.load, folder / "objectives.yml", block.text)


def indicators(block: Block, _document: Document, folder: Path) -> Iterator[str]:
    """Read them as ``python -m kpi`` does."""
    return _read(kpi_file.load, folder / "kpis.yml", block.text)


def teams(block: Block, document: Document, folder: Path) -> Iterator[str]:
    """Read them as ``python -m alerting`` does; what goes to nobody goes to the first team."""
    (first, *_) = document["teams"]
    top = "" if "default" in document else f"default: {first}\n"
    return _read(teams_file.load, folder / "teams.yml", top + block.text)


def team(block: Block, document: Document, folder: Path) -> Iterator[str]:
    """Read teams without what stands above them in the file."""
    top = f'default: {next(iter(document))}\nemail: {{sender: a@b.c, server: "x:25"}}\nteams:\n'
    indented = "".join(f"  {line}\n" for line in block.text.splitlines())
    return _read(teams_file.load, folder / "teams.yml", top + indented)


def prefect(_block: Block, document: Document, _folder: Path) -> Iterator[str]:
    """See that each deployment has a name, and an entrypoint in a module of the examples."""
    for each in document.get("deployments", ()):
        module, _, function = re.sub(r"\.py:|:", ".", each["entrypoint"]).rpartition(".")
        files = (ROOT / "examples").rglob(f"{module.replace('.', '/')}.py")
        if not any(f"def {function}(" in file.read_text() for file in files):
            yield f"{each['name']}: there is no flow {each['entrypoint']} in examples/"


def _read(load: Callable[[Path], object], file: Path, text: str) -> Iterator[str]:
    file.write_text(text, encoding="utf-8")
    try:
        load(file)
    except BadSource as error:
        yield str(error)
