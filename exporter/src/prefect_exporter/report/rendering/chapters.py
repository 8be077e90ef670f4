"""The sections of a report, each with its findings: the order of all formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from prefect_exporter.report.model import Finding, Report, Section

MOST_OF_A_CHECK = 25
"""So many findings of one check are told in full: nobody reads a thousand that say the same."""

Numbered: TypeAlias = tuple[int, Finding]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One section with its findings, each with its number in the whole report, from 1.

    Args:
        findings: All of them, the gravest first.
        told: Those to be told in full.
        beyond: The others, by check: there are too many of it.
    """

    section: Section
    findings: Sequence[Numbered]
    told: Sequence[Numbered]
    beyond: Mapping[str, Sequence[Numbered]]


def chapters(report: Report) -> Sequence[Chapter]:
    """Return the sections with their findings; what belongs to none of them comes last."""
    numbered = list(enumerate(report.findings, 1))
    known = {each.id for each in report.sections}
    found = [
        _chapter(section, [each for each in numbered if each[1].section == section.id])
        for section in report.sections
    ]
    rest = [each for each in numbered if each[1].section not in known]
    return [*found, _chapter(Section("more", "Other findings"), rest)] if rest else found


def _chapter(section: Section, findings: Sequence[Numbered]) -> Chapter:
    by_check: dict[str, list[Numbered]] = {}
    for each in findings:
        by_check.setdefault(each[1].check, []).append(each)
    told = [each for of_it in by_check.values() for each in of_it[:MOST_OF_A_CHECK]]
    beyond = {
        check: of_it[MOST_OF_A_CHECK:]
        for check, of_it in by_check.items()
        if of_it[MOST_OF_A_CHECK:]
    }
    return Chapter(section, findings, sorted(told, key=itemgetter(0)), beyond)
