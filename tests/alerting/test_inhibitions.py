"""What silences what, as a real Alertmanager with our rules sees it, and what it must not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from alert_examples import alert
from alerting.inhibitions import INHIBITIONS
from alerting.teams import Teams
from alertmanagers import Alertmanager, alertmanager, quick, write
from demo.processes import wait_until
from generated import ROOT

pytestmark = pytest.mark.real

_NOBODY = Teams.model_validate({"default": "platform", "teams": {"platform": {}}})

_ETL = "flow=etl deployment=nightly"
_DATABASE = "component=backup kind=database"


_FOLLOWS = (
    ("PrefectServerDown severity=critical", f"PrefectDeploymentStale {_ETL}"),
    ("PrefectServerDown severity=critical", f"PrefectZombieFlowRuns severity=critical {_ETL}"),
    ("PrefectServerDown severity=critical", "PrefectKpiStale component=kpi"),
    ("PrefectServerDown severity=critical", "PrefectEventLagHigh component=server"),
    ("PrefectServerDown severity=critical", "PrefectExporterStale component=telemetry"),
    ("PrefectServerNotReady severity=critical", f"PrefectDeploymentStale {_ETL}"),
    ("PrefectServerDown severity=critical", "PrefectServerNotReady component=server"),
    ("PrefectPostgresDown severity=critical", "PrefectServerDown component=server"),
    ("PrefectRedisDown severity=critical", f"PrefectDeploymentStale {_ETL}"),
    ("PrefectPostgresDown severity=critical", f"PrefectBackupFailed {_DATABASE}"),
    ("PrefectServerDown severity=critical", "PrefectBackupFailed component=backup kind=objects"),
    (f"PrefectBackupStale severity=critical {_DATABASE}", f"PrefectBackupFailed {_DATABASE}"),
    (
        f"PrefectBackupRestoreFailed severity=critical {_DATABASE}",
        f"PrefectBackupNotVerified {_DATABASE}",
    ),
    (
        f"PrefectBackupRepositoryDamaged severity=critical {_DATABASE}",
        f"PrefectBackupNotChecked {_DATABASE}",
    ),
    ("PrefectExporterDown severity=critical", f"PrefectDeploymentStale {_ETL}"),
    ("PrefectExporterUnauthorized", "PrefectExporterCollectorFailing component=telemetry"),
    (f"PrefectErrorBudgetBurnFast severity=critical {_ETL}", f"PrefectDeploymentStale {_ETL}"),
    (f"PrefectZombieFlowRuns {_ETL}", f"PrefectFlowRunTooLong {_ETL}"),
    (f"PrefectDeploymentConsecutiveFailures {_ETL}", f"PrefectFlowRunFailed {_ETL}"),
    (f"PrefectScheduleLost {_ETL}", f"PrefectDeploymentStale {_ETL}"),
    (
        "PrefectWorkPoolNoWorkers severity=critical work_pool=k8s",
        "PrefectFlowRunsLate severity=critical work_pool=k8s work_queue=high",
    ),
    ("A severity=critical work_pool=k8s", "B work_pool=k8s work_queue=high"),
    ("A severity=critical work_pool=k8s work_queue=high", "B work_pool=k8s work_queue=high"),
    ("A severity=critical kind=tag limit=db", "B kind=tag limit=db"),
    (
        "PrefectFlowRunsLate work_pool=k8s work_queue=high",
        "PrefectStartDelayHigh work_pool=k8s work_queue=high",
    ),
    ("PrefectSchedulerStalled severity=critical", f"PrefectDeploymentStale {_ETL}"),
)


@pytest.fixture(name="manager", scope="module")
def _manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("inhibitions")
    config = write(folder / "alertmanager.yml", _NOBODY, quick(folder))
    with alertmanager(config, folder) as manager:
        yield manager


@pytest.mark.parametrize(("source", "silenced"), _FOLLOWS)
def test_cause_silences_what_follows(manager: Alertmanager, source: str, silenced: str) -> None:
    """While the cause fires, what follows from it in the same Prefect is suppressed."""
    follows = _fired(manager, source, silenced)

    # Alertmanager answers before it has looked at what came.
    wait_until(
        lambda: _state(manager, follows) == "suppressed", within=30, what=f"an end to {silenced}"
    )


@pytest.mark.parametrize(("source", "other"), _FOLLOWS)
def test_cause_silences_nothing_elsewhere(manager: Alertmanager, source: str, other: str) -> None:
    """The same in another Prefect is told."""
    assert _state(manager, _fired(manager, source, other, elsewhere=True)) == "active"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        # Without a flow, or a pool, critical alerts have no subject in common with anything.
        ("PrefectBackupStale severity=critical component=backup", f"PrefectDeploymentStale {_ETL}"),
        (
            "PrefectBackupStale severity=critical component=backup",
            "PrefectTableBloat component=database",
        ),
        (
            "PrefectRedisEvictions severity=critical component=database",
            "PrefectApiLatencyHigh component=server",
        ),
        ("A severity=critical flow=etl deployment=nightly", "B flow=etl deployment=hourly"),
        ("A severity=critical flow=etl", "B flow=etl deployment=nightly"),
        ("A severity=critical flow=etl", "PrefectWorkPoolSaturated work_pool=k8s"),
        ("A severity=critical work_pool=k8s work_queue=high", "B work_pool=k8s work_queue=low"),
        ("A severity=critical work_pool=k8s work_queue=high", "B work_pool=k8s"),
        ("A severity=critical kind=tag limit=db", "B kind=global limit=db"),
        # Somebody is woken whatever a warning says.
        (
            f"PrefectDeploymentConsecutiveFailures {_ETL}",
            f"PrefectDeploymentStale severity=critical {_ETL}",
        ),
        (f"A severity=critical {_ETL}", f"B severity=critical {_ETL}"),
        (
            "PrefectWorkPoolNoWorkers severity=critical work_pool=k8s",
            "PrefectFlowRunsLate work_pool=vm",
        ),
        # Not seen through Prefect.
        (
            "PrefectServerDown severity=critical",
            "PrefectPostgresDown component=database severity=critical",
        ),
        (
            "PrefectServerDown severity=critical",
            "PrefectBackupStale component=backup severity=critical",
        ),
        # Whatever else is down, this one is about what nobody can make good.
        (
            "PrefectPostgresDown severity=critical",
            f"PrefectBackupStale severity=critical {_DATABASE}",
        ),
        (
            "PrefectPostgresDown severity=critical",
            "PrefectBackupFailed component=backup kind=volumes",
        ),
        (
            f"PrefectBackupStale severity=critical {_DATABASE}",
            "PrefectBackupFailed component=backup kind=objects",
        ),
        ("PrefectServerDown severity=critical", "PrefectTlsCertificateExpires component=server"),
        ("PrefectServerDown severity=critical", "PrometheusTargetDown component=telemetry"),
        (
            "PrefectExporterDown severity=critical",
            "PrefectServerDown component=server severity=critical",
        ),
        ("PrefectExporterDown severity=critical", "PrefectKpiStale component=kpi"),
        (
            "PrefectServerDown severity=critical",
            "Watchdog severity=none component=telemetry target=",
        ),
    ],
)
def test_what_does_not_follow_is_told(manager: Alertmanager, source: str, told: str) -> None:
    """Another subject, another cause and what is critical by itself stays active."""
    assert _state(manager, _fired(manager, source, told)) == "active"


def test_alerts_in_inhibitions_exist() -> None:
    """Each alert that silences or is silenced has its rule."""
    rules = (ROOT / "deploy" / "prometheus" / "rules").rglob("*.yml")
    named = re.findall(r'(?<=["|])[A-Z]\w+', " ".join(str(each) for each in INHIBITIONS))

    assert set(named) - {path.stem for path in rules} == set()


def test_exporter_that_was_never_heard_silences_all_of_runs(tmp_path: Path) -> None:
    """Without a target it covers each Prefect, and nothing but what is known of runs."""
    config = write(tmp_path / "alertmanager.yml", _NOBODY, quick(tmp_path))
    down = alert("PrefectExporterDown", severity="critical", component="telemetry", target="")
    followers = [
        alert("PrefectDeploymentStale", target="a", flow="etl"),
        alert("PrefectWorkPoolNoWorkers", target="b", component="work-pools", severity="critical"),
        alert("PrefectServerDown", target="a", component="server", severity="critical"),
    ]
    with alertmanager(config, tmp_path) as manager:
        manager.post([down, *followers])
        expected = {
            "PrefectExporterDown": "active",
            "PrefectDeploymentStale": "suppressed",
            "PrefectWorkPoolNoWorkers": "suppressed",
            "PrefectServerDown": "active",
        }

        # As above.
        wait_until(lambda: _states(manager) == expected, within=30, what=str(expected))


def _states(manager: Alertmanager) -> dict[str, str]:
    return {each["labels"]["alertname"]: each["status"]["state"] for each in manager.alerts()}


def _fired(
    manager: Alertmanager, source: str, follower: str, *, elsewhere: bool = False
) -> dict[str, Any]:
    """Let both fire, and return the follower; *elsewhere* is in another Prefect."""
    target = uuid4().hex
    follows = _alert(follower, f"{target}-other" if elsewhere else target)
    manager.post([_alert(source, target), follows])
    return follows


def _state(manager: Alertmanager, follows: dict[str, Any]) -> str:
    """Return the state of an alert."""
    (state,) = [
        each["status"]["state"] for each in manager.alerts() if each["labels"] == follows["labels"]
    ]
    return str(state)


def _alert(text: str, target: str) -> dict[str, Any]:
    name, *labels = text.split()
    given = dict(label.split("=") for label in labels)
    return alert(name, **{"target": target, "summary": name, **given})
