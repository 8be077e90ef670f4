"""The exporter's pods as real processes, with what the chart gives them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from certificates import certificate
from demo.processes import Process, Program, free_port
from helm.kubelet import environment, lay_out
from helm.rendering import Object, containers, named, render

NAME = "obs-prefect-observability-exporter"
TESTS = "obs-prefect-observability-tests"
# So that nobody waits for a poll.
_HASTE = {"PREFECT_EXPORTER_POLL_INTERVAL": "1s", "PREFECT_EXPORTER_REQUEST_ATTEMPTS": "1"}


@dataclass
class Shards:
    """The pods of one release, which ask with a token and answer by HTTPS.

    Args:
        folder: Each pod's root is a folder in it.
        values: Those of the release; all targets are recorded Prefects.
    """

    folder: Path
    values: dict[str, Any]
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the Secret that the values name."""
        certified, key = (path.read_text() for path in certificate(self.folder))
        self.secrets = {"guard": {"token": "t0ken", "tls.crt": certified, "tls.key": key}}
        self.values = {
            "exporter": {
                "shards": 2,
                "bearerToken": {"existingSecret": {"name": "guard", "key": "token"}},
                "tls": {"existingSecret": "guard"},
            },
            **self.values,
        }
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]

    def start(self) -> None:
        """Start all pods, and wait until they answer."""
        pod = named(self._objects(), "StatefulSet", NAME)["spec"]["template"]
        self.configure()
        for ordinal, address in enumerate(self.addresses):
            root = self._root(ordinal)
            env = environment(containers(pod)[0], f"{NAME}-{ordinal}", root)
            env |= {"PREFECT_EXPORTER_LISTEN_ADDRESS": address, **_HASTE}
            program = Program(
                name=f"exporter-{ordinal}",
                argv=[sys.executable, "-m", "prefect_exporter", "serve"],
                env=_clean() | env,
                ready=lambda address=address: self.asked(address, "/healthz").is_success,  # type: ignore[misc]  # mypy infers no type of a lambda with a default
            )
            process = Process(program, log=self.folder / f"{ordinal}.log", cwd=root)
            self.processes.append(process)
            process.start()
        for process in self.processes:
            process.wait_ready()

    def configure(self, **values: object) -> None:
        """Give the running pods the files that these values make, as the kubelet does."""
        self.values |= values
        objects = self._objects()
        pod = named(objects, "StatefulSet", NAME)["spec"]["template"]
        for ordinal in range(len(self.addresses)):
            lay_out(objects, pod, self._root(ordinal), self.secrets)

    def asked(self, address: str, path: str) -> httpx.Response:
        """Return what a pod answers who has the token."""
        with httpx.Client(verify=False, trust_env=False, timeout=5) as client:  # noqa: S501 - any certificate is as good
            return client.get(f"https://{address}{path}", headers={"Authorization": "Bearer t0ken"})

    def tested(self, **env: str) -> tuple[Path, dict[str, str]]:
        """Return the script and the environment of `helm test`'s pod; *env* wins."""
        objects = self._objects()
        pod = named(objects, "Pod", TESTS)
        root = self.folder / "tests"
        lay_out(objects, pod, root, self.secrets)
        found = environment(containers(pod)[0], TESTS, root)
        for ordinal, address in enumerate(self.addresses):
            host = f"{NAME}-{ordinal}.{NAME}-headless.observability:9877"
            found["EXPORTER_URLS"] = found["EXPORTER_URLS"].replace(host, address)
        command = containers(pod)[0]["command"]
        return root / command[1].lstrip("/"), _clean() | found | env

    def _objects(self) -> list[Object]:
        return render(values=self.values)

    def _root(self, ordinal: int) -> Path:
        return self.folder / f"pod-{ordinal}"


@contextmanager
def running(folder: Path, values: Mapping[str, Any]) -> Iterator[Shards]:
    """Run the pods until the block ends."""
    shards = Shards(folder, dict(values))
    with ExitStack() as ends:
        ends.callback(lambda: [process.stop() for process in shards.processes])
        shards.start()
        yield shards


def _clean() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if "PREFECT" not in name}
