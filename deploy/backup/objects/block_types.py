"""Types of blocks: those that the blocks here are of."""

from __future__ import annotations

from backup.objects.resource import Read, Resource, Rows, listed, posted


def _used(rows: Rows, later: Read) -> Rows:
    used = {schema["block_type_id"] for schema in later["block_schemas"]}
    return [row for row in rows if row["id"] in used]


BLOCK_TYPES = Resource(
    name="block_types",
    read=listed("block_types/filter"),
    fields=("name", "slug", "logo_url", "documentation_url", "description", "code_example"),
    key=("slug",),
    create=posted("block_types/"),
    chosen=_used,
)
