"""Helm, with the chart, at work on a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helm.rendering import HELM, SOURCE, chart
from kubernetes.api import Object
from kubernetes.cluster import Cluster

RESTRICTED = "restricted"
PRIVILEGED = "privileged"


@dataclass(frozen=True, slots=True)
class Release:
    """A release, installed or not yet."""

    cluster: Cluster
    namespace: str
    name: str = "obs"

    def helm(
        self,
        command: str,
        *options: str,
        values: Mapping[str, Any] | None = None,
        example: str | None = None,
        of: Path | None = None,
    ) -> str:
        """Run a command such as ``install`` or ``upgrade`` with the chart, and return what it says.

        Args:
            command: One that takes a release and a chart.
            options: Further options.
            values: Further values, which win over the example's.
            example: One of the chart's example values.
            of: The chart; None for the present one.

        Raises:
            AssertionError: It fails; what Helm said is the message.
        """
        files = [] if example is None else [f"--values={SOURCE / 'examples' / example}.yaml"]
        chosen = [str(of or chart()), *files, "--values=-"]
        return self._run(command, self.name, *chosen, *options, text=json.dumps(values or {}))

    def uninstall(self) -> str:
        """Remove the release, and return what Helm says."""
        return self._run("uninstall", self.name, "--wait", "--ignore-not-found")

    def test(self) -> str:
        """Run the release's own tests, and return what Helm and they say."""
        return self._run("test", self.name, "--logs")

    def objects(self) -> list[Object]:
        """Return the objects that Helm has installed, tests not included."""
        manifest = self._run("get", "manifest", self.name)
        return [each for each in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if each]

    def list(self, kind: str) -> list[Object]:
        """Return all objects of that kind that are in the namespace."""
        return self.cluster.api.list(kind, self.namespace)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, text=text)

    def _run(self, *arguments: str, text: str = "") -> str:
        done = subprocess.run(
            [HELM, *arguments, f"--namespace={self.namespace}"],
            env=self.cluster.sandbox.environment(KUBECONFIG=str(self.cluster.kubeconfig())),
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def namespace(cluster: Cluster, name: str, level: str = RESTRICTED) -> str:
    """Make a namespace that admits only pods of that level, and return its name.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    labels = {"pod-security.kubernetes.io/enforce": level}
    cluster.api.create({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return name
