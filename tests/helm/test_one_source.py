"""That the chart and the Compose stack run the same programs, versions and limits."""

from __future__ import annotations

from typing import Any

import pytest

from helm.rendering import ROOT, SOURCE, load

_VALUES = load((SOURCE / "values.yaml").read_text(encoding="utf-8"))
_COMPOSE = load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
_IMAGES = _COMPOSE["x-images"]
_STACK = _VALUES["kube-prometheus-stack"]


@pytest.mark.parametrize(
    ("section", "image"),
    [
        ("gateway", "otel-collector"),
        ("agent", "otel-collector"),
        ("podLogs", "otel-collector"),
        ("jaeger", "jaeger"),
        ("blackbox", "blackbox-exporter"),
    ],
)
def test_images_are_those_of_compose(section: str, image: str) -> None:
    """Run what the stack's tests ran."""
    given = _VALUES[section]["image"]

    assert f"{given['repository']}:{given['tag']}" == _IMAGES[image]


def test_own_images_are_those_of_compose() -> None:
    """Take the images that `docker compose build` makes, at the chart's version."""
    version = load((SOURCE / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]

    for name in ("exporter", "backup"):
        made = _COMPOSE["services"][name]["image"].replace("${STACK_VERSION:-0.1.0}", version)
        assert made == f"{_VALUES[name]['image']['repository']}:{version}"


def test_prefect_is_that_of_compose() -> None:
    """Bring along the Prefect that the stack brings, and a worker of the same version."""
    image = _VALUES["prefect-server"]["global"]["prefect"]["image"]
    worker = _VALUES["prefect-worker"]["worker"]["image"]

    assert f"prefecthq/prefect:{image['prefectTag']}" == _IMAGES["prefect"]
    assert worker["prefectTag"] == f"{image['prefectTag']}-kubernetes"


def test_prefect_deletes_what_it_does_in_compose() -> None:
    """Keep events and runs as long as the stack does."""
    given = {each["name"]: each["value"] for each in _VALUES["prefect-server"]["server"]["env"]}
    compose = _COMPOSE["x-server-environment"]

    assert given == {name: _default(compose[name]) for name in given}


def test_alertmanager_is_that_of_compose() -> None:
    """Let the templates of messages meet the Alertmanager that they were tested with."""
    image = _STACK["alertmanager"]["alertmanagerSpec"]["image"]

    assert f"prom/alertmanager:{image['tag']}" == _IMAGES["alertmanager"]


def test_prometheus_keeps_what_it_does_in_compose() -> None:
    """Keep metrics as long as the stack does, and ask as often."""
    spec = _STACK["prometheus"]["prometheusSpec"]
    command = [_default(each) for each in _COMPOSE["services"]["prometheus"]["command"]]
    file = load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))

    assert f"--storage.tsdb.retention.time={spec['retention']}" in command
    assert f"--storage.tsdb.retention.size={spec['retentionSize']}" in command
    assert f"--enable-feature={','.join(spec['enableFeatures'])}" in command
    assert spec["scrapeInterval"] == file["global"]["scrape_interval"]
    assert spec["evaluationInterval"] == file["global"]["evaluation_interval"]


def test_loki_has_the_limits_of_compose() -> None:
    """Take and refuse the log lines that the stack does."""
    own = load((ROOT / "deploy" / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    limits = {key: _default(value) for key, value in own["limits_config"].items()}

    assert limits == _VALUES["loki"]["loki"]["limits_config"]
    assert own["compactor"] == _VALUES["loki"]["loki"]["compactor"]


def _default(value: Any) -> Any:  # noqa: ANN401  YAML
    """Return a value with the default of the variable in it."""
    if not isinstance(value, str) or "${" not in value:
        return value
    before, _, rest = value.partition("${")
    inner, _, after = rest.partition("}")
    return before + inner.partition(":-")[2] + after
