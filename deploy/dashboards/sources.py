"""What panels ask: queries of Prometheus, Loki and Jaeger, and the selectors that most share."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import loki, prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef("prometheus", "${datasource}")
LOKI = DataSourceRef("loki", "loki")
JAEGER = DataSourceRef("jaeger", "jaeger")

OWNER = "target_flow_deployment:prefect_deployment_info:owner"
OF_TARGET = 'target=~"$target"'
OF_FLOW = f'{OF_TARGET}, flow=~"$flow"'
OF_DEPLOYMENT = f'{OF_FLOW}, deployment=~"$deployment"'
# Of lines, and of what runs measured themselves, which know no target.
OF_RUNS = 'flow=~"$flow", deployment=~"$deployment"'
FAILED = 'outcome=~"failed|timed_out|crashed"'


def owned(expr: str) -> str:
    """Return *expr* with the label `team`, of the chosen teams' deployments alone.

    Args:
        expr: Has one series for each target, flow, deployment and whatever else.
    """
    owner = f'{OWNER}{{team=~"$team"}}'
    return f"({expr} * on (target, flow, deployment) group_left (team) {owner})"


def of_team(expr: str) -> str:
    """Return *expr* without what belongs to other teams alone.

    Args:
        expr: Has the labels target and flow, and no deployment. What has no flow, as a background
            task, has no owner, and stays.
    """
    others = f'{OWNER}{{team!~"$team"}} unless on (target, flow) {OWNER}{{team=~"$team"}}'
    return f"({expr} unless on (target, flow) ({others}))"


def zero_filled(expr: str, collector: str) -> str:
    """Return *expr*, or 0 where the exporter has asked and found nothing.

    Where it could not ask there is no value: an unknown number is not 0.

    Args:
        expr: One number without labels.
        collector: The exporter's collector that the number comes from.
    """
    asked = f'prefect_exporter_collector_success{{{OF_TARGET}, collector="{collector}"}}'
    return f"{expr} or on () (0 * (min({asked}) == 1))"


def each_interval(counter: str, *, zeros: bool = True) -> str:
    """Return how much each series rose from one point of the graph to the next.

    Bars add up to what was counted. Those of `increase` do not: it stretches a rise to the edges
    of its window, and less so the first one above 0, which is the first failure.

    Args:
        counter: Name and selector.
        zeros: Also of what has never counted. Where that is most, it takes several times as long.
    """
    now = counter
    before = f"({counter} offset $__interval or min_over_time({counter}[$__interval]))"
    if not zeros:
        now, before = f"({now} > 0)", f"({before} > 0)"
    # A counter that has begun anew, else.
    return f"({now} - {before} >= 0 or {now})"


def within_range(counter: str, by: str) -> str:
    """Return how much a counter rose in the chosen time range, exactly, as `each_interval` does.

    Of several exporters the highest counts, so that one that was moved goes on where it was.

    Args:
        counter: Name and selector.
        by: All labels of it that are not its exporter's.
    """
    now, then = f"max by ({by}) ({counter})", f"max by ({by}) ({counter} offset $__range)"
    before = f"{then} or min by ({by}) (min_over_time({counter}[$__range]))"
    return f"({now} - ({before}) >= 0 or {now})"


def ranged(expr: str, legend: str = "", *, exemplars: bool = False) -> prometheus.Dataquery:
    """Return a query for a graph over time.

    Args:
        expr: PromQL.
        legend: The name of a line, such as `{{flow}}`.
        exemplars: Draw points that open their traces; *expr* must read a histogram or counter.
    """
    query = prometheus.Dataquery().expr(expr).range().legend_format(legend).datasource(PROMETHEUS)
    return query.exemplar(exemplars)


def instant(expr: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query for the number at the end of the time range."""
    return prometheus.Dataquery().expr(expr).instant().legend_format(legend).datasource(PROMETHEUS)


def listed(expr: str) -> prometheus.Dataquery:
    """Return a query for rows of a table at the end of the time range."""
    return instant(expr).format(PromQueryFormat.TABLE)


def buckets(expr: str) -> prometheus.Dataquery:
    """Return a query for a heatmap; *expr* has the label `le`."""
    return ranged(expr, "{{le}}", exemplars=True).format(PromQueryFormat.HEATMAP)


def lines(expr: str) -> loki.Dataquery:
    """Return a query for log lines, the newest 200."""
    return loki.Dataquery().expr(expr).query_type("range").max_lines(200).datasource(LOKI)


def counted_lines(expr: str, legend: str = "") -> loki.Dataquery:
    """Return a query for numbers of log lines over time."""
    return loki.Dataquery().expr(expr).query_type("range").legend_format(legend).datasource(LOKI)


def listed_lines(expr: str) -> loki.Dataquery:
    """Return a query for numbers of log lines at the end of the time range, for a table."""
    return loki.Dataquery().expr(expr).query_type("instant").datasource(LOKI)


@dataclass(slots=True)
class Traces(Builder[Dataquery], Dataquery):
    """A search for traces in Jaeger; the SDK has no model of it.

    Args:
        service: The service that sent them.
        tags: What one span of a trace has, as `key="value"` with blanks between.
        limit: At most so many traces.
    """

    service: str
    tags: str
    limit: int = 20
    ref_id: str = ""

    def build(self) -> Traces:
        """Return the search itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the search as Grafana's data source has it."""
        return {
            "datasource": JAEGER,
            "queryType": "search",
            "service": self.service,
            "tags": self.tags,
            "limit": self.limit,
            "refId": self.ref_id,
        }
