"""What Prometheus scrapes on Kubernetes: every part of the chart, once, by Compose's jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from alert_rules import RULES
from helm.cases import CASES, component, objects
from helm.monitored import (
    CASE,
    COMPOSE,
    CONFIG,
    JOBS,
    endpoint_of,
    job_of,
    our_monitors,
    reaches,
    scraped,
    selected,
)
from helm.rendering import Object, fails, named, of_kind, pods, render


def test_jobs_are_those_of_compose() -> None:
    """Rules and boards know jobs by name: each of ours is there, and no other."""
    found = {job_of(each) for each in our_monitors()}

    assert found == JOBS
    assert set() == JOBS - COMPOSE.keys()


def test_jobs_in_rules_can_be_had() -> None:
    """A job that a rule names is one of the chart's, or of those that values may add."""
    text = " ".join(rule.expr for rule in RULES)
    named_jobs = set("|".join(re.findall(r'job=~?"([^"]+)"', text)).split("|"))

    assert named_jobs <= JOBS | {"prefect-api-probe", "prefect-server"}


@pytest.mark.parametrize("case", CASES)
def test_each_servicemonitor_finds_one_service(case: str) -> None:
    """The selector matches one Service, which has the port: two would count everything twice."""
    everything = objects(case)
    services = of_kind(everything, "Service")
    monitors = [
        each for each in of_kind(everything, "ServiceMonitor") if component(each) != "service"
    ]
    found = {each["metadata"]["name"]: selected(each, services) for each in monitors}
    ports = {
        each["metadata"]["name"]: [
            port["name"]
            for service in selected(each, services)
            for port in service["spec"]["ports"]
        ]
        for each in monitors
    }

    assert dict.fromkeys(found, 1) == {name: len(each) for name, each in found.items()}
    assert [] == [
        each["metadata"]["name"]
        for each in monitors
        if endpoint_of(each)["port"] not in ports[each["metadata"]["name"]]
    ]


@pytest.mark.parametrize("case", CASES)
def test_each_podmonitor_finds_pods(case: str) -> None:
    """The selector matches pods, and each of them has the port."""
    everything = objects(case)
    templates = [pod for _, pod in pods(everything)]
    for monitor in of_kind(everything, "PodMonitor"):
        found = selected(monitor, templates)

        assert found, monitor["metadata"]["name"]
        assert all(endpoint_of(monitor)["port"] in dict(scraped(pod)) for pod in found)


def test_every_port_with_metrics_is_scraped_once() -> None:
    """What has metrics is found by one monitor: its Service's, or its pods'."""
    everything = objects(CASE)
    services = of_kind(everything, "Service")
    for name, pod in pods(everything):
        found = [
            (port, job_of(monitor))
            for monitor in our_monitors()
            for port, _ in scraped(pod)
            if port == endpoint_of(monitor)["port"] and reaches(monitor, pod, services)
        ]

        assert sorted(port for port, _ in scraped(pod)) == sorted(port for port, _ in found), name


def test_runs_are_bounded_as_in_compose() -> None:
    """Flows may send anything, but neither without bound nor in the name of another."""
    monitor = named(objects(CASE), "PodMonitor", "prefect-observability-runs")
    endpoint, compose = endpoint_of(monitor), COMPOSE["otel-collector-runs"]
    (drop,) = compose["metric_relabel_configs"]

    assert endpoint["honorLabels"] is compose["honor_labels"] is True
    assert [
        {"sourceLabels": drop["source_labels"], "regex": drop["regex"], "action": "drop"}
    ] == endpoint["metricRelabelings"]
    assert {
        "sampleLimit": compose["sample_limit"],
        "bodySizeLimit": compose["body_size_limit"],
        "labelValueLengthLimit": compose["label_value_length_limit"],
    }.items() <= monitor["spec"].items()


def test_times_are_those_of_compose() -> None:
    """Windows of rules are made for the interval of the Compose stack."""
    times = {
        (endpoint_of(each)["interval"], endpoint_of(each)["scrapeTimeout"])
        for each in our_monitors()
    }

    assert {(CONFIG["global"]["scrape_interval"], CONFIG["global"]["scrape_timeout"])} == times


def test_a_probe_for_each_target() -> None:
    """Each target is asked where it answers without a credential, under its own name."""
    listed = [
        {"name": "On_prem", "url": "https://prefect.example.com/api/"},
        {"name": "cloud", "url": "https://api.prefect.cloud/api/accounts/a/workspaces/b"},
    ]
    added = {"other": "https://other.example.com/api/health"}
    probes = of_kind(render(values={"targets": listed, "blackbox": {"targets": added}}), "Probe")
    asked = {
        each["spec"]["targets"]["staticConfig"]["labels"]["target"]: each["spec"]["targets"][
            "staticConfig"
        ]["static"]
        for each in probes
    }

    assert asked == {
        "On_prem": ["https://prefect.example.com/api/health"],
        "cloud": ["https://api.prefect.cloud/api/health"],
        "other": ["https://other.example.com/api/health"],
    }
    assert {"prefect-api-probe"} == {each["spec"]["jobName"] for each in probes}


def test_prober_is_ours_or_theirs() -> None:
    """Probes go to the blackbox exporter of the chart, to one that is there, or are not made."""
    theirs = {"enabled": False, "url": "blackbox.monitoring:9115"}
    own = of_kind(render(), "Probe")
    other = of_kind(render(values={"blackbox": theirs}), "Probe")

    assert ["obs-prefect-observability-blackbox.observability.svc:9115"] == _probers(own)
    assert ["blackbox.monitoring:9115"] == _probers(other)
    assert [] == of_kind(render(values={"blackbox": {"enabled": False}}), "Probe")


def _probers(probes: Sequence[Object]) -> list[str]:
    return [each["spec"]["prober"]["url"] for each in probes]


def test_exporters_token_is_in_its_monitor() -> None:
    """Where the exporter asks for a token, Prometheus has it from the same Secret, over TLS."""
    secret = {"name": "exporter", "key": "token"}
    protected = {
        "exporter": {"bearerToken": {"existingSecret": secret}, "tls": {"existingSecret": "tls"}}
    }
    monitor = named(
        render(values=protected), "ServiceMonitor", "obs-prefect-observability-exporter"
    )

    assert {"credentials": secret} == endpoint_of(monitor)["authorization"]
    assert "https" == endpoint_of(monitor)["scheme"]
    assert "authorization" not in endpoint_of(
        named(render(), "ServiceMonitor", monitor["metadata"]["name"])
    )


def test_password_that_an_operator_cannot_take_is_told() -> None:
    """A ServiceMonitor cannot read `user:password`: who would be locked out hears so."""
    basic = {"basicAuth": {"existingSecret": {"name": "exporter", "key": "user"}}}
    told = fails(values={"exporter": basic})
    render(
        values={
            "exporter": basic,
            "monitors": {
                "endpoints": {"exporter": {"basicAuth": {"username": {"name": "a", "key": "b"}}}}
            },
        }
    )

    assert "exporter.basicAuth: a ServiceMonitor takes user and password from two keys" in told


def test_values_of_an_endpoint_win() -> None:
    """A value is taken also where it is false or 0, which templates like to lose."""
    monitors = {
        "sampleLimit": 10,
        "runs": {"sampleLimit": 0},
        "endpoints": {"runs": {"honorLabels": False}},
        "metricRelabelings": [{"action": "keep", "sourceLabels": ["__name__"], "regex": "p.*"}],
    }
    found = render(values={"monitors": monitors})
    runs = named(found, "PodMonitor", "obs-prefect-observability-runs")
    exporter = named(found, "ServiceMonitor", "obs-prefect-observability-exporter")

    assert endpoint_of(runs)["honorLabels"] is False
    assert ("sampleLimit" in runs["spec"], exporter["spec"]["sampleLimit"]) == (False, 10)
    assert ["drop", "keep"] == [each["action"] for each in endpoint_of(runs)["metricRelabelings"]]


def test_services_of_other_charts_get_job_and_target() -> None:
    """Prefect's own metrics and those of its database are told by `job` and `target`."""
    service = {
        "job": "postgres",
        "target": "prod",
        "namespaces": ["databases"],
        "matchLabels": {"app": "pg"},
        "port": "http",
        "endpoint": {"basicAuth": {"username": {"name": "a", "key": "b"}}},
    }
    found = render(values={"monitors": {"services": [service]}})
    monitor = named(found, "ServiceMonitor", "obs-prefect-observability-postgres")
    labels = {
        each["targetLabel"]: each.get("replacement") for each in endpoint_of(monitor)["relabelings"]
    }

    assert {"job": "postgres", "target": "prod"}.items() <= labels.items()
    assert ["databases"] == monitor["spec"]["namespaceSelector"]["matchNames"]
    assert (endpoint_of(monitor)["path"], "basicAuth" in endpoint_of(monitor)) == ("/metrics", True)


def test_nothing_of_the_operator_without_it() -> None:
    """Annotations are for a Prometheus without operator: no object of it is made."""
    made = {each["kind"] for each in objects("without-operators")}

    assert set() == made & {"ServiceMonitor", "PodMonitor", "Probe", "PrometheusRule"}


def test_missing_operator_is_told() -> None:
    """A cluster without the API is told which value to change."""
    told = fails(sets={"rules.as": "none"}, api_versions=["apiregistration.k8s.io/v1"])

    assert "set monitors.as: annotations" in told
