"""The ways in lead to one result, whoever comes first."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from exporting import run, started

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


def test_secrets_of_variables_that_the_program_has_set_are_hidden() -> None:
    """What is put into the environment before `setup()` is known to be secret after it."""
    process = run(
        """
        import logging
        from prefect_instrumentation import _secrets
        _secrets.redactor()
        os.environ["SHOP_PASSWORD"] = "hunter2-of-the-shop"
        setup(logs=True)
        logging.getLogger("shop").warning("opened with hunter2-of-the-shop")
        """,
        NOWHERE | {"PREFECT_INSTRUMENTATION_LOG_STREAM": "stderr"},
        prelude=PRELUDE,
    )

    assert "opened with [redacted]" in process.complaints[-1]


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
            {
                "PREFECT_INSTRUMENTATION_LOGS": "none",
                "PREFECT_PLUGINS_ALLOW": "prefect_instrumentation",
                "PREFECT_PLUGINS_ENABLED": "1",
            },
        ),
        (
            "logs=True, meters=True",
            {
                "OTEL_METRICS_EXPORTER": "otlp",
                "PREFECT_INSTRUMENTATION_LOGS": "json",
                "PREFECT_PLUGINS_ALLOW": "prefect_instrumentation",
                "PREFECT_PLUGINS_ENABLED": "1",
            },
        ),
        ("tracer_provider=TracerProvider()", {}),
    ],
    ids=["ours", "all", "theirs"],
)
def test_children_are_told_unless_the_provider_is_the_users(
    arguments: str, left: dict[str, str]
) -> None:
    """A provider does not pass to other processes: there the user sets up his own."""
    process = run(
        f"""
        from opentelemetry.sdk.trace import TracerProvider
        before = set(os.environ)
        setup({arguments})
        print({{name: os.environ[name] for name in sorted(set(os.environ) - before)}})
        """,
        NOWHERE,
        prelude=PRELUDE,
    )

    assert (str(left),) == process.lines


WRITTEN = """
import json, sys
from prefect_instrumentation import PrefectInstrumentor, _settings
from prefect_instrumentation._logs import written
for code, variable in json.loads(sys.stdin.read()):
    os.environ.update({"PREFECT_INSTRUMENTATION_LOGS": variable} if variable else {})
    exec(code)
    print(getattr(written(), "format", None), file=sys.stderr)
    _setup.stop_logs()
    _setup._calls.clear()
    _settings.current.cache_clear()
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
"""


def test_log_lines_are_written_where_they_are_asked_for() -> None:
    """The variable wins over the argument, the first call over later ones and the plugin."""
    instrumentor = "PrefectInstrumentor().instrument()"
    cases = {
        ("setup()", ""): "None",
        ("setup(logs=True)", ""): "json",
        ("setup(logs=True)", "none"): "None",
        ("setup()", "logfmt"): "logfmt",
        ("setup()\nsetup(logs=True)", ""): "None",
        ("_setup.plug_in()", ""): "json",
        ("_setup.plug_in()", "console"): "console",
        ("_setup.plug_in()", "none"): "None",
        ("setup()\n_setup.plug_in()", ""): "None",
        ("setup(logs=True)\n_setup.plug_in()", ""): "json",
        (instrumentor, ""): "None",
        (f"{instrumentor}\nPrefectInstrumentor().uninstrument()\n{instrumentor}", "json"): "json",
        ("PrefectInstrumentor().uninstrument()", "json"): "None",
        (f"{instrumentor}\nPrefectInstrumentor().uninstrument()", "json"): "None",
    }
    with started(WRITTEN, NOWHERE, prelude=PRELUDE) as process:
        _, told = process.communicate(json.dumps(list(cases)), timeout=60)

    warnings = ("setup() has been called", "Attempting to")
    found = [line for line in told.splitlines() if not line.startswith(warnings)]
    assert list(cases.values()) == found


@pytest.mark.parametrize(
    ("arguments", "environ", "made"),
    [
        ("", {}, "None"),
        ("meters=True", {}, "MeterObserver"),
        ("meters=True", {"OTEL_METRICS_EXPORTER": "none"}, "None"),
        ("", {"OTEL_METRICS_EXPORTER": "otlp"}, "MeterObserver"),
    ],
    ids=["unasked", "argument", "none", "variable"],
)
def test_runs_are_metered_where_metrics_are_read(
    arguments: str, environ: dict[str, str], made: str
) -> None:
    """Whoever sends no metrics does not pay for any."""
    code = f"""
    setup({arguments})
    meters = _setup._meters()
    print(meters and type(meters).__name__, "prefect_instrumentation._meters" in sys.modules)
    """
    process = run(f"import sys\n{dedent(code)}", NOWHERE | environ, prelude=PRELUDE)

    assert (f"{made} {made != 'None'}",) == process.lines


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
