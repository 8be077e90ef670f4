"""A real Kubernetes control plane, which only this machine reaches, without a node."""

from __future__ import annotations

import os
import secrets
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from certificates import certificate
from demo.processes import Program, free_port
from demo.sandbox import Sandbox
from kubernetes.api import Api, eventually
from kubernetes.machine import Machine

_ISSUER = "https://kubernetes.default.svc"
_SERVICES = "10.231.0.0/16"

# Names of keys: of those that sign for service accounts, and by which kubelets know the API server.
_ACCOUNTS = "service-accounts"
_CLIENT = "kubelet-client"

# Who asks, and by which groups RBAC knows them.
_GROUPS = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "system:node-proxier",
    "system:node:here": "system:nodes",
}


def programs() -> Path:
    """Return the folder that scripts/kubernetes has printed.

    Raises:
        KeyError: Nobody said where it is.
    """
    return Path(os.environ["PREFECT_KUBERNETES"])


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server that answers at *url*, with controllers and a scheduler at work.

    Args:
        sandbox: Where it all runs, and is ended.
        authority: The PEM file that its certificate is checked against.
        client_certificate: The PEM file of the certificate by which it tells kubelets who it is.
        tokens: Of each user, for the header `Authorization`.
        api: The API as its administrator sees it.
    """

    sandbox: Sandbox
    url: str
    authority: Path
    client_certificate: Path
    tokens: Mapping[str, str]
    api: Api

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as the administrator, with *text* as its input, and return what it prints.

        Raises:
            AssertionError: It fails; what it said is the message.
        """
        command = [str(programs() / "kubernetes"), "kubectl", f"--kubeconfig={self.kubeconfig()}"]
        done = subprocess.run(
            [*command, *arguments],
            env=self.sandbox.environment(),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubeconfig(self, user: str = "admin") -> Path:
        """Return the file by which *user*'s programs find the cluster."""
        path = self.sandbox.subfolder("kubeconfigs") / f"{user.replace(':', '-')}.yaml"
        server = {"server": self.url, "certificate-authority": str(self.authority)}
        context = {"cluster": "here", "user": user}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "here", "context": context}],
            "current-context": "here",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def run(
        self, part: str, *options: str, user: str, health: str, within: Machine | None = None
    ) -> None:
        """Start a further part of Kubernetes.

        Args:
            part: Its name, such as ``kube-scheduler``.
            options: What it is told.
            user: As whom it asks the API server.
            health: The URL that answers once it is up.
            within: The machine to run on, if not this one.
        """
        argv = [str(programs() / "kubernetes"), part, *options]
        argv.append(f"--kubeconfig={self.kubeconfig(user)}")
        argv = argv if within is None else within.command(*argv)
        self.sandbox.start(_program(part, argv, self.sandbox, health))


@contextmanager
def cluster(sandbox: Sandbox, address: str = "127.0.0.1") -> Iterator[Cluster]:
    """Have a control plane at an address of this machine until the block ends."""
    folder = sandbox.subfolder("kube-apiserver")
    tokens = {user: secrets.token_hex(16) for user in _GROUPS}
    url = f"https://{address}:{free_port()}"
    client, _ = certificate(folder, _CLIENT)
    _api_server(sandbox, url, tokens, _etcd(sandbox))
    authority = folder / "apiserver.crt"
    with _client(url, authority, tokens["admin"]) as administrator:
        api = Api(administrator)
        made = Cluster(sandbox, url, authority, client, tokens, api)
        _controllers(made)
        _scheduler(made)
        eventually(
            lambda: api.find("ServiceAccount", "default", "default"),
            what="the default service account",
        )
        yield made


def _client(url: str, authority: Path, token: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=authority)
    # The server signs for itself, which Python 3.13 takes from no authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, verify=context, timeout=30, trust_env=False)


def _etcd(sandbox: Sandbox) -> str:
    folder = sandbox.subfolder("etcd")
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    argv = [
        str(programs() / "etcd"),
        f"--data-dir={folder}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        # Nobody misses the data after a power cut.
        "--unsafe-no-fsync",
    ]
    sandbox.start(_program("etcd", argv, sandbox, f"{url}/health"))
    return url


def _api_server(sandbox: Sandbox, url: str, tokens: Mapping[str, str], etcd: str) -> None:
    folder = sandbox.subfolder("kube-apiserver")
    users = folder / "tokens.csv"
    users.write_text(
        "".join(f'{tokens[user]},{user},{user},"{group}"\n' for user, group in _GROUPS.items())
    )
    public, private = certificate(folder, _ACCOUNTS)
    address, _, port = url.removeprefix("https://").rpartition(":")
    argv = [
        str(programs() / "kubernetes"),
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        # It signs its own certificate there.
        f"--cert-dir={folder}",
        f"--token-auth-file={users}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={private}",
        f"--service-cluster-ip-range={_SERVICES}",
        f"--kubelet-client-certificate={folder / _CLIENT}.crt",
        f"--kubelet-client-key={folder / _CLIENT}.key",
        "--kubelet-preferred-address-types=InternalIP",
        # A Service cannot lead to a loopback address.
        *(["--endpoint-reconciler-type=none"] if address.startswith("127.") else []),
    ]
    sandbox.start(_program("kube-apiserver", argv, sandbox, f"{url}/readyz"))


def _controllers(made: Cluster) -> None:
    folder = made.sandbox.subfolder("kube-apiserver")
    port = free_port()
    made.run(
        "kube-controller-manager",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={made.sandbox.subfolder('kube-controller-manager')}",
        f"--service-account-private-key-file={folder / _ACCOUNTS}.key",
        f"--root-ca-file={made.authority}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        # In tests a claim is not to wait for the next round.
        "--pvclaimbinder-sync-period=1s",
        user="system:kube-controller-manager",
        health=f"https://127.0.0.1:{port}/healthz",
    )


def _scheduler(made: Cluster) -> None:
    port = free_port()
    made.run(
        "kube-scheduler",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={made.sandbox.subfolder('kube-scheduler')}",
        "--leader-elect=false",
        user="system:kube-scheduler",
        health=f"https://127.0.0.1:{port}/healthz",
    )


def _program(name: str, argv: Sequence[str], sandbox: Sandbox, health: str) -> Program:
    def answers() -> bool:
        # Whether it is up, not who it is: each part signs for itself.
        return httpx.get(health, timeout=2.0, trust_env=False, verify=False).is_success  # noqa: S501

    env = sandbox.environment()
    return Program(name=name, argv=argv, env=env, ready=answers, ready_within=120)
