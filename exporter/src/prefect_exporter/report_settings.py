"""Whether reports can be made, as far as it is known without what they are made of."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = ("apprise", "networkx", "pygal")


def report_problem(wanted_by: str) -> str | None:
    """Return why the setting *wanted_by* cannot be had, in one line; None where it can."""
    if all(map(find_spec, _NEEDED)):
        return None
    return (
        f"{wanted_by} needs what reports are made of, which is not installed; "
        "install prefect-exporter[report], or leave it out"
    )
