"""The alerts on objectives that are missed."""

from __future__ import annotations

from dataclasses import dataclass

from slo.recording import BUDGET, BURN_RATE, BY, FAILED, MISSED, OBJECTIVE
from slo.templates import VALUE, WHO, aim, counted, counted_in


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a deployment.

    Args:
        name: What it is called.
        expr: Has the labels that a deployment is known by, and the value for the message.
        wait: How long that must last.
        keep: How long it goes on firing without it, over gaps and outages.
        severity: The severity; of one that pages, in tiers that do not want it.
        page: Whether it is critical in tiers that want to be paged.
        summary: What is wrong, in one line.
        description: The numbers, and what to do first.
    """

    name: str
    expr: str
    wait: str
    keep: str
    severity: str
    page: bool
    summary: str
    description: str


def _burns(factor: str, long: str, short: str, failures: float) -> str:
    return (
        f"  {BURN_RATE}:{long} > {factor}\n"
        f"  and on {BY} {BURN_RATE}:{short} > {factor}\n"
        f"  and on {BY} {FAILED}:increase{long} > {failures}"
    )


# More failures than this in a window wake somebody or ask for a repair: where runs are rare, a
# single failure is a high ratio. Increases are extrapolated, so 5 may read as 4.97 or 5.1.
_PAGE, _TICKET = 4.5, 2.5
_OR = f"\nor on {BY}\n"

# Windows, factors and what they mean for a budget of 30 days are those of the SRE workbook, chapter
# 5, section 6: https://sre.google/workbook/alerting-on-slos/.
_BURN_FAST = Alert(
    name="PrefectErrorBudgetBurnFast",
    expr=_burns("14.4", "1h", "5m", _PAGE) + _OR + _burns("6", "6h", "30m", _PAGE),
    wait="2m",
    keep="15m",
    severity="warning",
    page=True,
    summary=f"{WHO} fails too often: its error budget burns"
    ' {{ $value | printf "%.0f" }} times as fast as it may',
    description=f"{counted_in('1h', '6h', _PAGE)} runs failed; the objective is that"
    f" {aim('success')} succeed. At this rate the error budget of 30 days is gone within five. Look"
    " at the newest failures, and undo what changed last: the flow, its data, or what it calls.",
)

_BURN_SLOW = Alert(
    name="PrefectErrorBudgetBurnSlow",
    expr=_burns("3", "1d", "2h", _TICKET) + _OR + _burns("1", "3d", "6h", _TICKET),
    wait="15m",
    keep="1h",
    severity="warning",
    page=False,
    summary=f"{WHO} fails more often than its objective allows",
    description=f"{counted_in('1d', '3d', _TICKET)} runs failed; the objective is that"
    f" {aim('success')} succeed. At this rate the error budget does not last for 30 days. Find the"
    " failures that come back, and mend their cause in the next days.",
)

_SPENT = Alert(
    name="PrefectErrorBudgetSpent",
    expr=f"  -{BUDGET} > 0\n  and on {BY} {FAILED}:increase30d > {_TICKET}",
    wait="15m",
    keep="1h",
    severity="info",
    page=False,
    summary=f"{WHO} has spent its error budget of 30 days",
    description=f"In 30 days {counted('30d')} runs failed; the objective is that {aim('success')}"
    " succeed. The error budget is overspent by {{ $value | humanizePercentage }}. Put reliability"
    " before new features until some of it is left again, or agree on another objective.",
)

_INTERVAL = f"max by {BY} (prefect_deployment_schedule_interval_seconds)"
_READ = 'prefect_exporter_collector_last_success_timestamp_seconds{collector="flow_runs"}'

# A weekday schedule owes nothing on a Sunday: where there is a schedule, a success that was due
# must be missing. After a gap such as a weekend the run has the time that the objective leaves it
# on other days. And the exporter must have read runs lately: while Prefect is away, every success
# grows old.
_NOT_FRESH = Alert(
    name="PrefectDeploymentNotFresh",
    expr=f"""\
  time() - (
    max by {BY} (prefect_deployment_last_success_timestamp_seconds)
    or on {BY} {MISSED}
  ) > on {BY} {OBJECTIVE}:fresh
  and on {BY} (
    time() - {MISSED}
    > on {BY} clamp_min({OBJECTIVE}:fresh - on {BY} {_INTERVAL}, 0)
    or on {BY} {OBJECTIVE}:fresh
    unless on {BY} {_INTERVAL}
  )
  and on (target) time() - max by (target) ({_READ}) < 300""",
    wait="10m",
    keep="15m",
    severity="warning",
    page=True,
    summary=f"{WHO} has not succeeded for {VALUE}",
    description=f"Its last success lies {VALUE} back, or it never succeeded since it was due then;"
    f" {aim('fresh')} is the objective. What reads its data reads old data. Look at its last runs:"
    " failed, late or none. While it or its work pool is paused, it has none.",
)

_OVER_DURATION = Alert(
    name="PrefectFlowRunOverDuration",
    expr=f"""\
  max by {BY} (prefect_flow_run_oldest_active_seconds{{state_type="RUNNING"}})
  > on {BY} {OBJECTIVE}:duration""",
    wait="1m",
    keep="10m",
    severity="warning",
    page=False,
    summary=f"A run of {WHO} has been running for {VALUE}",
    description=f"The objective is {aim('duration')}. Read the log of its oldest running run in"
    " Prefect: more data than usual, a wait for something, or a process that is gone. Cancel it if"
    " it hangs.",
)

_OVER_DELAY = Alert(
    name="PrefectFlowRunOverDelay",
    expr=f"""\
  max by {BY} (prefect_flow_run_oldest_late_seconds)
  > on {BY} {OBJECTIVE}:delay""",
    wait="1m",
    keep="10m",
    severity="warning",
    page=False,
    summary=f"A run of {WHO} was due {VALUE} ago and has not begun",
    description=f"The objective is {aim('delay')}. Mostly its work pool has no worker, a limit is"
    " full, or something is paused: look at the pool's workers and slots, and at the deployment's"
    " concurrency limit.",
)

ALERTS = (_BURN_FAST, _BURN_SLOW, _SPENT, _NOT_FRESH, _OVER_DURATION, _OVER_DELAY)
