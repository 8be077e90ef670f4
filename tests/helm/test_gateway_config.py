"""The collector accepts the configuration, variables and arguments that the chart gives it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collector.parts import built
from demo.processes import Process, Program, answers_at, free_port
from helm.rendering import Object, named, of_kind, render

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NAME = "obs-prefect-observability"
HEADER = {"Authorization": {"name": "backend", "key": "header"}}
TLS = {"existingSecret": "backend-tls", "clientCertificate": True}
CASES: dict[str, Mapping[str, Any]] = {
    "defaults": {},
    "of this chart": {"jaeger": {"enabled": True}, "loki": {"enabled": True}},
    "other backends": {
        "gateway": {
            "traces": {
                "endpoint": "tempo.example.com:4317",
                "tls": {"enabled": True, **TLS},
                "headers": HEADER,
            },
            "logs": {
                "endpoint": "https://loki.example.com/otlp",
                "tls": TLS,
                "headers": HEADER,
            },
        }
    },
    "several gateways": {
        "gateway": {"replicas": 3, "sampling": {"share": 0.5, "tracesWaiting": 2_000_000}},
        "agent": {"enabled": True, "kubernetesAttributes": {"enabled": True}},
        "podLogs": {"enabled": True, "namespaces": ["flows"], "exclude": ["flows_noisy-*"]},
    },
    "own configuration": {
        "gateway": {
            "config": {
                "exporters": {"otlp_grpc/more": {"endpoint": "${env:MORE}"}},
                "service": {
                    "pipelines": {
                        "traces/kept": {"exporters": ["otlp_grpc/jaeger", "otlp_grpc/more"]}
                    }
                },
            },
            "traces": {"endpoint": "tempo:4317"},
            "extraEnv": [{"name": "MORE", "value": "more.example.com:4317"}],
        },
        "agent": {"enabled": True, "kind": "Deployment", "config": {"processors": {"batch": {}}}},
        "podLogs": {"enabled": True, "resources": {}},
    },
}
COMPONENTS = {"gateway": "gateway", "agent": "agent", "podLogs": "pod-logs"}


@pytest.fixture(name="otelcol", scope="session")
def _otelcol() -> Path:
    """The collector's program, built where that was not done."""
    return built()


@pytest.mark.parametrize(
    ("case", "section"),
    [
        (case, section)
        for case, values in CASES.items()
        for section in COMPONENTS
        if values.get(section, {"enabled": section == "gateway"}).get("enabled", True)
    ],
)
def test_collector_accepts_its_configuration(
    case: str, section: str, tmp_path: Path, otelcol: Path
) -> None:
    """What the pod gets, merged in its order, is complete and has no key that is unknown."""
    done = validate(otelcol, tmp_path, CASES[case], section)

    assert (0, "") == (done.returncode, done.stderr)


def test_key_that_no_collector_knows_is_found(tmp_path: Path, otelcol: Path) -> None:
    """What the tests above accept is not just anything."""
    values = {"gateway": {"config": {"exporters": {"otlp_grpc/jaeger": {"address": "x"}}}}}
    done = validate(otelcol, tmp_path, values, "gateway")

    assert 0 != done.returncode
    assert "invalid keys: address" in done.stderr


def validate(
    program: Path, folder: Path, values: Mapping[str, Any], section: str
) -> subprocess.CompletedProcess[str]:
    """Let the collector look at what the chart makes for it, in *folder* instead of the pod."""
    container = unpacked(folder, values, section)
    return subprocess.run(
        [program, "validate", *container["args"]],
        env=environment(container) | {"STORAGE_DIRECTORY": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def unpacked(folder: Path, values: Mapping[str, Any], section: str) -> Object:
    """Return the container of a section, with its files in *folder* and arguments that say so."""
    component = COMPONENTS[section]
    objects = render(values=values)
    config = named(objects, "ConfigMap", f"{NAME}-{component}")
    for file, text in config["data"].items():
        (folder / file).write_text(text)
    (workload,) = [
        each
        for each in of_kind(objects, "StatefulSet", "DaemonSet", "Deployment")
        if each["metadata"]["name"] == config["metadata"]["name"]
    ]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    args = [each.replace("/etc/otelcol", str(folder)) for each in container["args"]]
    return {**container, "args": args}


def environment(container: Object) -> dict[str, str]:
    """Return the variables of a container; its pod has loopback's address."""
    return {each["name"]: each.get("value", "127.0.0.1") for each in container["env"]}


@pytest.mark.parametrize("section", ["gateway", "agent"])
def test_collector_answers_at_the_ports_of_its_pod(
    section: str, tmp_path: Path, otelcol: Path
) -> None:
    """For health, for Prometheus and for OTLP; no port is left out."""
    container = unpacked(tmp_path, {"agent": {"enabled": True}}, section)
    free = {f"{each['containerPort']}": f"{free_port()}" for each in container["ports"]}
    env = environment(container) | {"STORAGE_DIRECTORY": str(tmp_path), "TELEMETRY_PORT": "8888"}
    moved = {
        name: re.sub("^(:?)([0-9]+)$", lambda at: at[1] + free.get(at[2], at[2]), text)
        for name, text in env.items()
    }
    program = Program(
        name=section,
        argv=[str(otelcol), *container["args"]],
        env=moved,
        ready=answers_at(f"http://127.0.0.1:{free['13133']}/"),
    )
    process = Process(program, log=tmp_path / "collector.log", cwd=tmp_path)
    try:
        process.start()
        process.wait_ready()
        for port in free.values():
            socket.create_connection(("127.0.0.1", int(port)), timeout=10).close()
        scraped = [each for each in ("8888", "8889") if each in free]
        assert all(answers_at(f"http://127.0.0.1:{free[each]}/metrics")() for each in scraped)
    finally:
        process.stop()
