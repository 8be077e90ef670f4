"""What the collectors of one target last learnt, and how far it still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect_exporter.health.model import Known, Rate, least_known
from prefect_exporter.metrics import Labels
from prefect_exporter.moments import SECOND, micros
from prefect_exporter.status import CollectorStatus
from prefect_exporter.ui_links import UiLinks


@dataclass(frozen=True, slots=True)
class Reading:
    """One collector: its last good *state*, None before the first, and how its polls go."""

    state: Any
    status: CollectorStatus


@dataclass(frozen=True, slots=True)
class Readings:
    """One target.

    Args:
        now_us: Microseconds since 1970.
        collectors: By the collector's name; one that is switched off is not there.
        latency_seconds: How long Prefect took to answer lately; None where it did not.
    """

    name: str
    url: str
    links: UiLinks
    now_us: int
    collectors: Mapping[str, Reading]
    latency_seconds: float | None = None
    rate: Rate = field(default_factory=Rate)

    def known(self, *names: str) -> Known:
        """Return how far what these collectors learn is known, all of them together."""
        return least_known(self._known(name) for name in names)

    def _known(self, name: str) -> Known:
        match self.collectors.get(name):
            case None:
                return Known.OFF
            case Reading(status=status) if not status.supported:
                return Known.UNSUPPORTED
            case Reading(state=None):
                return Known.WAITING
            case Reading(status=status) if not status.fresh:
                return Known.STALE
        return Known.YES

    def state(self, name: str) -> Any:  # noqa: ANN401 - each collector has a state of its own kind
        """Return the collector's last good state while it holds; else None."""
        return self.collectors[name].state if self._known(name) is Known.YES else None

    @property
    def version(self) -> str | None:
        """The server's version as it last told, also where it is silent now."""
        reading = self.collectors.get("server")
        return reading.state.version if reading and reading.state else None

    def age(self, name: str) -> float:
        """Return how many seconds ago the collector last learnt something; 0 where it never did."""
        reading = self.collectors.get(name)
        if reading is None or reading.status.last_success is None:
            return 0.0
        return self.ago(micros(reading.status.last_success))

    def ago(self, at_us: float) -> float:
        """Return how many seconds ago that was; a time to come is now."""
        return max(0.0, (self.now_us - at_us) / SECOND)

    def deployment_urls(self) -> Mapping[Labels, str]:
        """Return the page of each deployment by flow and deployment, as far as they are listed."""
        state = self.state("deployments")
        if state is None:
            return {}
        return {each.name: self.links.deployment(each.id) for each in state.listed}

    def run_url(self, run_id: bytes) -> str:
        """Return the page of a flow run."""
        return self.links.flow_run(UUID(bytes=run_id))
