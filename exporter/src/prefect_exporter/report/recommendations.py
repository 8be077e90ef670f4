"""Findings as a plan: what to do first, by what it saves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prefect_exporter.report.model import Action, Effort, Finding, Severity

HOURS_OF_A_FAILURE = 0.5
"""What a failed run costs whoever has to look at it: to weigh failures against hours of running."""

_SHARED = ("work pool ", "work queue ", "concurrency limit ", "integration ", "the workspace")
"""How the subjects begin of findings that are about what many flows share."""

_SEVERITIES = tuple(Severity)
_EFFORTS = tuple(Effort)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One change, and all findings that it mends.

    Args:
        findings: The most severe first.
    """

    action: Action
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """Of the most severe finding."""
        return self.findings[0].severity

    @property
    def subjects(self) -> Sequence[str]:
        """What it is about, each once."""
        return list(dict.fromkeys(each.subject for each in self.findings))

    @property
    def owners(self) -> Sequence[str]:
        """Whose they are, each once."""
        return list(dict.fromkeys(each.owner for each in self.findings if each.owner))

    @property
    def hours(self) -> float | None:
        """Saved a week; None where no finding knows.

        Several findings of one subject tell of the same hours: the largest of them counts.
        """
        return _saved((each.subject, each.hours) for each in self.findings)

    @property
    def failures(self) -> float | None:
        """Failed runs saved a week, likewise."""
        return _saved((each.subject, each.failures) for each in self.findings)

    @property
    def worth(self) -> float | None:
        """Hours saved a week, failures weighed in; None where nothing is known."""
        if self.hours is None and self.failures is None:
            return None
        return (self.hours or 0.0) + HOURS_OF_A_FAILURE * (self.failures or 0.0)


def recommendations(findings: Iterable[Finding]) -> Sequence[Recommendation]:
    """Return the changes that mend *findings*, each once, the worthiest first.

    What is severe and cannot be counted, such as work that never starts, comes before all else.
    """
    by_change: dict[str, list[Finding]] = {}
    for each in findings:
        by_change.setdefault(each.action.change, []).append(each)
    found = [_recommendation(of_it) for of_it in by_change.values()]
    return sorted(found, key=_rank)


def first(findings: Iterable[Finding], most: int = 3) -> Sequence[Recommendation]:
    """Return the changes to begin with: those of the most severe findings, the worthiest first.

    Of a severe finding what it saves is often unknown: work that never starts saves no hours.
    """
    return sorted(recommendations(findings), key=lambda each: _place(each.severity))[:most]


def saved_hours(findings: Iterable[Finding]) -> float:
    """Return the hours a week that all changes together save, each counted once as well as can be.

    Those of one subject are the same hours, and so are those of a pool, a queue or a limit and of
    what runs in it: the larger of both sums counts.
    """
    return _together((each, each.hours) for each in findings)


def saved_failures(findings: Iterable[Finding]) -> float:
    """Return the failed runs a week that all changes together save, likewise."""
    return _together((each, each.failures) for each in findings)


def _together(known: Iterable[tuple[Finding, float | None]]) -> float:
    own: list[tuple[str, float | None]] = []
    shared: list[tuple[str, float | None]] = []
    for finding, value in known:
        (shared if finding.subject.startswith(_SHARED) else own).append((finding.subject, value))
    return max(_saved(own) or 0.0, _saved(shared) or 0.0)


def _recommendation(findings: Sequence[Finding]) -> Recommendation:
    ordered = sorted(findings, key=lambda each: (_place(each.severity), each.check, each.subject))
    return Recommendation(ordered[0].action, tuple(ordered))


def _rank(each: Recommendation) -> tuple[bool, float, int, int, str]:
    stops_work = each.worth is None and each.severity is Severity.HIGH
    return (
        not stops_work,
        -(each.worth or 0.0),
        _place(each.severity),
        _EFFORTS.index(each.action.effort),
        each.action.change,
    )


def _place(severity: Severity) -> int:
    return _SEVERITIES.index(severity)


def _saved(known: Iterable[tuple[str, float | None]]) -> float | None:
    largest: dict[str, float] = {}
    for subject, value in known:
        if value is not None:
            largest[subject] = max(value, largest.get(subject, 0.0))
    return sum(largest.values()) if largest else None
