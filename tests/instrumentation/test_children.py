"""Child processes are instrumented as the process that called `setup()`."""

from __future__ import annotations

import pytest

from prefect_instrumentation._children import (
    DEPLOYMENT,
    DEPLOYMENT_KEPT,
    inherit,
    keep_deployment,
)


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
    inherit(
        environ,
        service_name="etl",
        environment="production",
        prefect_version=prefect_version,
    )

    assert {
        f"{prefix}ENABLED": "1",
        f"{prefix}ALLOW": "prefect_instrumentation",
        "OTEL_SERVICE_NAME": "etl",
        "PREFECT_INSTRUMENTATION_ENVIRONMENT": "production",
        "PREFECT_INSTRUMENTATION_LOGS": "none",
    } == environ


@pytest.mark.parametrize("said", ["PREFECT_PLUGINS_ENABLED", "PREFECT_PLUGINS_DENY"])
def test_what_the_user_said_of_plugins_stays(said: str) -> None:
    """Whoever has chosen his plugins, or none, keeps his choice."""
    environ = {said: "x", "OTEL_SERVICE_NAME": "own"}
    inherit(environ, service_name="etl", prefect_version="3.8.8")

    assert {said: "x", "OTEL_SERVICE_NAME": "own"} == environ


def test_names_that_the_user_has_set_stay() -> None:
    """What the environment says of a service wins, as it does in the process that has it."""
    said = {"OTEL_SERVICE_NAME": "own", "PREFECT_INSTRUMENTATION_ENVIRONMENT": "staging"}
    environ = dict(said)
    inherit(environ, service_name="etl", environment="production", prefect_version="3.8.8")

    assert said == {name: environ[name] for name in said}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((False, False), {"PREFECT_INSTRUMENTATION_LOGS": "none"}),
        ((True, False), {"PREFECT_INSTRUMENTATION_LOGS": "json"}),
        (
            (False, True),
            {"PREFECT_INSTRUMENTATION_LOGS": "none", "OTEL_METRICS_EXPORTER": "otlp"},
        ),
    ],
    ids=["spans-alone", "logs", "meters"],
)
def test_children_write_and_send_what_their_parent_does(
    asked: tuple[bool, bool], expected: dict[str, str]
) -> None:
    """The plugin alone would write log lines, and send no metrics: children are told otherwise."""
    logs, meters = asked
    environ: dict[str, str] = {}
    inherit(environ, logs=logs, meters=meters, prefect_version="3.8.8")

    assert expected == {name: environ[name] for name in environ if "PLUGINS" not in name}


def test_format_that_the_user_has_set_stays() -> None:
    """A child writes lines as the environment says."""
    environ = {"PREFECT_INSTRUMENTATION_LOGS": "logfmt", "OTEL_METRICS_EXPORTER": "none"}
    inherit(environ, logs=True, meters=True, prefect_version="3.8.8")

    assert ("logfmt", "none") == (
        environ["PREFECT_INSTRUMENTATION_LOGS"],
        environ["OTEL_METRICS_EXPORTER"],
    )


def test_children_of_those_who_chose_the_plugin_write_as_it_does() -> None:
    """Where the user has turned plugins on, the plugin writes lines here, and so it does there."""
    environ = {"PREFECT_PLUGINS_ENABLED": "1"}
    inherit(environ, prefect_version="3.8.8")

    assert {"PREFECT_PLUGINS_ENABLED": "1"} == environ


def test_children_know_the_deployment_that_prefect_takes_away() -> None:
    """What a worker calls it is kept under a name that Prefect leaves alone; newer wins."""
    environ = {DEPLOYMENT: "nightly", DEPLOYMENT_KEPT: "of a run before"}
    keep_deployment(environ)
    del environ[DEPLOYMENT]
    keep_deployment(environ)

    assert {DEPLOYMENT_KEPT: "nightly"} == environ
