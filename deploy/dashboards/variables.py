"""What a reader chooses at the top of a board; each choice narrows the next one."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from dashboards.sources import OF_FLOW, OF_RUNS, OF_TARGET, OWNER, PROMETHEUS

_OF_TEAM = 'team=~"$team"'


def datasource() -> build.DatasourceVariable:
    """Return the choice of a Prometheus, `$datasource`."""
    return (
        build.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(text="Prometheus", value="prometheus", selected=True))
    )


def target() -> build.QueryVariable:
    """Return the choice of Prefect servers, `$target`."""
    return chosen("target", "Target", "label_values(prefect_exporter_build_info, target)")


def team() -> build.QueryVariable:
    """Return the choice of owners, `$team`; All is also what has none."""
    return chosen("team", "Team", f"label_values({OWNER}{{{OF_TARGET}}}, team)")


def flow(*, everything: bool = True) -> build.QueryVariable:
    """Return the choice of flows, `$flow`; without All the first one is chosen to begin with."""
    query = f"label_values({OWNER}{{{OF_TARGET}, {_OF_TEAM}}}, flow)"
    return chosen("flow", "Flow", query, everything=everything)


def deployment() -> build.QueryVariable:
    """Return the choice of deployments, `$deployment`; All is also runs that have none."""
    query = f"label_values({OWNER}{{{OF_FLOW}, {_OF_TEAM}}}, deployment)"
    return chosen("deployment", "Deployment", query)


def task() -> build.QueryVariable:
    """Return the choice of tasks of the chosen flows, `$task`."""
    return chosen(
        "task", "Task", f"label_values(prefect_task_runs_finished_total{{{OF_FLOW}}}, task)"
    )


def service() -> build.QueryVariable:
    """Return the choice of a service that has sent spans of the chosen flow, `$service`."""
    spans = 'traces_span_metrics_calls_total{span_name=~"flow $flow"}'
    return chosen("service", "Service", f"label_values({spans}, service_name)", everything=False)


def category() -> build.QueryVariable:
    """Return the choice of categories of errors, `$category`."""
    errors = f"prefect_sdk_errors_total{{{OF_RUNS}}}"
    return chosen("category", "Category", f"label_values({errors}, category)")


def fingerprint() -> build.QueryVariable:
    """Return the choice of errors that are the same again, `$fingerprint`."""
    errors = f'prefect_sdk_errors_total{{{OF_RUNS}, category=~"$category"}}'
    return chosen("fingerprint", "Fingerprint", f"label_values({errors}, fingerprint)")


def chosen(name: str, label: str, query: str, *, everything: bool = True) -> build.QueryVariable:
    """Return a choice among the values of a label in the time range.

    Args:
        name: What queries call it.
        label: What readers see.
        query: `label_values(<selector>, <label>)`.
        everything: Whether there is All, which is `.*`, and is chosen to begin with.
    """
    variable = (
        build.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": name, "qryType": 1})
        .datasource(PROMETHEUS)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        # Also where one value is meant: only then does Grafana escape it for a regular expression.
        .multi(True)
    )
    if not everything:
        return variable
    first = model.VariableOption(text="All", value="$__all", selected=True)
    return variable.include_all(True).all_value(".*").current(first)
