"""Whose the concurrency limit of a pool, a queue or a deployment is, and how it is changed."""

from __future__ import annotations

from prefect_exporter.report.model import Link
from prefect_exporter.report.performance.slots import Place
from prefect_exporter.report.phrases import command
from prefect_exporter.report.places import pool_link, subject_link
from prefect_exporter.report.wire import ToldDeployment
from prefect_exporter.report.workspace import Subject, Workspace


def subject(place: Place) -> str:
    """Return what findings call it."""
    return place.name if place.kind == "deployment" else f"{place.kind} {place.name}"


def page(workspace: Workspace, place: Place) -> tuple[Link, ...]:
    """Return where in Prefect it is seen."""
    if place.kind == "deployment":
        return (subject_link(workspace, _subject(workspace, place)),)
    return (pool_link(workspace, place.pool),)


def owner(workspace: Workspace, place: Place) -> str:
    """Return who owns a limited deployment; "" for what many share."""
    return workspace.owner(_subject(workspace, place)) if place.kind == "deployment" else ""


def change(workspace: Workspace, place: Place, limit: int) -> str:
    """Return the command that sets it."""
    match place.kind:
        case "work pool":
            return command("prefect", "work-pool", "set-concurrency-limit", place.pool, str(limit))
        case "work queue":
            queues = ("prefect", "work-queue", "set-concurrency-limit")
            return command(*queues, place.queue, str(limit), "--pool", place.pool)
        case _:
            name = f"deployment:{_deployment(workspace, place).id}"
            limits = ("prefect", "global-concurrency-limit", "update")
            return command(*limits, name, "--limit", str(limit))


def _subject(workspace: Workspace, place: Place) -> Subject:
    deployment = _deployment(workspace, place)
    return Subject(deployment.flow_id.bytes, deployment.id.bytes)


def _deployment(workspace: Workspace, place: Place) -> ToldDeployment:
    return workspace.catalog.deployments[place.deployment_id]
