"""Variables."""

from __future__ import annotations

from backup.objects.resource import Resource, listed, posted

VARIABLES = Resource(
    name="variables",
    read=listed("variables/filter", sort="NAME_ASC"),
    fields=("name", "value", "tags"),
    key=("name",),
    create=posted("variables/"),
)
