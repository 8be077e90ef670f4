"""YAML is what it is by its keys, and is read by the program that is to read it.

Prometheus' own by promtool, Alertmanager's by amtool, a collector's by the collector, values of the
chart by Helm, the exporter's, the objectives', the indicators' and the teams' by our own readers,
objects of Kubernetes, Compose's files and a workflow's steps by their schemas.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from alert_rules import promtool
from docs.blocks import ROOT, Block
from docs.checkers import chart, compose, ours, steps
from docs.checkers.quotes import quoted
from docs.checks import Problems, run
from helm.rendering import load
from monitoring import tool

Document = Any
Kind = Callable[[Block, Document, Path], Iterator[str]]


def check(blocks: Sequence[Block], folder: Path) -> Problems:
    """Say what the program that each block is for does not take."""
    return {each: list(_problems(each, folder)) for each in blocks}


def _problems(block: Block, folder: Path) -> Iterator[str]:
    quote = quoted(block)
    if quote is not None:
        yield from quote
        return
    try:
        document = load(block.text)
        yield from _kind(block, document)(block, document, folder)
    except (yaml.YAMLError, AssertionError, ValueError) as error:
        yield " ".join(str(error).split())[-500:]


def _kind(block: Block, document: Document) -> Kind:
    """Return what to do with a block: the first line that fits."""
    if isinstance(document, list):
        return steps.check
    keys = set(document)
    for needed, kind in _KINDS:
        if keys & needed:
            return kind
    if keys <= {"budgets", "targets"}:
        return ours.targets
    if "teams.yml" in block.before:
        return ours.team
    if "alertmanagerSpec" in block.text:
        return chart.of_kube_prometheus_stack
    return chart.check if keys <= chart.values().keys() else _nobodys


def prometheus(_block: Block, document: Document, folder: Path) -> Iterator[str]:
    """Ask promtool; a clone in /opt is this one, and each of its patterns has rules."""
    placed = _here(json.dumps(document))
    for pattern in json.loads(placed).get("rule_files", ()):
        if not list(Path("/").glob(pattern.removeprefix("/"))):
            yield f"rule_files: no file is at {pattern}"
    file = folder / "prometheus.yml"
    file.write_text(placed)
    done = promtool("check", "config", file)
    if done.returncode:
        yield done.stderr.strip()


def rules(block: Block, _document: Document, folder: Path) -> Iterator[str]:
    """Ask promtool."""
    file = folder / "rules.yml"
    file.write_text(block.text)
    done = promtool("check", "rules", file)
    if done.returncode:
        yield done.stdout + done.stderr


def alertmanager(block: Block, _document: Document, folder: Path) -> Iterator[str]:
    """Ask amtool."""
    file = folder / "alertmanager.yml"
    file.write_text(block.text)
    done = run(tool("amtool"), "check-config", file)
    if done.returncode:
        yield done.stdout


def collector(_block: Block, document: Document, folder: Path) -> Iterator[str]:
    """Ask the collector that tests run; a part gets what makes it a whole."""
    file = folder / "collector.yaml"
    secret = folder / "secret"
    secret.write_text("secret")
    file.write_text(
        re.sub(r"\$\{file:[^}]+\}", f"${{file:{secret}}}", json.dumps(_whole(document)))
    )
    told = {"OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    done = run(_collector(), "validate", "--config", file, env=told)
    if done.returncode:
        yield done.stdout


def kubernetes(_block: Block, document: Document, _folder: Path) -> Iterator[str]:
    """Hold an object against Kubernetes' own schema."""
    try:
        kubernetes_validate.validate(document, "1.34", strict=True)
    except kubernetes_validate.ValidationError as error:
        yield str(error)


def _nobodys(_block: Block, document: Document, _folder: Path) -> Iterator[str]:
    yield (
        f"nobody knows what YAML with the keys {sorted(document)} is for: "
        "mend the keys, or add a kind in tests/docs/checkers/configs.py"
    )


def _here(text: str) -> str:
    return text.replace("/opt/prefect-observability", str(ROOT))


def _whole(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a collector's configuration around some of its components."""
    given = {kind: dict(part.get(kind, {})) for kind in ("receivers", "processors", "exporters")}
    receivers = given["receivers"] or {"otlp": {"protocols": {"http": {}}}}
    exporters = {
        name: {"endpoint": "http://127.0.0.1:4318", **told}
        for name, told in given["exporters"].items()
    }
    pipeline = {
        "receivers": sorted(receivers),
        "processors": list(given["processors"]),
        "exporters": sorted(exporters) or ["nop"],
    }
    parts = {"receivers": receivers, "exporters": exporters or {"nop": {}}}
    pipelines = {"service": {"pipelines": {"traces": pipeline}}}
    return {"processors": given["processors"], **pipelines, **part, **parts}


def _collector() -> str:
    built = [str(ROOT / "scripts" / "otel-collector")]
    return subprocess.run(built, capture_output=True, text=True, check=True).stdout.strip()


_KINDS: tuple[tuple[set[str], Kind], ...] = (
    ({"scrape_configs", "rule_files", "alerting"}, prometheus),
    ({"groups"}, rules),
    ({"route"}, alertmanager),
    ({"receivers", "processors", "exporters"}, collector),
    ({"services", "volumes", "networks", "secrets"}, compose.file),
    ({"logging"}, compose.logging),
    ({"apiVersion"}, kubernetes),
    ({"kpis"}, ours.indicators),
    ({"tiers"}, ours.objectives),
    ({"teams"}, ours.teams),
    ({"deployments", "pull"}, ours.prefect),
)
