"""A real node: kubelet, kube-proxy, CoreDNS and containerd, in a machine within this one.

Needs root, and Debian's containerd, runc and iptables. Its network plugin enforces no
NetworkPolicy.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.processes import Program, free_port
from kubernetes.cluster import Cluster, programs
from kubernetes.machine import Machine

NAME = "here"

# What holds a pod's network while its containers come and go.
_PAUSE = "prefect-test/pause:1"
_PAUSE_DOCKERFILE = """\
FROM busybox:1.37.0-musl
ENTRYPOINT ["sleep", "infinity"]
"""
_DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class Containers:
    """containerd of a machine."""

    machine: Machine

    def load(self, image: str) -> None:
        """Take an image from Docker's.

        Raises:
            CalledProcessError: Docker has none of that name.
        """
        archive = self.machine.sandbox.subfolder("images") / "image.tar"
        _docker("save", f"--output={archive}", image)
        self._ctr("images", "import", str(archive))
        archive.unlink()

    def _ctr(self, *arguments: str) -> None:
        self.machine.run("ctr", "--namespace=k8s.io", *arguments)


@contextmanager
def node(cluster: Cluster, machine: Machine) -> Iterator[Containers]:
    """Have a node that is ready for pods until the block ends."""
    containers = _containers(machine)
    _docker("build", f"--tag={_PAUSE}", "-", text=_PAUSE_DOCKERFILE)
    containers.load(_PAUSE)
    _names(cluster, machine)
    _kubelet(cluster, machine)
    _services(cluster, machine)
    yield containers


def _containers(machine: Machine) -> Containers:
    folder = machine.sandbox.subfolder("containerd")
    runtimes = {"runc": {"runtime_type": "io.containerd.runc.v2"}}
    cri = {
        "sandbox_image": f"docker.io/{_PAUSE}",
        # Where lowering it is forbidden, pods start nevertheless.
        "restrict_oom_score_adj": True,
        "cni": {
            "bin_dir": str(programs() / "cni"),
            "conf_dir": str(_network(folder, machine.pods)),
        },
        "containerd": {"default_runtime_name": "runc", "runtimes": runtimes},
    }
    config = {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": cri}}
    (folder / "config.toml").write_text(_toml(config))
    socket = machine.path("/run/containerd/containerd.sock")
    program = Program(
        name="containerd",
        argv=machine.command("containerd", f"--config={folder / 'config.toml'}"),
        env=machine.sandbox.environment(),
        ready=socket.exists,
    )
    machine.sandbox.start(program)
    return Containers(machine)


def _network(folder: Path, pods: str) -> Path:
    """Write what containerd connects pods by, and return its folder."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    path = folder / "network"
    path.mkdir()
    plugins = {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}
    (path / "pods.conflist").write_text(json.dumps(plugins))
    return path


def _toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key not in tables]
    for key, value in tables.items():
        inner = (*path, json.dumps(key))
        lines += [f"[{'.'.join(inner)}]", _toml(value, inner)]
    return "\n".join(lines)


def _names(cluster: Cluster, machine: Machine) -> None:
    """Start CoreDNS, which knows of Services alone."""
    folder = machine.sandbox.subfolder("coredns")
    config = folder / "Corefile"
    config.write_text(
        f".:53 {{\n  bind {machine.address}\n  errors\n  kubernetes {_DOMAIN} in-addr.arpa {{\n"
        f"    kubeconfig {cluster.kubeconfig()}\n  }}\n}}\n"
    )
    command = machine.command(str(programs() / "kubernetes"), "coredns", f"-conf={config}")
    program = Program(
        name="coredns", argv=command, env=machine.sandbox.environment(), ready=lambda: True
    )
    machine.sandbox.start(program)


def _kubelet(cluster: Cluster, machine: Machine) -> None:
    folder = machine.sandbox.subfolder("kubelet")
    port = free_port()
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": machine.address,
        "healthzBindAddress": machine.address,
        "healthzPort": port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(cluster.client_certificate)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{machine.cgroup}",
        "clusterDNS": [machine.address],
        "clusterDomain": _DOMAIN,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        # However full the disk is on which tests run.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "oomScoreAdj": 0,
        "resolvConf": "",
        # Changed ConfigMaps arrive within it.
        "syncFrequency": "5s",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    cluster.run(
        "kubelet",
        f"--config={folder / 'config.yaml'}",
        f"--cert-dir={folder}",
        f"--hostname-override={NAME}",
        f"--node-ip={machine.address}",
        user=f"system:node:{NAME}",
        health=f"http://{machine.address}:{port}/healthz",
        within=machine,
    )


def _services(cluster: Cluster, machine: Machine) -> None:
    """Start kube-proxy, which makes Services' addresses lead to pods."""
    port = free_port()
    cluster.run(
        "kube-proxy",
        f"--bind-address={machine.address}",
        f"--healthz-bind-address={machine.address}:{port}",
        "--proxy-mode=iptables",
        f"--hostname-override={NAME}",
        "--conntrack-max-per-core=0",
        user="system:kube-proxy",
        health=f"http://{machine.address}:{port}/livez",
        within=machine,
    )


def _docker(*arguments: str, text: str | None = None) -> None:
    subprocess.run(["docker", *arguments], input=text, text=True, check=True, capture_output=True)
