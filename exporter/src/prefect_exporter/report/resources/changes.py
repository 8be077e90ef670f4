"""How a job's memory or CPU is set to another amount, in the words of its platform."""

from __future__ import annotations

import math

from prefect_exporter.report.phrases import command
from prefect_exporter.report.resources.measured import Measured
from prefect_exporter.report.resources.requests import Setting
from prefect_exporter.report.workspace import Workspace

MIB = 2**20

_STEP = 64
"""MiB: nobody asks for 311."""

_FARGATE_STEP = 1024
_FARGATE_CPU = (256, 512, 1024, 2048, 4096, 8192)


def memory_text(work_pool: str, workspace: Workspace, amount: float) -> str:
    """Return so many bytes, rounded up, as templates of the pool's type have them."""
    mib = math.ceil(amount / MIB / _STEP) * _STEP
    match _platform(workspace, work_pool):
        case "ecs":
            return str(max(512, math.ceil(mib / _FARGATE_STEP) * _FARGATE_STEP))
        case "azure-container-instance":
            return f"{math.ceil(amount / 1e8) / 10:g}"
        case "docker":
            return f"{mib}m"
        case _:
            return f"{mib}Mi"


def cpu_text(work_pool: str, workspace: Workspace, cores: float) -> str:
    """Return so many cores, rounded up, likewise."""
    match _platform(workspace, work_pool):
        case "ecs":
            return str(next((units for units in _FARGATE_CPU if units >= cores * 1024), 16384))
        case "azure-container-instance":
            return f"{math.ceil(cores * 10) / 10:g}"
        case _:
            return f"{max(50, math.ceil(cores * 20) * 50)}m"


def set_request(
    workspace: Workspace, each: Measured, setting: Setting, text: str, what: str
) -> str:
    """Return what sets it: a job variable of the deployment, or the pool's template."""
    if not setting.variable:
        look = command("prefect", "work-pool", "inspect", each.work_pool, "--output", "json")
        update = command("prefect", "work-pool", "update", each.work_pool)
        return (
            f"In the base job template, which {look} has, set {what} from {setting.text} to"
            f" {text}; then {update} --base-job-template template.json"
        )
    deployment = workspace.catalog.deployments[each.subject.deployment_id]
    deploy = ("prefect", "deploy", "--name", deployment.name)
    variable = f"{setting.variable}={text}"
    return f"{command(*deploy, '--job-variable', variable)}, and the same in prefect.yaml"


def _platform(workspace: Workspace, work_pool: str) -> str:
    pool = workspace.catalog.work_pools.get(work_pool)
    return pool.type.removesuffix(":push") if pool else ""
