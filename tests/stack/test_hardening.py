"""What docker-compose.yml promises about each container, as Docker has applied it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.compose import Container, Stack, docker, docker_run
from stack.containers import table, used

pytestmark = pytest.mark.stack

# Root without any capability but, for the first, CHOWN.
_ROOT = {"init", "init-server", "container-logs"}


@pytest.fixture(name="containers", scope="module")
def _containers(whole: Stack) -> list[Container]:
    """Every container, those that have done their one job too."""
    return whole.containers()


def test_every_container_is_hardened(containers: list[Container]) -> None:
    """Nobody is root, has a capability, can get one, or writes into the image."""
    wrong = {one.name: found for one in containers if (found := list(_lacks(one)))}

    assert {} == wrong


def _lacks(one: Container) -> Iterator[str]:
    host, config = one.inspected["HostConfig"], one.inspected["Config"]
    limits = ("Memory", "NanoCpus", "PidsLimit")
    claims = {
        "is root": config["User"].split(":")[0] not in {"", "0", "root"} or one.service in _ROOT,
        "has capabilities": (host["CapDrop"], host["CapAdd"] or [])
        == (["ALL"], ["CAP_CHOWN"] if one.service == "init" else []),
        "may gain rights": "no-new-privileges:true" in host["SecurityOpt"],
        "is privileged": not host["Privileged"],
        "writes into the image": host["ReadonlyRootfs"],
        "has no limits": all((host[limit] or 0) > 0 for limit in limits),
        "keeps all logs": {"max-size", "max-file"} <= set(host["LogConfig"]["Config"]),
        "stays down": host["RestartPolicy"]["Name"] == "unless-stopped" or one.state == "exited 0",
        "has no healthcheck": "Healthcheck" in config or one.state == "exited 0",
        "is published": all(
            bound["HostIp"] == "127.0.0.1"
            for bounds in (host["PortBindings"] or {}).values()
            for bound in bounds
        ),
        "has Docker's socket": not any("docker.sock" in mount for mount in _mounts(one)),
        "has no label": "org.opencontainers.image.vendor" in config["Labels"],
    }
    return (claim for claim, kept in claims.items() if not kept)


def _mounts(one: Container) -> list[str]:
    return [mount.get("Source", "") for mount in one.inspected["Mounts"]]


def test_memory_is_far_from_its_limit(whole: Stack, say: Callable[[str], None]) -> None:
    """With little to do no container takes three quarters of what it may."""
    uses = used(whole)
    say(table(uses))
    if path := os.environ.get("PREFECT_STACK_TABLE"):
        Path(path).write_text(table(uses) + "\n")

    assert [] == [use.container.name for use in uses if use.memory > 0.75 * use.limit]


def test_no_secret_is_seen(whole: Stack, containers: list[Container]) -> None:
    """No secret is in a container's description, its processes' arguments, or its log."""
    secrets = _secrets(whole)
    seen = [
        f"{secret} of {place} of {one.name}"
        for one in containers
        for place, text in _shown(one).items()
        for secret, value in secrets.items()
        if value in text
    ]

    assert len(secrets) > 10
    assert [] == seen


def _secrets(stack: Stack) -> dict[str, str]:
    files = (stack.folder / "secrets").rglob("*")
    found = {path.name: path.read_text().strip() for path in files if path.is_file()}
    return {name: value for name, value in found.items() if len(value) > 7}


def _shown(one: Container) -> dict[str, str]:
    processes = docker_run("top", one.id, "-eo", "pid,args").stdout
    return {"inspect": json.dumps(one.inspected), "processes": processes, "log": one.log()}


def test_networks_are_apart(whole: Stack) -> None:
    """PostgreSQL is reached by the server alone, and reaches nobody outside."""
    postgres = whole.container("postgres")
    database = (postgres.address("data"), 5432)
    api, *_ = whole.containers("prefect-api")

    assert _reaches(whole, api, *database)
    others = ("exporter", "prometheus", "prefect-worker", "prefect-proxy", "demo-trigger")
    for other in whole.containers(*others, "demo-worker", "demo-redis", "demo-rates"):
        assert not _reaches(whole, other, *database), other.name
    # The host itself is no measure: Docker 20.10 lets any network reach what listens there.
    outside = (whole.container("prometheus").address("edge"), 9090)
    assert _reaches(whole, whole.container("exporter"), *outside)
    for inner in (postgres, whole.container("redis"), api):
        assert not _reaches(whole, inner, *outside), inner.service


def test_flows_reach_no_page_without_a_login(whole: Stack) -> None:
    """What runs flows can send spans, and can neither silence an alert nor write log lines."""
    worker = whole.container("prefect-worker")
    orders = whole.container("demo-redis").address("runs")
    collector = whole.container("otel-collector")

    assert _reaches(whole, worker, collector.address("runs"), 4318)
    for service, port in (("alertmanager", 9093), ("prometheus", 9090)):
        page = whole.container(service)
        for network in ("edge", "telemetry"):
            assert not _reaches(whole, worker, page.address(network), port), service
    assert "NOAUTH" in _said(whole, worker, orders, 6379, "PING")


def _said(stack: Stack, one: Container, address: str, port: int, line: str) -> str:
    """Return what a program in the network of *one* is answered."""
    image = stack.container("init").inspected["Config"]["Image"]
    network = f"--network=container:{one.id}"
    command = f"printf '{line}\\r\\n' | nc -w 3 {address} {port}"
    return docker_run("run", "--rm", network, image, "sh", "-c", command).stdout


def _reaches(stack: Stack, one: Container, address: str, port: int) -> bool:
    """Return whether a program in the network of *one* can connect."""
    image = stack.container("init").inspected["Config"]["Image"]
    network = f"--network=container:{one.id}"
    command = f"nc -w 3 {address} {port} </dev/null"
    return docker_run("run", "--rm", network, image, "sh", "-c", command).returncode == 0


def test_published_ports_listen_on_loopback_alone(whole: Stack) -> None:
    """Docker itself says the same of every port."""
    published = docker(
        "ps", f"--filter=label=com.docker.compose.project={whole.name}", "--format={{.Ports}}"
    )
    addresses = [it.split(":")[0] for it in published.replace("\n", ", ").split(", ") if "->" in it]

    assert {"127.0.0.1"} == set(addresses)
