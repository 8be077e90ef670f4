"""Recording rules: which objective holds, how fast the error budget burns, what was missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slo.objectives import NAMES, Deployment, Objectives
from slo.promql import quoted

OWNER = "target_flow_deployment:prefect_deployment_info:owner"
OBJECTIVE = "target_flow_deployment:prefect_slo_objective"
BURN_RATE = "target_flow_deployment:prefect_slo_burn_rate"
BUDGET = "target_flow_deployment:prefect_slo_error_budget:remaining_ratio30d"
MISSED = "target_flow_deployment:prefect_slo_fresh:missed_since_timestamp_seconds"
BY = "(target, flow, deployment)"

FAILED = "target_flow_deployment:prefect_flow_runs_failed"
FINISHED = "target_flow_deployment:prefect_flow_runs_finished"
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# Runs without a deployment are inline subflows, or somebody's who tries a flow out.
_NAMED = 'deployment!=""'


def recording(objectives: Objectives) -> dict[str, Any]:
    """Return the rule file of all that alerts and boards read."""
    rules = [*_in_force(objectives), *_burn_rates(), _budget(), _missed()]
    group = {"name": "prefect-slo", "interval": "1m", "rules": list(rules)}
    return {"groups": [group]}


def _in_force(objectives: Objectives) -> Iterator[dict[str, str]]:
    for name in NAMES:
        sources = [_tag(name), *_of_deployments(name, objectives), *_of_tiers(name, objectives)]
        expr = f"\nor on {BY}\n".join(sources) + "\n"
        yield {"record": f"{OBJECTIVE}:{name}", "expr": expr}


def _tag(name: str) -> str:
    """Return what tags say, for an hour also while the exporter does not."""
    tag = f'prefect_deployment_objective{{objective="{name}"}}'
    remembered = f"max by {BY} (last_over_time({tag}[1h]))"
    return f"max by {BY} ({tag})\nor on {BY}\n({remembered} unless on {BY} prefect_deployment_info)"


def _of_deployments(name: str, objectives: Objectives) -> Iterator[str]:
    # The first that matches holds, so what names its target goes before what does not.
    for each in sorted(objectives.deployments, key=lambda each: each.target is None):
        if name in each.objectives:
            yield _times(_selector(each), each.objectives[name])


def _selector(each: Deployment) -> str:
    labels = {"target": each.target, "flow": each.flow, "deployment": each.deployment}
    matchers = (f"{name}={quoted(text)}" for name, text in labels.items() if text is not None)
    return f"{OWNER}{{{', '.join(matchers)}}}"


def _of_tiers(name: str, objectives: Objectives) -> Iterator[str]:
    for each in objectives.tiers:
        if each != objectives.default and name in each.objectives:
            tier = f"{OWNER}{{{_NAMED}, tier={quoted(each.name)}}}"
            yield _times(tier, each.objectives[name])
    default = objectives.default
    if name in default.objectives:
        others = [f"tier!={quoted(each.name)}" for each in objectives.tiers if each != default]
        yield _times(f"{OWNER}{{{', '.join([_NAMED, *others])}}}", default.objectives[name])


def _times(selector: str, value: float) -> str:
    return f"max by {BY} ({selector}) * {value:.12g}"


def _burn_rates() -> Iterator[dict[str, str]]:
    for window in _WINDOWS:
        failures = f"{FAILED}:increase{window} / ({FINISHED}:increase{window} > 0)"
        expr = f"{failures}\n/ on {BY} (1 - {OBJECTIVE}:success)\n"
        yield {"record": f"{BURN_RATE}:{window}", "expr": expr}


def _budget() -> dict[str, str]:
    failures = f"{FAILED}:increase30d / ({FINISHED}:increase30d > 0)"
    return {"record": BUDGET, "expr": f"1 - {failures}\n/ on {BY} (1 - {OBJECTIVE}:success)\n"}


def _missed() -> dict[str, str]:
    """Return since when a deployment lacks a success that was due.

    That is its first due time since its last success; without a schedule, when it last failed.
    The moment is handed on from one evaluation to the next, also over an hour without any.
    """
    succeeded = (
        f"(\n  max by {BY} (prefect_deployment_last_success_timestamp_seconds)\n"
        f"  or on {BY} max by {BY} (prefect_deployment_consecutive_failures) * 0\n)"
    )
    due = (
        f"(\n  max by {BY} (prefect_deployment_previous_expected_run_timestamp_seconds)\n"
        f"  or on {BY} max by {BY} (prefect_deployment_last_failure_timestamp_seconds)\n)"
    )
    either = (f"{each} > on {BY} {succeeded}" for each in (f"last_over_time({MISSED}[1h])", due))
    return {"record": MISSED, "expr": f"\nor on {BY}\n".join(either) + "\n"}
