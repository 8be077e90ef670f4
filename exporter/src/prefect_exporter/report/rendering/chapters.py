"""The sections of a report, each with its findings: the order of all formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_exporter.report.model import Finding, Report, Section


@dataclass(frozen=True, slots=True)
class Chapter:
    """One section with its findings, each with its number in the whole report, from 1."""

    section: Section
    findings: Sequence[tuple[int, Finding]]


def chapters(report: Report) -> Sequence[Chapter]:
    """Return the sections with their findings; what belongs to none of them comes last."""
    numbered = list(enumerate(report.findings, 1))
    known = {each.id for each in report.sections}
    found = [
        Chapter(section, [each for each in numbered if each[1].section == section.id])
        for section in report.sections
    ]
    rest = [each for each in numbered if each[1].section not in known]
    return [*found, Chapter(Section("more", "Other findings"), rest)] if rest else found
