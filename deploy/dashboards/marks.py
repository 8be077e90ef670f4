"""Marks on all graphs: new versions, restarts and new deployments."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from dashboards import palette
from dashboards.sources import OF_TARGET, PROMETHEUS

# What is new, and was not for want of an exporter.
_KNOWN = f"and on (target) prefect_exporter_build_info{{{OF_TARGET}}} offset 5m"
_VERSIONS = f"prefect_server_info{{{OF_TARGET}}}"
_DEPLOYMENTS = f"prefect_deployment_info{{{OF_TARGET}}}"
# Of the programs themselves: a job such as redis also has the start of its exporter.
_STARTS = " or ".join(
    f"{start} * 1000"
    for start in (
        'process_start_time_seconds{job=~"prefect-exporter|prefect-server|prometheus"}',
        "haproxy_process_start_time_seconds",
        "redis_start_time_seconds",
    )
)


class Mark(model.AnnotationQuery):
    """An annotation from Prometheus.

    Args:
        name: What happened.
        expr: PromQL; there is a mark wherever it has a value other than 0.
        text: More of it, with labels as `{{version}}`.
        color: Of the mark.
        timed: The value is when it happened, in milliseconds since 1970.
    """

    def __init__(self, name: str, expr: str, text: str, color: str, *, timed: bool = False) -> None:
        super().__init__(name=name, expr=expr, icon_color=color, datasource=PROMETHEUS)
        self.text = text
        self.timed = timed

    def to_json(self) -> dict[str, object]:
        """Return it with the fields of Grafana's data source, which the SDK's model leaves out."""
        written = {"titleFormat": self.name, "textFormat": self.text}
        return {**super().to_json(), **written, "useValueForTime": self.timed}


def marks() -> list[model.AnnotationQuery]:
    """Return the marks that every board has."""
    return [
        Mark(
            "Prefect version",
            f"{_VERSIONS} unless on (target, version) {_VERSIONS} offset 5m {_KNOWN}",
            "{{target}}: Prefect {{version}}",
            palette.PURPLE,
        ),
        Mark(
            "Restart",
            _STARTS,
            "{{job}} {{instance}}",
            palette.ORANGE,
            timed=True,
        ),
        Mark(
            "Deployment",
            f"{_DEPLOYMENTS} unless on (target, flow, deployment, work_pool)"
            f" {_DEPLOYMENTS} offset 5m {_KNOWN}",
            "{{target}}: {{flow}}/{{deployment}} in {{work_pool}}",
            palette.SKY,
        ),
    ]
