"""Concurrency limits: global ones, and those of tags, which newer servers keep among them."""

from __future__ import annotations

from backup.objects.resource import Read, Resource, Rows, listed, posted

_OF_DEPLOYMENT = "deployment:"
_OF_TAG = "tag:"


def _own(rows: Rows, _: Read) -> Rows:
    """Leave out those that a deployment has, and is made anew with."""
    return [row for row in rows if not row["name"].startswith(_OF_DEPLOYMENT)]


def _only_here(rows: Rows, later: Read) -> Rows:
    """Leave out those that are among the global ones too."""
    there = {row["name"] for row in later["concurrency_limits"]}
    return [row for row in rows if f"{_OF_TAG}{row['tag']}" not in there]


TAG_LIMITS = Resource(
    name="tag_limits",
    read=listed("concurrency_limits/filter"),
    fields=("tag", "concurrency_limit"),
    key=("tag",),
    create=posted("concurrency_limits/"),
    chosen=_only_here,
    optional=True,
)

CONCURRENCY_LIMITS = Resource(
    name="concurrency_limits",
    read=listed("v2/concurrency_limits/filter"),
    fields=("name", "limit", "active", "slot_decay_per_second"),
    key=("name",),
    create=posted("v2/concurrency_limits/"),
    chosen=_own,
    optional=True,
)
