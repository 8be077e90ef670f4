"""Findings become a plan: equal changes once, the worthiest first."""

from __future__ import annotations

from typing import Any

from prefect_exporter.report.model import Action, Effort, Evidence, Finding, Severity
from prefect_exporter.report.recommendations import recommendations


def finding(change: str, **fields: Any) -> Finding:  # noqa: ANN401  # the finding's own
    """Return a finding that *change* mends."""
    given: dict[str, Any] = {
        "check": "flow-flaky",
        "section": "failures",
        "severity": Severity.MEDIUM,
        "subject": "etl",
        "title": "etl is flaky",
        "detail": "It comes and goes.",
        "evidence": (Evidence("5 of 10", {"failed": 5}),),
        "action": Action(change, fields.pop("effort", Effort.MINUTES), "None.", "Undo it."),
    }
    return Finding(**(given | fields))


def _order(*findings: Finding) -> list[str]:
    return [each.action.change for each in recommendations(findings)]


def test_worthiest_is_first() -> None:
    """Hours and failures count together, a failure as half an hour."""
    assert ["three failures", "one hour", "one failure", "unknown"] == _order(
        finding("unknown"),
        finding("one failure", failures=1.0),
        finding("three failures", failures=3.0),
        finding("one hour", hours=1.0),
    )


def test_severe_and_unknown_comes_before_all() -> None:
    """Work that never starts saves no hours that anybody could count."""
    assert ["worker", "much", "low"] == _order(
        finding("low", severity=Severity.LOW),
        finding("much", hours=100.0),
        finding("worker", severity=Severity.HIGH),
    )


def test_of_equal_worth_the_more_severe_then_the_quicker_is_first() -> None:
    """And the order is always the same."""
    found = [
        finding("days", hours=1.0, effort=Effort.DAYS),
        finding("minutes", hours=1.0),
        finding("severe", hours=1.0, severity=Severity.HIGH, effort=Effort.DAYS),
    ]

    assert ["severe", "minutes", "days"] == _order(*found) == _order(*reversed(found))


def test_equal_changes_are_one() -> None:
    """With all that they mend; the most severe finding speaks for them."""
    (merged,) = recommendations(
        [
            finding("retries", subject="a", hours=1.0, owner="ada"),
            finding("retries", subject="b", hours=2.0, failures=4.0, owner="ada"),
            finding("retries", subject="c", severity=Severity.HIGH, title="c is broken"),
        ]
    )

    assert ["c", "a", "b"] == list(merged.subjects)
    assert ["ada"] == list(merged.owners)
    assert (3.0, 4.0, Severity.HIGH) == (merged.hours, merged.failures, merged.severity)
    assert merged.findings[0].title == "c is broken"


def test_hours_of_one_subject_count_once() -> None:
    """Two checks that see the same failures do not save them twice."""
    (merged,) = recommendations(
        [
            finding("retries", failures=5.0),
            finding("retries", check="retries-missing", failures=3.0),
        ]
    )

    assert merged.failures == 5.0


def test_no_findings_are_no_plan() -> None:
    """Nothing to do."""
    assert recommendations([]) == []
