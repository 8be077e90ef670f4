"""What a listing showed of a deployment, as far as metrics tell it: frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prefect_exporter.labels import clip
from prefect_exporter.metrics import Labels
from prefect_exporter.tags import objectives, tag_value
from prefect_exporter.wire import Deployment, Timing


@dataclass(frozen=True, slots=True)
class Listed:
    """A deployment that has series of its own.

    Args:
        name: Flow and deployment.
        owners: The values of the tags that are shown, in the order of the setting.
        objectives: What its tags ask of it, in seconds or as a ratio, by name.
        refused: Those of its tags that ask for what cannot be.
        limit: How many of its runs may be under way at once; None where it has no limit.
        schedules: How many it has, those that are not active included.
        timings: Its active schedules.
        created: When it was made; None where Prefect does not tell.
    """

    id: UUID
    name: Labels
    work_pool: str
    work_queue: str
    owners: Labels
    objectives: Mapping[str, float]
    refused: tuple[str, ...]
    paused: bool
    status: str | None
    limit: int | None
    schedules: int
    timings: tuple[Timing, ...]
    created: datetime | None


def listed(
    row: Deployment, name: Labels, flow_tags: Sequence[str], tag_keys: Sequence[str]
) -> Listed:
    """Return what is shown of a deployment; where its own tags say nothing, its flow's do."""
    tags = [*row.tags, *flow_tags]
    wanted, bad = objectives(tags)
    limit = row.global_concurrency_limit
    return Listed(
        id=row.id,
        name=name,
        work_pool=clip(row.work_pool_name or ""),
        work_queue=clip(row.work_queue_name or ""),
        owners=tuple(tag_value(tags, key) for key in tag_keys),
        objectives=wanted,
        refused=tuple(map(clip, bad)),
        paused=row.paused,
        status=row.status,
        limit=None if limit is None else limit.limit,
        schedules=len(row.schedules),
        timings=tuple(each.schedule for each in row.schedules if each.active),
        created=row.created,
    )
