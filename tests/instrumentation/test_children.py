"""Child processes are instrumented as the process that called `setup()`."""

from __future__ import annotations

import pytest

from prefect_instrumentation._children import inherit


@pytest.mark.parametrize(
    ("prefect_version", "prefix"),
    [
        ("3.4.25", "PREFECT_EXPERIMENTS_PLUGINS_"),
        ("3.6.29", "PREFECT_EXPERIMENTS_PLUGINS_"),
        ("3.7.0", "PREFECT_PLUGINS_"),
        ("3.10.0.dev1", "PREFECT_PLUGINS_"),
    ],
)
def test_children_load_this_plugin_alone(prefect_version: str, prefix: str) -> None:
    """Each version of Prefect is told in its own words to load the plugin and no other."""
    environ: dict[str, str] = {}
    inherit(environ, "etl", "production", prefect_version)

    assert {
        f"{prefix}ENABLED": "1",
        f"{prefix}ALLOW": "prefect_instrumentation",
        "OTEL_SERVICE_NAME": "etl",
        "PREFECT_INSTRUMENTATION_ENVIRONMENT": "production",
    } == environ


@pytest.mark.parametrize("said", ["PREFECT_PLUGINS_ENABLED", "PREFECT_PLUGINS_DENY"])
def test_what_the_user_said_of_plugins_stays(said: str) -> None:
    """Whoever has chosen his plugins, or none, keeps his choice."""
    environ = {said: "x", "OTEL_SERVICE_NAME": "own"}
    inherit(environ, "etl", None, "3.8.8")

    assert {said: "x", "OTEL_SERVICE_NAME": "own"} == environ


def test_names_that_the_user_has_set_stay() -> None:
    """What the environment says of a service wins, as it does in the process that has it."""
    said = {"OTEL_SERVICE_NAME": "own", "PREFECT_INSTRUMENTATION_ENVIRONMENT": "staging"}
    environ = dict(said)
    inherit(environ, "etl", "production", "3.8.8")

    assert said == {name: environ[name] for name in said}
