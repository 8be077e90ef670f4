"""Automations."""

from __future__ import annotations

from backup.objects.api import Api, Row
from backup.objects.resource import Read, Resource, Rows, posted

# Prefect keeps these as sets, and gives them in another order each time.
_SETS = ("expect", "after", "for_each")


def _read(api: Api, _: Read) -> Rows:
    # Several may have one name.
    return api.rows("automations/filter", sort="CREATED_DESC")


def _tidy(row: Row, _: Read) -> Row:
    return row | {"trigger": _trigger(row["trigger"])}


def _trigger(trigger: Row) -> Row:
    """Return a trigger without the ids that each server gives, its inner ones too."""
    kept = {name: value for name, value in trigger.items() if name != "id"}
    for name in _SETS:
        if name in kept:
            kept[name] = sorted(kept[name])
    if "triggers" in kept:
        kept["triggers"] = [_trigger(inner) for inner in kept["triggers"]]
    return kept


AUTOMATIONS = Resource(
    name="automations",
    read=_read,
    fields=(
        "name",
        "description",
        "enabled",
        "tags",
        "trigger",
        "actions",
        "actions_on_trigger",
        "actions_on_resolve",
    ),
    key=("name",),
    create=posted("automations/"),
    tidy=_tidy,
    optional=True,
    named_uniquely=False,
    names_others=True,
)
