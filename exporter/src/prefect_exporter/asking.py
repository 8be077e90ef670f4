"""What the commands that ask one Prefect have in common: which one, and a client for it."""

from __future__ import annotations

from collections.abc import Callable

from prefect_exporter.client import Exchange, PrefectClient
from prefect_exporter.environment import BadSettings, load_settings
from prefect_exporter.settings import Settings
from prefect_exporter.targets import load_targets


def one_target(name: str | None) -> Settings:
    """Return the settings of the target that ``--target`` names, or of the only one there is.

    Raises:
        BadSettings: There is no such target, or several and no name.
    """
    targets = {each.name: each.settings for each in load_targets(load_settings()).targets}
    if name is None and len(targets) == 1:
        return next(iter(targets.values()))
    names = ", ".join(targets)
    if name is None:
        raise BadSettings((f"--target is missing; give one of: {names}",))
    if name not in targets:
        raise BadSettings((f"--target {name!r} is not known; give one of: {names}",))
    return targets[name]


def client_of(
    settings: Settings, observe: Callable[[Exchange], None] = lambda _exchange: None
) -> PrefectClient:
    """Return a client for the settings' Prefect; *observe* is called at the end of each exchange.

    Raises:
        BadSettings: The connection cannot be set up.
    """
    try:
        return PrefectClient(settings.connection(), observe=observe)
    except (OSError, ValueError) as error:
        problem = f"the connection to Prefect cannot be set up: {error}"
        raise BadSettings((problem,)) from None
