"""Schemas of blocks: those that the blocks here follow, and those within these."""

from __future__ import annotations

from typing import Any

from backup.objects.api import Row
from backup.objects.resource import Read, Resource, Rows, listed, posted


def _used(rows: Rows, later: Read) -> Rows:
    by_checksum = {row["checksum"]: row for row in rows}
    by_id = {row["id"]: row for row in rows}
    wanted = [by_id[row["block_schema_id"]] for row in later["block_documents"]]
    used: dict[str, Row] = {}
    while wanted:
        row = wanted.pop()
        if row["id"] not in used:
            used[row["id"]] = row
            wanted += [by_checksum[each] for each in _within(row) if each in by_checksum]
    return list(used.values())


def _within(row: Row) -> list[str]:
    """Return the checksums of the schemas within one."""
    found: list[str] = []
    for each in _references(row).values():
        # A field that takes one of several has a list of them.
        several = each if isinstance(each, list) else [each]
        found += [reference["block_schema_checksum"] for reference in several]
    return found


def _references(row: Row) -> dict[str, Any]:
    references: dict[str, Any] = row["fields"].get("block_schema_references", {})
    return references


def _inner_first(rows: Rows) -> Rows:
    """Put each after those within it: a schema holds its inner ones whole, so it is longer."""
    return sorted(rows, key=lambda row: len(str(row["fields"])))


def _without_checksum(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "checksum"}


BLOCK_SCHEMAS = Resource(
    name="block_schemas",
    read=listed("block_schemas/filter"),
    fields=("block_type_id", "checksum", "fields", "capabilities", "version"),
    key=("checksum", "version"),
    create=lambda api, row: posted("block_schemas/")(api, _without_checksum(row)),
    chosen=_used,
    ordered=_inner_first,
)
