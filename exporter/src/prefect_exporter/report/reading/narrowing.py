"""The questions that together find the runs a report is narrowed to. Pure but for the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from prefect_exporter.report.catalog import load
from prefect_exporter.report.question import Question
from prefect_exporter.report.store import Store

Cut: TypeAlias = Mapping[str, Mapping[str, object]]
"""A part of a request's body: conditions by what they are about, such as ``flows``."""


def cuts(question: Question, store: Store) -> Sequence[Cut]:
    """Return the questions whose answers together are all runs that are wanted.

    A tag may stand on a run, its deployment or its flow, and Prefect joins conditions by "and"
    alone: so there is one question for each place.
    """
    named: Cut = {"flows": {"name": {"any_": question.flows}}} if question.flows else {}
    if not question.tags:
        return [named]
    tags = {"tags": {"any_": question.tags}}
    found = [{**named, "flow_runs": tags}, {**named, "deployments": tags}]
    # Prefect finds flows by all of several tags, never by any of them.
    wanted = set(question.tags)
    tagged = [each.id for each in load(store).flows.values() if wanted & set(each.tags)]
    if tagged:
        about_flows = {**named.get("flows", {}), "id": {"any_": tagged}}
        found.append({**named, "flows": about_flows})
    return found


def narrowed(cut: Cut, what: str, conditions: Mapping[str, object]) -> dict[str, object]:
    """Return a request's body: the cut, and more conditions about *what*."""
    return {**cut, what: {**cut.get(what, {}), **conditions}}
