"""What Grafana is given: sources that exist, links that lead somewhere, no way in."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from contexts import settings_of
from prefect_exporter import collectors
from stack import grafana_links
from stack.grafana_links import GRAFANA, Query, Span

ROOT = Path(__file__).parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RUN = "0b7a3f5c-7a56-4a3e-9c55-0a9d4c1f6f31"
LOAD = Span(
    TRACE,
    "00f067aa0ba902b7",
    "task load",
    1_000_000.0,
    1_000_060.0,
    (("host.name", "worker-1"), ("prefect.flow.name", "orders"), ("prefect.run.type", "task")),
)


def services() -> Mapping[str, Any]:
    """Return the services of docker-compose.yml by name."""
    compose: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
        (ROOT / "docker-compose.yml").read_text()
    )
    return compose["services"]


def referred(part: object) -> Iterator[str]:
    """Yield each uid of a data source that *part* refers to, however deep."""
    match part:
        case {"datasourceUid": str(uid)} | {"datasource": {"uid": str(uid)}}:
            yield uid
    match part:
        case dict():
            for each in part.values():
                yield from referred(each)
        case list():
            for each in part:
                yield from referred(each)


def test_sources_have_fixed_uids() -> None:
    """Dashboards and links can count on these four, and one of them is what Explore begins with."""
    sources = grafana_links.sources()

    assert set(sources) == {"prometheus", "loki", "jaeger", "alertmanager"}
    assert [uid for uid, each in sources.items() if each.get("isDefault")] == ["prometheus"]


def test_links_lead_to_sources_that_exist() -> None:
    """No link and no panel refers to a source that nobody provides, or that nobody can choose."""
    everything = [*grafana_links.sources().values(), *grafana_links.dashboards().values()]
    uids = {uid for each in everything for uid in referred(each)}

    assert uids <= {*grafana_links.sources(), "${datasource}"}
    assert {"prometheus", "loki", "jaeger", "${datasource}"} <= uids


@pytest.mark.parametrize("uid", ["prometheus", "loki", "jaeger", "alertmanager"])
def test_source_is_a_service_of_the_stack(uid: str) -> None:
    """Each address is a service and a port that docker-compose.yml speaks of."""
    address = urlsplit(grafana_links.sources()[uid]["url"])

    assert address.hostname in services()
    assert f":{address.port}" in yaml.safe_dump(services()[address.hostname])


def test_sources_hold_no_secrets_and_cannot_be_edited() -> None:
    """Whoever reads the files learns nothing, and what they say stays."""
    for source in grafana_links.sources().values():
        assert source["access"] == "proxy"
        assert source["editable"] is False
        assert set(source) & {"secureJsonData", "basicAuth", "user", "password"} == set()


def test_span_leads_to_its_lines() -> None:
    """Related logs are asked by trace id, which is no label, of all services, around the span."""
    found = grafana_links.logs_of(LOAD)

    assert found.uid == "loki"
    assert found.text == f'{{service_name=~".+"}} | trace_id="{TRACE}"'
    assert (found.start, found.end) == (1_000_000.0 - 600, 1_000_060.0 + 600)


def test_span_leads_to_its_metrics() -> None:
    """Queries speak of the span's name and of its flow, and leave out what the span has not."""
    found = grafana_links.metrics_of(LOAD)

    assert [each.uid for each in found] == ["prometheus"] * 4
    assert [each.text for each in found if 'span_name="task load"' in each.text] == [
        each.text for each in found[:2]
    ]
    assert found[2].text == (
        'sum by (outcome) (increase(prefect_flow_runs_finished_total{flow="orders"}[1h]))'
    )


@pytest.mark.parametrize("query", grafana_links.metrics_of(LOAD), ids=lambda query: query.title)
def test_query_of_a_link_is_promql(query: Query, tmp_path: Path) -> None:
    """Prometheus can read it."""
    assert_promql(query.text, tmp_path)


def test_point_leads_to_its_trace() -> None:
    """An exemplar with a trace id has a link, and another one has none."""
    assert grafana_links.trace_of_exemplar({"trace_id": TRACE}) == Query(
        "exemplar", "jaeger", TRACE
    )
    assert grafana_links.trace_of_exemplar({"id": TRACE}) is None


def test_line_leads_to_its_trace_and_its_run() -> None:
    """What stands in structured metadata is linked to Jaeger and to Prefect's page."""
    found = grafana_links.links_of_line({"trace_id": TRACE, "flow_run_id": RUN}, "order shipped")

    assert found == [
        Query("Trace", "jaeger", TRACE),
        Query("Flow run", "", f"{grafana_links.PREFECT_UI}/runs/flow-run/{RUN}"),
    ]


def test_line_of_json_leads_to_its_trace() -> None:
    """A line that carries its ids in itself alone is linked as well, and one without ids is not."""
    line = json.dumps({"event": "order shipped", "trace_id": TRACE})

    assert grafana_links.links_of_line({}, line) == [Query("Trace of the line", "jaeger", TRACE)]
    assert grafana_links.links_of_line({}, line.replace(": ", ":")) != []
    assert grafana_links.links_of_line({"service_name": "etl"}, "order shipped") == []


def test_queries_speak_of_metrics_that_exist() -> None:
    """No link reads a metric that the exporter does not have; tests/dashboards is about panels."""
    every = collectors.every(settings_of())
    names = {family.name for each in every for family in each.families}
    names |= {family.name for each in every for family in each.counted}
    asked = " ".join(query.text for query in grafana_links.metrics_of(LOAD))
    read = {name.removesuffix("_bucket") for name in re.findall(r"(?<!\w)prefect_[a-z_]+", asked)}

    assert read
    assert set() == read - names


def test_dashboards_are_found() -> None:
    """The provider looks where docker-compose.yml puts the files, and each has a uid of its own."""
    (path,) = (GRAFANA / "provisioning" / "dashboards").glob("*.yml")
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    mounts = [str(volume) for volume in services()["grafana"]["volumes"]]
    uids = [dashboard["uid"] for dashboard in grafana_links.dashboards().values()]

    assert provider["folder"] == "Prefect"
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
    assert "prefect-overview" in uids
    assert len(set(uids)) == len(uids)


def test_nobody_gets_in_and_nothing_is_called() -> None:
    """Only the administrator has an account, and Grafana asks nobody outside.

    On a read-only root its installer would also take away the bundled sources of Loki and Jaeger
    (https://github.com/grafana/grafana/issues/132528).
    """
    environment = services()["grafana"]["environment"]
    expected = {
        "GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana_admin_password",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
    }

    assert {name: environment.get(name) for name in expected} == expected


def assert_promql(text: str, folder: Path) -> None:
    """Fail unless promtool can read *text*, as the expression of a rule."""
    rules = {"groups": [{"name": "links", "rules": [{"record": "link", "expr": text}]}]}
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump(rules))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
