"""Work pools with their base job templates."""

from __future__ import annotations

from backup.objects.resource import Resource, listed, posted

WORK_POOLS = Resource(
    name="work_pools",
    read=listed("work_pools/filter"),
    fields=(
        "name",
        "description",
        "type",
        "base_job_template",
        "is_paused",
        "concurrency_limit",
        "storage_configuration",
    ),
    key=("name",),
    create=posted("work_pools/"),
    names_others=True,
)
