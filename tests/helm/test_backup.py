"""The CronJobs of the backup, as the chart makes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backup.crontab import Cron
from backup.durations import parse_duration
from backup.settings import PREFIX, Settings
from helm.rendering import Object, containers, fails, named, of_kind, pods, render

NAME = "obs-prefect-observability-backup"
JOBS = ("run", "drill", "check", "restore")
FULL: dict[str, Any] = {
    "enabled": True,
    "repository": "s3:https://s3.example.com/bucket/prefect",
    "keyRepository": "s3:https://s3.example.com/bucket/prefect-key",
    "secrets": {
        "credentials": "store",
        "database": {"name": "reader"},
        "encryptionKey": {"name": "key-of-prefect"},
    },
    "restore": {"enabled": True, "database": {"name": "owner"}},
}
TARGET = {
    "url": "http://prefect:4200/api",
    "credentials": {"authString": {"value": "admin:MARKER"}},
}


def made(**backup: Any) -> list[Object]:  # noqa: ANN401 - values of any kind
    """Return what the chart makes with every part of the backup on."""
    return render(values={"targets": [TARGET], "backup": FULL | backup})


def cron_job(job: str, **backup: Any) -> Object:  # noqa: ANN401 - values of any kind
    """Return a CronJob's spec."""
    spec: Object = named(made(**backup), "CronJob", f"{NAME}-{job}")["spec"]
    return spec


def pod(job: str, **backup: Any) -> Object:  # noqa: ANN401 - values of any kind
    """Return the spec of a CronJob's pods."""
    spec: Object = cron_job(job, **backup)["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def variables(job: str, **backup: Any) -> dict[str, str]:  # noqa: ANN401 - values of any kind
    """Return the environment of a CronJob's container."""
    (container,) = containers({"spec": pod(job, **backup)})
    return {each["name"]: each["value"] for each in container["env"]}


def secrets_of(job: str) -> set[str]:
    """Return the Secrets that the pods of a CronJob have."""
    sources = [
        source
        for volume in pod(job)["volumes"]
        for source in volume.get("projected", {}).get("sources", [{"secret": volume.get("secret")}])
    ]
    found = [each["secret"] for each in sources if each.get("secret")]
    return {each.get("secretName") or each["name"] for each in found}


def test_nothing_is_made_unless_asked() -> None:
    """A backup needs a place that only the user knows."""
    names = {each["metadata"]["name"] for each in of_kind(render(), "CronJob", "Deployment")}

    assert not {name for name in names if name.startswith(NAME)}


@pytest.mark.parametrize("job", JOBS)
def test_job_ends_and_leaves_little_behind(job: str) -> None:
    """No two at once, a deadline, limits of the history, and removal of what a person started."""
    cron = cron_job(job)
    spec = cron["jobTemplate"]["spec"]

    assert "Forbid" == cron["concurrencyPolicy"]
    assert cron["startingDeadlineSeconds"] >= 60
    assert spec["activeDeadlineSeconds"] > parse_duration(
        Settings.model_fields["timeout_seconds"].default
    )
    assert {1, 3} >= {cron["successfulJobsHistoryLimit"], cron["failedJobsHistoryLimit"]}
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("job", ["run", "drill", "check"])
def test_schedule_is_one_for_kubernetes_and_for_the_metrics(job: str) -> None:
    """What the board calls the next run is what Kubernetes plans, in the same time zone."""
    setting = {"run": "SCHEDULE"}.get(job, f"{job.upper()}_SCHEDULE")
    cron = cron_job(job, **{job: {"schedule": "5 2 * * 6"}, "timeZone": "Europe/Berlin"})

    (container,) = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert "5 2 * * 6" == cron["schedule"] == str(Cron(told[f"{PREFIX}{setting}"]))
    assert "Europe/Berlin" == cron["timeZone"] == told["TZ"]


@pytest.mark.parametrize("job", ["run", "drill", "check"])
def test_drained_node_costs_no_attempt_and_a_bad_setting_all(job: str) -> None:
    """What passes is tried again; what does not is told at once."""
    rules = cron_job(job)["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]

    assert [("FailJob", [2]), ("Ignore", None)] == [
        (rule["action"], rule.get("onExitCodes", {}).get("values")) for rule in rules
    ]


def test_restore_never_runs_by_itself() -> None:
    """It is suspended, says only what it would do, and nobody tries again unasked."""
    cron = cron_job("restore")
    spec = cron["jobTemplate"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]

    assert cron["suspend"] is True
    assert 0 == spec["backoffLimit"]
    assert ["FailJob"] == [rule["action"] for rule in spec["podFailurePolicy"]["rules"]]
    assert ["restore", "database"] == container["args"]


def test_restore_alone_has_the_credential_that_writes() -> None:
    """And it is not there at all unless asked."""
    assert {"run": False, "drill": False, "check": False, "restore": True} == {
        job: "owner" in secrets_of(job) for job in JOBS
    }
    assert "reader" not in secrets_of("restore")
    without = of_kind(made(restore={"enabled": False}), "CronJob")
    names = {each["metadata"]["name"] for each in without}
    assert f"{NAME}-restore" not in names


@pytest.mark.parametrize("job", JOBS)
def test_jobs_run_on_the_node_of_the_metrics(job: str) -> None:
    """The lock on their volume is that node's; what a user wants besides stays."""
    other = {"topologyKey": "zone", "labelSelector": {}}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = pod(job, affinity={"podAffinity": {key: [other]}})["affinity"]["podAffinity"][key]
    labels = named(made(), "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]

    (beside,) = [term for term in terms if term != other]
    assert other in terms
    assert "kubernetes.io/hostname" == beside["topologyKey"]
    assert beside["labelSelector"]["matchLabels"].items() <= labels.items()


def test_service_leads_to_the_metrics_alone() -> None:
    """No pod of a job is taken for the one that answers."""
    selector = named(made(), "Service", NAME)["spec"]["selector"]
    chosen = [
        name
        for name, each in pods(made())
        if selector.items() <= each["metadata"].get("labels", {}).items()
    ]

    assert [f"Deployment/{NAME}"] == chosen


def test_metrics_cannot_open_a_repository_nor_ask_prefect() -> None:
    """The pod that a network reaches has neither passwords nor the store's credentials."""
    deployment = named(made(), "Deployment", NAME)
    words = json.dumps(deployment).split('"')

    assert not {"prefect-backup", "store", "auth-string"} & {*words}
    mounts = deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [True] == [each["readOnly"] for each in mounts if each["name"] == "state"]


@pytest.mark.parametrize("job", JOBS)
def test_restic_knows_the_locks_of_one_installation(job: str) -> None:
    """All jobs have one name of a host; another release has another; a value wins."""
    other = render(values={"backup": FULL}, release="other")
    names = {each["hostname"] for each in (pod(name) for name in JOBS)}
    elsewhere = named(other, "CronJob", f"other-prefect-observability-backup-{job}")
    spec = elsewhere["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert {pod(job)["hostname"]} == names
    assert spec["hostname"] not in names
    assert "prefect-backup-east" == pod(job, installation="east")["hostname"]


def test_every_variable_is_a_setting() -> None:
    """The program refuses to start with one that is none."""
    known = {str(each.validation_alias) for each in Settings.model_fields.values()}
    given = variables("run", settings={"KEEP_DAILY": 14, "KEEP_YEARLY": 0, "TIMEOUT": "2h"})

    assert {name for name in given if name.startswith(PREFIX)} <= known
    assert ("14", "0") == (given[f"{PREFIX}KEEP_DAILY"], given[f"{PREFIX}KEEP_YEARLY"])


def test_settings_that_the_chart_has_no_value_for_can_be_given() -> None:
    """Each setting has its place in the values, but for those of Compose alone."""
    given = {name.removeprefix(PREFIX) for name in variables("run") if name.startswith(PREFIX)}
    compose = {"BUNDLED_DATABASE_FILE", "DATABASE_PASSWORD_FILE", "VOLUMES_DIR", "STATE_DIR"}
    known = {
        str(each.validation_alias).removeprefix(PREFIX) for each in Settings.model_fields.values()
    }
    rest = dict.fromkeys(known - given - compose, "1")

    assert rest.keys() <= {name.removeprefix(PREFIX) for name in variables("run", settings=rest)}


@pytest.mark.parametrize("what", ["kind", "claim"])
def test_volume_outlives_the_chart(what: str) -> None:
    """How backups went is kept, and a claim of the user's is taken as it is."""
    if what == "kind":
        claim = named(made(), "PersistentVolumeClaim", NAME)
        assert "keep" == claim["metadata"]["annotations"]["helm.sh/resource-policy"]
    else:
        objects = made(persistence={"existingClaim": "mine"})
        assert [] == [
            each for each in of_kind(objects, "PersistentVolumeClaim") if "backup" in str(each)
        ]
        volumes = pod("run", persistence={"existingClaim": "mine"})["volumes"]
        assert {"claimName": "mine"} in [each.get("persistentVolumeClaim") for each in volumes]


@pytest.mark.parametrize(
    ("scratch", "kind"),
    [({}, "emptyDir"), ({"type": "ephemeral", "storageClass": "fast"}, "ephemeral")],
    ids=["node", "volume"],
)
def test_drill_has_bounded_room(scratch: dict[str, str], kind: str) -> None:
    """It fills no node: its room has a size."""
    (volume,) = [
        each for each in pod("drill", scratch=scratch)["volumes"] if each["name"] == "scratch"
    ]

    assert "10Gi" in json.dumps(volume[kind])
    assert ("fast" in json.dumps(volume)) == (kind == "ephemeral")


def test_long_names_stay_within_what_a_cron_job_may_have() -> None:
    """52 characters: Kubernetes adds eleven for each Job."""
    objects = render(values={"backup": FULL}, release="x" * 53)

    assert [] == [
        each["metadata"]["name"]
        for each in of_kind(objects, "CronJob")
        if len(each["metadata"]["name"]) > 52
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"repository": ""}, "backup.repository is empty: name a store"),
        ({"keyRepository": ""}, "backup.keyRepository is empty"),
        ({"keyRepository": FULL["repository"]}, "backup.keyRepository is the same as"),
        ({"restore": {"enabled": True}}, "backup.restore.database.name is empty"),
        ({"repository": "rest:https://me:pw@host/x"}, "backup.repository holds a password"),
        ({"repository": "s3.example.com/bucket"}, "backup.repository"),
        ({"schedule": "daily"}, "schedule"),
        ({"run": {"schedule": "@daily"}}, "backup.run.schedule"),
        ({"persistence": {"accessModes": ["ReadWriteOncePod"]}}, "backup.persistence.accessModes"),
        ({"settings": {"KEEP_DALY": 3}}, "KEEP_DALY"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_impossible_values_are_told(given: dict[str, Any], told: str) -> None:
    """One line names the value, and what to give."""
    said = fails(values={"backup": FULL | given})

    assert told in said
    assert "pw" not in said.replace("me:pw", "")


def test_no_secret_is_outside_its_own() -> None:
    """A credential in the values ends in the Secret of its target, and in no pod."""
    objects = [each for each in made() if each["kind"] != "Secret"]

    assert "MARKER" not in json.dumps(objects)
