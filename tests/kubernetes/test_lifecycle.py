"""What an upgrade, another number of shards and the end of a release leave as it is.

No container runs here: a stand-in says of each pod that it is ready.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
import yaml

from helm.rendering import chart
from kubernetes.api import Object, eventually
from kubernetes.charts import Release, namespace
from kubernetes.cluster import Cluster

_NUMBERS = count(1)
# Whatever keeps something, on volumes or for ever.
_WHOLE = {
    "agent": {"enabled": True},
    "jaeger": {"enabled": True},
    "backup": {
        "enabled": True,
        "repository": "/var/lib/prefect-backup/repository",
        "keyRepository": "/var/lib/prefect-backup/keys",
        "secrets": {"database": {"name": "database"}},
    },
}


@pytest.fixture(name="release")
def _release(cluster: Cluster) -> Iterator[Release]:
    """A release that is yet to be installed, in a namespace of its own."""
    release = Release(cluster, namespace(cluster, f"life-{next(_NUMBERS)}"))
    yield release
    release.uninstall()


@pytest.fixture(name="next_chart")
def _next_chart(tmp_path: Path) -> Path:
    """The chart of the next version, and of the next version of our images."""
    copied = shutil.copytree(chart(), tmp_path / "prefect-observability")
    about = copied / "Chart.yaml"
    text = about.read_text().replace("ersion: 0.1.0", "ersion: 0.2.0")
    assert 2 == text.count("ersion: 0.2.0")
    about.write_text(text)
    return copied


def test_upgrade_keeps_objects_and_claims(release: Release, next_chart: Path) -> None:
    """Change objects where they are: none is made anew, under the same name or another."""
    _install(release, _WHOLE)
    before = _identities(release)
    claims = _claims(release)
    changed = {"commonLabels": {"team": "platform"}, "exporter": {"podLabels": {"new": "yes"}}}

    _upgrade(release, _WHOLE | changed, of=next_chart)

    assert before == _identities(release)
    assert claims == _claims(release)
    assert {"0.2.0"} == {
        pod["metadata"]["labels"]["app.kubernetes.io/version"] for pod in _living_pods(release)
    }


def test_more_shards_keep_the_ledgers(release: Release) -> None:
    """Give further shards claims of their own, and keep those of shards that are no longer."""
    _install(release)
    one = _claims(release)

    _upgrade(release, {"exporter": {"shards": 3}})
    three = _claims(release)
    _upgrade(release, {"exporter": {"shards": 1}})

    assert one.items() <= three.items()
    assert {f"state-obs-prefect-observability-exporter-{number}" for number in range(3)} <= set(
        three
    )
    assert three == _claims(release)


def test_end_keeps_all_claims_and_says_so(release: Release) -> None:
    """Leave nothing behind but the volumes, of which the user was told, and how to delete them."""
    notes = _install(release, _WHOLE)
    claims = _claims(release)

    release.uninstall()
    delete = next(line for line in notes.splitlines() if "delete pvc" in line)

    assert claims
    assert claims == _claims(release)
    assert not release.list("StatefulSet") + release.list("Service") + release.list("CronJob")
    release.kubectl(*delete.split("kubectl ")[1].split()[2:], "--wait=false")
    eventually(lambda: not _claims(release), what="the end of the claims")


def test_release_comes_back_to_its_claims(release: Release) -> None:
    """Take up the volumes of a release of the same name that was removed."""
    _install(release)
    claims = _claims(release)
    release.uninstall()

    _install(release)

    assert claims == _claims(release)


def test_budget_lets_one_gateway_go_at_a_time(release: Release) -> None:
    """Let a node be drained, and not two nodes with gateways at once."""
    _install(release, {"agent": {"enabled": True}, "gateway": {"replicas": 2}})
    name = "obs-prefect-observability-gateway"
    eventually(
        lambda: release.cluster.api.get("PodDisruptionBudget", name, release.namespace)["status"][
            "disruptionsAllowed"
        ],
        what="the budget",
    )

    release.cluster.api.evict(f"{name}-0", release.namespace)
    with pytest.raises(httpx.HTTPStatusError, match="disruption budget"):
        release.cluster.api.evict(f"{name}-1", release.namespace)


def _install(release: Release, values: dict[str, object] | None = None) -> str:
    return release.helm("install", "--wait", "--timeout=2m", values=values)


def _upgrade(release: Release, values: dict[str, object], of: Path | None = None) -> None:
    release.helm("upgrade", "--wait", "--timeout=2m", values=values, of=of)


def _identities(release: Release) -> dict[tuple[str, str], str]:
    """Return the id of each object, which a new one of the same name has not."""
    text = yaml.safe_dump_all(release.objects())
    found = json.loads(release.kubectl("get", "--filename=-", "--output=json", text=text))
    return {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["uid"] for each in found["items"]
    }


def _living_pods(release: Release) -> list[Object]:
    return [pod for pod in release.list("Pod") if "deletionTimestamp" not in pod["metadata"]]


def _claims(release: Release) -> dict[str, str]:
    found = (claim["metadata"] for claim in release.list("PersistentVolumeClaim"))
    return {each["name"]: each["uid"] for each in found if "deletionTimestamp" not in each}
