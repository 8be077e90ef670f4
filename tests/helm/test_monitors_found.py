"""What a real Prometheus finds on Kubernetes, by the monitors or by the page for those without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from alert_rules import promtool
from generated import ROOT
from helm.cases import CASES, component, objects
from helm.monitored import CASE, COMPOSE, JOBS, endpoint_of, job_of, our_monitors, reaches, scraped
from helm.relabelled import Labels, discovered, prometheus, scrape_config, targets
from helm.rendering import Object, of_kind, pods, render

_PAGE = ROOT / "docs" / "kubernetes-alerts.md"


@pytest.fixture(name="found", scope="module")
def _found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, Labels]]]:
    """Return what a real Prometheus makes of the monitors, and of the page's jobs."""
    templates = [pod for _, pod in pods(objects(CASE))]
    jobs = [
        scrape_config(
            each["metadata"]["name"],
            endpoint_of(each),
            discovered([pod for pod in templates if _finds(each, pod)]),
        )
        for each in our_monitors()
    ]
    annotated = discovered([pod for _, pod in pods(_annotated())])
    for job in _page_jobs():
        if job.pop("kubernetes_sd_configs", None):
            job["static_configs"] = annotated
        jobs.append(job)
    with prometheus(jobs, tmp_path_factory.mktemp("prometheus")) as url:
        return targets(url, jobs)


def _annotated() -> list[Object]:
    without = {"monitors.as": "annotations", "rules.as": "none"}
    return render(*CASES[CASE], sets=without, release="prefect-observability")


def _finds(monitor: Object, pod: Object) -> bool:
    return reaches(monitor, pod, of_kind(objects(CASE), "Service"))


@pytest.mark.real
def test_prometheus_names_what_monitors_find(found: dict[str, list[tuple[str, Labels]]]) -> None:
    """A real Prometheus gives each pod its job, and the pod's name as its instance."""
    expected = {each["metadata"]["name"]: job_of(each) for each in our_monitors()}
    targets_of = {name: found[name] for name in expected}

    assert expected == {
        name: labels["job"] for name, each in targets_of.items() for _, labels in each
    }
    assert all(
        labels["instance"].endswith("-0") for each in targets_of.values() for _, labels in each
    )


@pytest.mark.real
def test_page_without_operator_finds_the_same(found: dict[str, list[tuple[str, Labels]]]) -> None:
    """The page's jobs give annotated pods the jobs that monitors would, at the right port, once."""
    seen = {
        (labels["job"], labels["instance"].removesuffix("-0"), address.rsplit(":", 1)[1])
        for name in ("prefect-observability", "otel-collector-runs")
        for address, labels in found[name]
    }
    expected = {
        (job_of(monitor), component(pod), f"{port}/metrics")
        for monitor in our_monitors()
        for _, pod in pods(_annotated())
        for name, port in scraped(pod)
        if name == endpoint_of(monitor)["port"] and _finds(monitor, pod)
    }
    addresses = [address for address, _ in found["prefect-observability"]]

    assert expected == seen
    assert len(addresses) == len(set(addresses))
    assert found["prefect-api-probe"][0][1]["target"] == "default"


def _page_jobs() -> list[Any]:
    (text,) = re.findall(
        r"^```yaml\n(scrape_configs:\n.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return list(yaml.safe_load(text)["scrape_configs"])


@pytest.mark.real
def test_page_is_a_configuration(tmp_path: Path) -> None:
    """Prometheus takes the page's jobs as they stand there, bounded as Compose's are."""
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": _page_jobs()}))
    done = promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    runs = {job["job_name"]: job for job in _page_jobs()}["otel-collector-runs"]
    bounds = {
        "honor_labels",
        "sample_limit",
        "body_size_limit",
        "label_value_length_limit",
        "metric_relabel_configs",
    }

    assert done.returncode == 0, done.stdout + done.stderr
    assert {key: COMPOSE["otel-collector-runs"][key] for key in bounds} == {
        key: runs[key] for key in bounds
    }


def test_page_lists_what_is_scraped() -> None:
    """The page's table has each job."""
    (table,) = re.findall(r"^\| Job \|.*\n(?:\|.*\n)+", _PAGE.read_text(), re.MULTILINE)

    assert JOBS | {"prefect-api-probe"} == set(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE))
