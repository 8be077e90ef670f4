"""The ways in lead to one result, whoever comes first."""

from __future__ import annotations

import pytest

from exporting import run

PRELUDE = """
import os
from opentelemetry import trace
from prefect_instrumentation import _setup, setup

def resource():
    attributes = trace.get_tracer_provider().resource.attributes
    return attributes["service.name"], attributes.get("deployment.environment.name")
"""
NOWHERE = {"OTEL_TRACES_EXPORTER": "none"}
WARNING = "setup() has been called before, with other arguments: those stay in force"


def test_setup_names_the_service() -> None:
    """The provider is there when `setup` returns, with the names it was given."""
    process = run(
        'setup(service_name="etl", environment="production")\nprint(resource())',
        NOWHERE,
        prelude=PRELUDE,
    )

    assert (("('etl', 'production')",), ()) == (process.lines, process.complaints)


def test_environment_comes_from_a_variable_too() -> None:
    """An argument wins over our variable, and OpenTelemetry's over both."""
    environ = NOWHERE | {"PREFECT_INSTRUMENTATION_ENVIRONMENT": "staging"}

    assert ("('prefect', 'staging')",) == run(
        "setup()\nprint(resource())", environ, prelude=PRELUDE
    ).lines
    assert ("('prefect', 'test')",) == run(
        'setup(environment="test")\nprint(resource())', environ, prelude=PRELUDE
    ).lines
    assert ("('theirs', 'test')",) == run(
        'setup(environment="test")\nprint(resource())',
        environ | {"OTEL_SERVICE_NAME": "theirs"},
        prelude=PRELUDE,
    ).lines


@pytest.mark.parametrize(
    ("second", "told"),
    [("setup(service_name='etl')", ()), ("setup()\nsetup(service_name='b')", (WARNING,))],
    ids=["same", "others"],
)
def test_second_call_changes_nothing(second: str, told: tuple[str, ...]) -> None:
    """The first arguments stay; others are told of once."""
    process = run(
        f"setup(service_name='etl')\nprint(resource())\n{second}\nprint(resource())",
        NOWHERE,
        prelude=PRELUDE,
    )

    assert (("('etl', None)",) * 2, told) == (process.lines, process.complaints)


def test_setup_after_the_plugin_still_names_the_service() -> None:
    """Prefect's plugin system comes first, but sets up no provider before a run."""
    process = run(
        """
        _setup.instrument()
        print(type(trace.get_tracer_provider()).__name__)
        setup(service_name="etl")
        print(resource())
        """,
        NOWHERE,
        prelude=PRELUDE,
    )

    assert ("ProxyTracerProvider", "('etl', None)") == process.lines


def test_given_provider_is_not_made_global() -> None:
    """It makes the spans of runs; what others do with the global one is theirs."""
    process = run(
        """
        from opentelemetry.sdk.trace import TracerProvider
        setup(tracer_provider=TracerProvider())
        print(type(trace.get_tracer_provider()).__name__)
        """,
        NOWHERE,
        prelude=PRELUDE,
    )

    assert (("ProxyTracerProvider",), ()) == (process.lines, process.complaints)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (
            "",
            [
                "PREFECT_INSTRUMENTATION_LOGS",
                "PREFECT_PLUGINS_ALLOW",
                "PREFECT_PLUGINS_ENABLED",
            ],
        ),
        ("tracer_provider=TracerProvider()", []),
    ],
    ids=["ours", "theirs"],
)
def test_children_are_told_unless_the_provider_is_the_users(
    arguments: str, left: list[str]
) -> None:
    """A provider does not pass to other processes: there the user sets up his own."""
    process = run(
        f"""
        from opentelemetry.sdk.trace import TracerProvider
        before = set(os.environ)
        setup({arguments})
        print(sorted(set(os.environ) - before))
        """,
        NOWHERE,
        prelude=PRELUDE,
    )

    assert ((str(left),), ()) == (process.lines, process.complaints)


def test_instrumenting_imports_no_sdk() -> None:
    """Commands and workers, which run no flow, pay for none."""
    process = run(
        """
        import sys
        _setup.instrument()
        heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "grpc", "requests")
        print([name for name in heavy if name in sys.modules])
        """,
        prelude=PRELUDE,
    )

    assert (("[]",), ()) == (process.lines, process.complaints)
