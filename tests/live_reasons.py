"""The queries that show nothing in the demo, with the reason: all others must show something.

A reason that is about a metric begins with its prefix; one about a panel has its board and title.
"""

from __future__ import annotations

from live_boards import Reason

_STACK = "only the Compose stack has it, where tests/stack asks the same"
_CHANGE = "marks a change, and nothing changes while the demo runs"


def _panels_with(metric: str) -> str:
    """Return what matches panels that speak of it; an annotation asks several parts at once."""
    return rf"^(?!.* / annotation )(?s:.*)\b{metric}"


REASONS: tuple[Reason, ...] = (
    Reason(_panels_with("pg_"), _STACK),
    Reason(_panels_with("redis_"), _STACK),
    Reason(_panels_with("haproxy_"), _STACK),
    Reason(r"\bnode_(cpu|memory|filesystem|disk|pressure|vmstat)_", _STACK),
    Reason(r"\botelcol_", _STACK),
    Reason(r"\bloki_", _STACK),
    Reason(r"\btraces_span_metrics_", _STACK),
    Reason(r"\bprefect_sdk_", _STACK),
    Reason(r"\betl_(rows|recoveries)", _STACK),
    Reason(r"\bkpi:(records_processed|rejected_share)\b", _STACK),
    Reason(r"\bprefect_table_", _STACK),
    Reason(r'"prefect-server"|target:prefect_server_replicas:|"prefect-api-probe"', _STACK),
    Reason(r"\bprefect_backup_", _STACK),
    Reason(r"\bprefect_exporter_terminal_spans_total\b", "off unless it is asked for"),
    Reason(
        r"\bprometheus_tsdb_wal_storage_size_bytes\b",
        "the Prometheus of Debian 12 does not have it",
        always=False,
    ),
    Reason(r"/ Requests without an answer /", "every request may have had one", always=False),
    Reason(r"/ annotation (Prefect version|Deployment) /", _CHANGE),
)

CHOICES = {
    "prefect-errors / category",
    "prefect-errors / fingerprint",
    "prefect-flow / service",
    "prefect-pipelines / breaker",
    "prefect-pipelines / client",
    "prefect-pipelines / queue",
}
"""Variables without values in the demo: flows tell of these only in the Compose stack."""
