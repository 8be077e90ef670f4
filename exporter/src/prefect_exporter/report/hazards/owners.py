"""Which deployments nobody is named for, where most others name somebody. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prefect_exporter.report.scope import deployments
from prefect_exporter.report.workspace import Subject, Workspace

MOST_WITHOUT = 0.5
"""Of the workspace's deployments, or of their pool's: where more have no owner, it is no custom."""


def without_owner(workspace: Workspace) -> Sequence[Subject]:
    """Return the deployments in use that have no owner though at least half of their kind have."""
    used = [
        (subject, each.work_pool_name or "")
        for subject, each in deployments(workspace)
        if subject in workspace.stats or any(s.active for s in each.schedules)
    ]
    missing = [(subject, pool) for subject, pool in used if not workspace.owner(subject)]
    if len(missing) <= MOST_WITHOUT * len(used):
        return [subject for subject, _ in missing]
    of_pool = Counter(pool for _, pool in used)
    missing_of_pool = Counter(pool for _, pool in missing)
    return [
        subject
        for subject, pool in missing
        if missing_of_pool[pool] <= MOST_WITHOUT * of_pool[pool]
    ]
