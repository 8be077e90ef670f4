"""What there is to see: one chapter of the report a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from prefect_exporter.report.model import Finding, Section
from prefect_exporter.report.sections import (
    dependencies,
    environment,
    failures,
    integrations,
    performance,
    plan,
    resources,
    risks,
    summary,
)
from prefect_exporter.report.usage import Usage
from prefect_exporter.report.workspace import Workspace


def sections(
    workspace: Workspace, findings: Sequence[Finding], usage: Usage | None
) -> Sequence[tuple[str, Callable[[], Section]]]:
    """Return what makes each section, by its id, in the order of the report."""
    return (
        ("summary", partial(summary.section, workspace, findings)),
        ("dependencies", partial(dependencies.section, workspace)),
        ("environment", partial(environment.section, workspace)),
        ("performance", partial(performance.section, workspace)),
        ("failures", partial(failures.section, workspace)),
        ("risks", partial(risks.section, workspace)),
        ("integrations", partial(integrations.section, workspace)),
        ("resources", partial(resources.section, workspace, usage)),
        ("plan", partial(plan.section, workspace, findings)),
    )
