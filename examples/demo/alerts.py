"""Which alerts have begun to fire."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from demo.prometheus import Alert

_Name = frozenset[tuple[str, str]]


class NewAlerts:
    """Remembers what fires, so that each alert is told once each time it begins.

    The dead man's switch, which always fires, is not told.

    Args:
        firing: Asks what fires now.
    """

    def __init__(self, firing: Callable[[], Sequence[Alert]]) -> None:
        self._firing = firing
        self._told: frozenset[_Name] = frozenset()

    def since_last(self) -> list[Alert]:
        """Return what fires and did not at the last call; nothing where nobody answers."""
        try:
            firing = {frozenset(alert.labels.items()): alert for alert in self._firing()}
        except httpx.HTTPError:
            return []
        new = [alert for name, alert in firing.items() if name not in self._told]
        self._told = frozenset(firing)
        return [alert for alert in new if alert.labels.get("severity") != "none"]
