"""The blackbox exporter of the chart: it asks as the Compose stack's does."""

from __future__ import annotations

from generated import ROOT
from helm.rendering import Object, named, render

_NAME = "obs-prefect-observability-blackbox"


def _checksum(objects: list[Object]) -> str:
    pod = named(objects, "Deployment", _NAME)["spec"]["template"]
    return str(pod["metadata"]["annotations"]["checksum/config"])


def test_it_asks_as_in_compose() -> None:
    """Its configuration is the Compose stack's, byte for byte."""
    config = named(render(), "ConfigMap", _NAME)["data"]["blackbox.yml"]

    assert (ROOT / "deploy" / "blackbox" / "blackbox.yml").read_text() == config


def test_a_configuration_of_ones_own_takes_its_place() -> None:
    """Another text is mounted in its place, and pods begin anew, as it is read at the start."""
    text = "modules: {prefect_api: {prober: http}}"
    own = render(values={"blackbox": {"config": text}})

    assert text == named(own, "ConfigMap", _NAME)["data"]["blackbox.yml"].strip()
    assert _checksum(own) != _checksum(render())


def test_nothing_is_left_where_it_is_off() -> None:
    """No object has its name where an exporter of the cluster asks, or none."""
    left = render(values={"blackbox": {"enabled": False}})

    assert [] == [
        each["metadata"]["name"] for each in left if "blackbox" in each["metadata"]["name"]
    ]
