"""The clusters that the chart is installed on, started when somebody asks for them.

Without ``PREFECT_KUBERNETES`` in the environment none of these tests is run, and without
``PREFECT_KUBERNETES_NODE`` none that needs a node: scripts/test-kubernetes, which
`make test-kubernetes` calls, sets them once programs and images are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.sandbox import Sandbox
from helm.crds import crd_files
from kubernetes import stand_ins
from kubernetes.cluster import Cluster
from kubernetes.cluster import cluster as started

_MINUTES = 10
_NEED_NODE = ("test_flows", "test_node")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a cluster, or a node, unless it was asked for."""
    ours = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in ours:
        item.add_marker(pytest.mark.timeout(60 * _MINUTES))
    left_out = [item for item in ours if not _wanted(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _wanted(item: pytest.Item) -> bool:
    has_node = bool(os.environ.get("PREFECT_KUBERNETES_NODE"))
    return "PREFECT_KUBERNETES" in os.environ and (has_node or item.path.stem not in _NEED_NODE)


@pytest.fixture(name="cluster", scope="session")
def _cluster() -> Iterator[Cluster]:
    """A control plane that knows the operators' resources, with stand-ins for node and storage."""
    with Sandbox() as sandbox, started(sandbox) as cluster:
        for path in crd_files():
            cluster.kubectl("create", f"--filename={path}")
        with (
            stand_ins.node(cluster.api),
            stand_ins.storage(cluster.api, sandbox.subfolder("volumes")),
        ):
            yield cluster
