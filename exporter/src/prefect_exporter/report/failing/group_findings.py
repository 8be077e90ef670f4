"""What checks say of groups of failures: whose they are, since when, where to begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from prefect_exporter.failures.model import Group
from prefect_exporter.report.evidence import run_links
from prefect_exporter.report.failing.records import Record, Verdict, records
from prefect_exporter.report.model import Action, Effort, Evidence
from prefect_exporter.report.phrases import command
from prefect_exporter.report.remembered import remembered
from prefect_exporter.report.words import count, time
from prefect_exporter.report.workspace import Workspace

_LONGEST_NAME = 120


def by_subject(
    workspace: Workspace, groups: Sequence[Group]
) -> Iterator[tuple[str, Record, Sequence[Group]]]:
    """Return groups by the subject that they hit most, but not those of what is broken anyway."""
    known = _records(workspace)
    found: dict[str, list[Group]] = {}
    for each in groups:
        subject = next(iter(each.flows), "")
        if subject in known and known[subject].verdict is not Verdict.BROKEN:
            found.setdefault(subject, []).append(each)
    for subject, its in found.items():
        yield subject, known[subject], its


def name(group: Group, longest: int = _LONGEST_NAME) -> str:
    """Return what a group is called: its error and message, shortened."""
    signature = group.signature
    parts = [part for part in (signature.type, signature.pattern) if part]
    text = " ".join(": ".join(parts).split()) or signature.category
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def evidence(workspace: Workspace, group: Group, more: str, **numbers: float | str) -> Evidence:
    """Return the evidence that a group is: how many, since when, and *more*."""
    return Evidence(
        f"{count(group.count, 'failure')} of group {group.signature.id} ({name(group)}), from"
        f" {time(group.first_us)} to {time(group.last_us)}{more}.",
        {
            "group": group.signature.id,
            "category": group.signature.category,
            "failures": group.count,
            "first": time(group.first_us),
            "last": time(group.last_us),
            **numbers,
        },
        run_links(workspace, group.examples),
    )


def mend(group: Group) -> Action:
    """Return where to begin: a group is mended at its cause."""
    place = group.signature.places[-1:]
    logs = (
        command("prefect", "flow-run", "logs", str(UUID(bytes=group.examples[0])))
        if group.examples
        else ""
    )
    where = f"Mend {', '.join(place)}" if place else "Mend what it says"
    return Action(
        f"{logs}  # {where}" if logs else where,
        Effort.HOURS,
        "None beyond the change's own.",
        "Deploy the version before.",
    )


@remembered
def _records(workspace: Workspace) -> Mapping[str, Record]:
    return {workspace.name(each.subject): each for each in records(workspace, workspace.period)}
