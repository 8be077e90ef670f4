"""What a real Prometheus makes of targets by relabeling: no discovery, but all that follows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from demo.processes import Process, Program, answers_at, free_port, wait_until
from helm.rendering import Object, containers
from monitoring import tool

Labels = dict[str, str]


def discovered(pods: Sequence[Object]) -> list[Any]:
    """Return static groups of targets with the labels that Kubernetes' discovery of pods gives."""
    return [
        {"targets": [f"10.0.0.{number}:{port['containerPort']}"], "labels": _meta(pod, port)}
        for number, pod in enumerate(pods, start=1)
        for container in containers(pod)
        for port in container.get("ports", [{"containerPort": 80}])
    ]


def _meta(pod: Object, port: Mapping[str, Any]) -> Labels:
    prefix = "__meta_kubernetes_pod"
    component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    annotations = pod["metadata"].get("annotations", {})
    return {
        "__meta_kubernetes_namespace": "observability",
        f"{prefix}_name": f"{component}-0",
        f"{prefix}_container_port_name": port.get("name", ""),
        **{f"{prefix}_annotation_{_name(key)}": str(value) for key, value in annotations.items()},
    }


def scrape_config(job: str, endpoint: Mapping[str, Any], groups: Sequence[Any]) -> Object:
    """Return a Prometheus' job of what an endpoint of a monitor says of relabeling."""
    relabelings = [
        {_snake(key): value for key, value in each.items()} for each in endpoint["relabelings"]
    ]
    return {"job_name": job, "static_configs": groups, "relabel_configs": relabelings}


@contextmanager
def prometheus(jobs: Sequence[Object], folder: Path) -> Iterator[str]:
    """Run a Prometheus with these jobs; yield its address. What it scrapes does not answer."""
    config = {"global": {"scrape_interval": "1h"}, "scrape_configs": list(jobs)}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    address = f"127.0.0.1:{free_port()}"
    argv = [
        str(tool("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    program = Program(
        name="prometheus", argv=argv, env={}, ready=answers_at(f"http://{address}/-/ready")
    )
    process = Process(program, log=folder / "prometheus.log", cwd=folder)
    process.start()
    try:
        process.wait_ready()
        yield f"http://{address}"
    finally:
        process.stop()


def targets(url: str, jobs: Sequence[Object]) -> dict[str, list[tuple[str, Labels]]]:
    """Return the address and labels of every target, by the job that found it."""
    wait_until(
        lambda: _active(url).keys() == {each["job_name"] for each in jobs},
        within=60,
        what="targets",
    )
    return _active(url)


def _active(url: str) -> dict[str, list[tuple[str, Labels]]]:
    answer = httpx.get(f"{url}/api/v1/targets?state=active", trust_env=False).raise_for_status()
    found: dict[str, list[tuple[str, Labels]]] = {}
    for each in answer.json()["data"]["activeTargets"]:
        found.setdefault(each["scrapePool"], []).append((each["scrapeUrl"], each["labels"]))
    return found


def _name(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _snake(key: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", key)
