"""Flows, which deployments belong to."""

from __future__ import annotations

from backup.objects.resource import Resource, listed, posted

FLOWS = Resource(
    name="flows",
    read=listed("flows/filter", sort="NAME_ASC"),
    fields=("name", "tags", "labels"),
    key=("name",),
    create=posted("flows/"),
)
