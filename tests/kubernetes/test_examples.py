"""That a real API server takes what the chart makes of each of its examples, and starts its pods.

No container runs here: a stand-in says of each pod that it is ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from helm.rendering import examples, of_kind
from kubernetes.api import eventually
from kubernetes.charts import Release, namespace
from kubernetes.cluster import Cluster

_DEFAULT = "default-values"


@pytest.fixture(name="installed", scope="module", params=[_DEFAULT, *examples()])
def _installed(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Release]:
    """Each example, installed where Pod Security admits nothing that is not `restricted`."""
    release = Release(cluster, namespace(cluster, f"of-{request.param}"), "prefect-observability")
    example = None if request.param == _DEFAULT else request.param
    release.helm("install", "--dry-run=server", example=example)
    release.helm("install", "--wait", "--timeout=2m", example=example)
    yield release
    release.uninstall()


def test_all_pods_are_admitted(installed: Release) -> None:
    """Make no pod that the namespace refuses, neither at once nor when a CronJob is due."""
    for cron_job in of_kind(installed.objects(), "CronJob"):
        name = cron_job["metadata"]["name"]
        installed.kubectl("create", "job", f"--from=cronjob/{name}", f"now-{name}"[:63])
    eventually(
        lambda: all(job.get("status", {}).get("succeeded") for job in installed.list("Job")),
        what="the end of all jobs",
        within=30,
    )

    events = installed.list("Event")
    refused = [event["message"] for event in events if event["reason"] == "FailedCreate"]

    assert [] == refused
    assert installed.list("Pod")


def test_server_knows_each_field(installed: Release) -> None:
    """Write no field that the server does not know, which it would drop in silence."""
    objects = yaml.safe_dump_all(installed.objects())

    said = installed.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--filename=-",
        text=objects,
    )

    assert len(installed.objects()) == len(said.splitlines())


def test_claims_are_bound(installed: Release) -> None:
    """Have a volume for each claim, those of StatefulSets by `<volume>-<name>-<number>`."""
    claims = {claim["metadata"]["name"]: claim for claim in installed.list("PersistentVolumeClaim")}

    assert set(_claims(installed.objects())) == set(claims)
    assert {"Bound"} >= {claim["status"]["phase"] for claim in claims.values()}


def test_all_objects_are_in_the_namespace(installed: Release) -> None:
    """Put nothing into other namespaces, and nothing beside them but roles that were asked for."""
    elsewhere = {
        each["kind"]
        for each in installed.objects()
        if each["metadata"].get("namespace", installed.namespace) != installed.namespace
    }

    assert not elsewhere


def _claims(objects: list[dict[str, Any]]) -> Iterator[str]:
    for each in of_kind(objects, "PersistentVolumeClaim"):
        yield each["metadata"]["name"]
    for each in of_kind(objects, "StatefulSet"):
        for template in each["spec"].get("volumeClaimTemplates", ()):
            for number in range(each["spec"]["replicas"]):
                yield f"{template['metadata']['name']}-{each['metadata']['name']}-{number}"
