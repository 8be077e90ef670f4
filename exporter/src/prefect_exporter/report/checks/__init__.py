"""What ought to be mended: one check a module, each a function from a workspace to findings."""

from __future__ import annotations

from types import ModuleType

from prefect_exporter.report.checks import (
    automation_disabled_forgotten,
    automation_targets_missing,
    blast_radius,
    cache_stopped_hitting,
    concurrency_limit_tight,
    concurrency_limit_unused,
    concurrency_starved,
    cpu_request_oversized,
    dependency_cycle,
    deployment_duplicate,
    deployment_paused_forgotten,
    deployment_unused,
    duration_regression,
    duration_variable,
    failure_new,
    failure_rising,
    failures_in_common,
    flow_broken,
    flow_flaky,
    integration_failing,
    late_chronic,
    memory_request_oversized,
    memory_request_tight,
    owner_missing,
    parameters_large,
    pool_crashes,
    queue_wait_long,
    retries_costly,
    retries_mask_failures,
    retries_missing,
    runs_stuck,
    runs_without_limit,
    schedule_denser_than_duration,
    schedule_never_runs,
    task_dominates,
    work_pool_paused_forgotten,
    work_pool_without_worker,
    work_queue_paused_forgotten,
)

CHECKS: tuple[ModuleType, ...] = (
    automation_disabled_forgotten,
    automation_targets_missing,
    blast_radius,
    cache_stopped_hitting,
    concurrency_limit_tight,
    concurrency_limit_unused,
    concurrency_starved,
    dependency_cycle,
    deployment_duplicate,
    deployment_paused_forgotten,
    deployment_unused,
    duration_regression,
    duration_variable,
    failure_new,
    failure_rising,
    failures_in_common,
    flow_broken,
    flow_flaky,
    integration_failing,
    late_chronic,
    owner_missing,
    parameters_large,
    pool_crashes,
    queue_wait_long,
    retries_costly,
    retries_mask_failures,
    retries_missing,
    runs_stuck,
    runs_without_limit,
    schedule_denser_than_duration,
    schedule_never_runs,
    task_dominates,
    work_pool_paused_forgotten,
    work_pool_without_worker,
    work_queue_paused_forgotten,
)
"""All that look at a workspace alone; each module has ``SECTION`` and ``check(workspace)``.

One whose ``NEEDS`` were not all read is left out. It is for what says that something is not there;
without it a check needs all flow runs.
"""

USAGE_CHECKS: tuple[ModuleType, ...] = (
    cpu_request_oversized,
    memory_request_oversized,
    memory_request_tight,
)
"""Those that need what Prometheus knows: ``check(workspace, usage)``."""
