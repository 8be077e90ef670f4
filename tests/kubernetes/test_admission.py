"""What the chart may do on a cluster, and what keeps it from doing more.

No container runs here: a stand-in says of each pod that it is ready.
"""

from __future__ import annotations

import pytest

from kubernetes.api import eventually
from kubernetes.charts import PRIVILEGED, Release, namespace
from kubernetes.cluster import Cluster


def test_restricted_namespace_refuses_pod_logs(cluster: Cluster) -> None:
    """Have the readers of nodes' logs, which mount the node's folder, refused where docs say so."""
    release = Release(cluster, namespace(cluster, "pod-logs-refused"))

    release.helm("install", values={"podLogs": {"enabled": True}})

    refused = eventually(lambda: _refusals(release), what="a refusal")
    assert all("pod-logs" in each and "hostPath" in each for each in refused)
    release.uninstall()


def test_privileged_namespace_admits_pod_logs(cluster: Cluster) -> None:
    """Run them where docs say that they belong."""
    release = Release(cluster, namespace(cluster, "pod-logs", PRIVILEGED))

    release.helm("install", "--wait", "--timeout=2m", values={"podLogs": {"enabled": True}})

    assert [] == _refusals(release)
    release.uninstall()


@pytest.mark.parametrize("everywhere", [True, False], ids=["all-namespaces", "one-namespace"])
def test_agents_may_only_read_pods(cluster: Cluster, everywhere: bool) -> None:  # noqa: FBT001 - a case
    """Let agents read pods, of all namespaces or of the one that is named, and no more."""
    here = namespace(cluster, f"agents-{'all' if everywhere else 'one'}")
    release = Release(cluster, here)
    attributes = {"enabled": True, "namespace": "" if everywhere else here}
    release.helm("install", values={"agent": {"enabled": True, "kubernetesAttributes": attributes}})
    agent = f"system:serviceaccount:{here}:obs-prefect-observability-agent"

    assert cluster.api.may(agent, "list", "pods", here)
    assert everywhere == cluster.api.may(agent, "list", "pods", "default")
    assert not cluster.api.may(agent, "get", "secrets", here)
    assert not cluster.api.may(agent, "delete", "pods", here)
    release.uninstall()


def test_other_accounts_may_do_nothing(cluster: Cluster) -> None:
    """Give the accounts of all other pods no right whatever."""
    release = Release(cluster, namespace(cluster, "rights"))
    values = {"jaeger": {"enabled": True}, "agent": {"enabled": True}}
    release.helm("install", values=values)
    accounts = [account["metadata"]["name"] for account in release.list("ServiceAccount")]

    assert {"obs-prefect-observability-exporter", "obs-prefect-observability-agent"} <= {*accounts}
    for account in accounts:
        user = f"system:serviceaccount:rights:{account}"
        assert not cluster.api.may(user, "list", "pods", "rights")
        assert not cluster.api.may(user, "get", "secrets", "rights")
        assert not cluster.api.may(user, "create", "pods", "rights")
    release.uninstall()


def _refusals(release: Release) -> list[str]:
    return [
        event["message"] for event in release.list("Event") if event["reason"] == "FailedCreate"
    ]
