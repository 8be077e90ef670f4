"""PromQL about flow runs that several boards share; each by target, flow and deployment."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import links, sources, tables
from dashboards.sources import OF_DEPLOYMENT, OF_TARGET, each_interval, owned

BY = "target, flow, deployment"


def last_hour(what: str, selector: str = OF_TARGET) -> str:
    """Return how many runs ended in the last hour, `finished` or `failed`."""
    return owned(f"target_flow_deployment:prefect_flow_runs_{what}:increase1h{{{selector}}}")


def last_day(what: str, selector: str = OF_TARGET) -> str:
    """Return how many runs ended in the last 24 hours, `finished` or `failed`.

    The recorded day lags by some minutes, the hour does not: a day has at least what its last
    hour has.
    """
    name = f"target_flow_deployment:prefect_flow_runs_{what}:increase"
    hour, day = f"{name}1h{{{selector}}}", f"{name}1d{{{selector}}}"
    return owned(f"({day} >= {hour} or {hour})")


def by_outcome(selector: str = OF_DEPLOYMENT) -> str:
    """Return how many runs ended so from one point of the graph to the next, also where none did.

    Of two exporters of one Prefect the higher number counts, as in the recorded rules.
    """
    counter = f'prefect_flow_runs_finished_total{{{selector}, subflow!="true"}}'
    each = each_interval(counter, zeros=False)
    ended = owned(f"sum by ({BY}, outcome) (max by ({BY}, subflow, outcome) ({each}))")
    return f"sum by (outcome) ({ended}) or 0 * sum by (outcome) ({counter})"


def within_range(outcome: str, selector: str = OF_DEPLOYMENT) -> str:
    """Return how many runs ended so in the chosen time range; *outcome* is a regular expression."""
    counter = (
        f'prefect_flow_runs_finished_total{{{selector}, subflow!="true", outcome=~"{outcome}"}}'
    )
    return owned(f"sum by ({BY}) ({sources.within_range(counter, f'{BY}, subflow, outcome')})")


def gauge(name: str, selector: str = OF_DEPLOYMENT) -> str:
    """Return a gauge of deployments, the highest that any exporter tells."""
    return owned(f"max by ({BY}) ({name}{{{selector}}})")


def columns() -> Sequence[tables.Label]:
    """Return the columns that name a deployment and lead to its board."""
    return (
        tables.Label("target", "Target", width=90),
        tables.Label("flow", "Flow", links.to_flow()),
        tables.Label("deployment", "Deployment", links.to_flow()),
        tables.Label("team", "Team", width=100),
    )
