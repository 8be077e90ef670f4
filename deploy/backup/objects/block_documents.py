"""Blocks, without their secrets: where one was, its path stands under ``secrets`` instead.

The server hides secrets when asked to, but not all of them: one that is an object it gives as it
is. So whatever lies at or below a field that the schema calls secret is left out here, and with it
whatever else the server has hidden.
"""

from __future__ import annotations

from collections.abc import Iterable

from backup.objects.api import Api, Row
from backup.objects.resource import Read, Resource, Rows, posted

_HIDDEN = "********"

Path = tuple[str, ...]


def _read(api: Api, _: Read) -> Rows:
    # The order by name alone is not whole: pages of equal names would overlap. Anonymous blocks,
    # which flows make for themselves, are not among what this route gives.
    return api.rows("block_documents/filter", sort="BLOCK_TYPE_AND_NAME_ASC", include_secrets=False)


def _without_secrets(row: Row, _: Read) -> Row:
    data, references = dict(row["data"]), row.get("block_document_references") or {}
    for name in references:
        data.pop(name, None)
    secrets = _take_out(data, _secret_paths(row))
    links = {name: {"$ref": {"block_document_id": _id(each)}} for name, each in references.items()}
    return row | {"data": data | links, "secrets": sorted(".".join(path) for path in secrets)}


def _secret_paths(row: Row) -> set[Path]:
    """Return the fields that the schema calls secret; ``a.*`` means all of ``a``."""
    fields = row["block_schema"]["fields"].get("secret_fields", [])
    return {tuple(field.partition("*")[0].strip(".").split(".")) for field in fields}


def _take_out(data: Row, secret: set[Path]) -> list[Path]:
    """Remove what is secret, or hidden, from *data* and return where it was."""
    out: list[Path] = []
    below: list[tuple[Path, Row]] = [((), data)]
    while below:
        path, node = below.pop()
        for name, value in list(node.items()):
            here = (*path, name)
            if value is not None and (here in secret or ("",) in secret or _hidden(value)):
                del node[name]
                out.append(here)
            elif isinstance(value, dict):
                below.append((here, value))
    return out


def _hidden(value: object) -> bool:
    return value == _HIDDEN or (isinstance(value, list) and _HIDDEN in value)


def _id(reference: Row) -> str:
    found: str = reference["block_document"]["id"]
    return found


def _links(row: Row) -> set[str]:
    values = row["data"].values()
    links = [each["$ref"] for each in values if isinstance(each, dict) and "$ref" in each]
    return {link["block_document_id"] for link in links if isinstance(link, dict)}


def _inner_first(rows: Rows) -> Rows:
    """Put each after those that it links to; what links in a circle comes last."""
    waiting, done = list(rows), []
    while waiting:
        ids = {row["id"] for row in waiting}
        free = [row for row in waiting if not _links(row) & ids] or waiting
        done += free
        waiting = [row for row in waiting if row not in free]
    return done


def _missing_secrets(kept: Row, live: Row) -> Iterable[str]:
    for path in kept["secrets"]:
        if path not in live["secrets"]:
            yield f"its secret {path} is in no backup of objects"


BLOCK_DOCUMENTS = Resource(
    name="block_documents",
    read=_read,
    fields=("block_type_id", "block_type_name", "name", "block_schema_id", "data", "secrets"),
    key=("block_type_name", "name"),
    create=posted("block_documents/"),
    tidy=_without_secrets,
    ordered=_inner_first,
    by_hand=_missing_secrets,
    ours=("secrets", "block_type_name"),
)
