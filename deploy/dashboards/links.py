"""Ways from one board to another; they keep the time range and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

TAG = "prefect"


class Link(TypedDict):
    """A link of a field, as Grafana has it in an override."""

    title: str
    url: str


def boards() -> build.DashboardLink:
    """Return the menu of all boards, at the top of each."""
    return (
        build.DashboardLink("Boards")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def panel_link(title: str, uid: str) -> build.DashboardLink:
    """Return a link from a panel's head to the board *uid*, with all that is chosen."""
    return (
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}")
    )


def to_board(title: str, uid: str, fields: Mapping[str, str] = MappingProxyType({})) -> Link:
    """Return a link from a row of a table to a board.

    Args:
        title: What the link says.
        uid: The board.
        fields: The variables that it sets, each from the column of that name.
    """
    chosen = {"target", "team"} - fields.keys()
    kept = [f"${{{name}:queryparam}}" for name in ("datasource", *sorted(chosen))]
    given = [
        f"var-{name}=${{__data.fields.{field}:percentencode}}" for name, field in fields.items()
    ]
    return Link(title=title, url=f"/d/{uid}?{'&'.join([*given, *kept, '${__url_time_range}'])}")


def to_flow() -> Link:
    """Return a link from a row with target, flow and deployment to the board of one flow."""
    names = ("target", "flow", "deployment")
    return to_board("One flow", "prefect-flow", {name: name for name in names})
