"""The flows and deployments that the seeded runs belong to."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

Row = dict[str, object]
"""One row of a table of Prefect's, by column."""

Tables = Mapping[str, Sequence[Row]]
"""Rows by table, in the order in which they may be written."""

POOL = "bench-pool"
QUEUE = "default"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment and its flow."""

    id: UUID
    name: str
    flow_id: UUID
    flow: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """One work pool with one queue, and the deployments that it runs."""

    pool_id: UUID
    queue_id: UUID
    deployments: Sequence[Deployment]

    def tables(self, born: datetime) -> Tables:
        """Return everything as rows that were created at *born*."""
        stamps: Row = {"created": born, "updated": born}
        pool = {"id": self.pool_id, "name": POOL, "type": "process", "status": "READY"}
        queue = {"id": self.queue_id, "name": QUEUE, "work_pool_id": self.pool_id}
        flows = {each.flow_id: each.flow for each in self.deployments}
        return {
            "work_pool": [pool | stamps],
            "work_queue": [queue | stamps | {"priority": 1, "status": "READY"}],
            "flow": [{"id": key, "name": name, **stamps} for key, name in flows.items()],
            "deployment": [self._deployment(each) | stamps for each in self.deployments],
        }

    def _deployment(self, deployment: Deployment) -> Row:
        return {
            "id": deployment.id,
            "name": deployment.name,
            "flow_id": deployment.flow_id,
            "tags": '["team:payments", "tier:1"]',
            "entrypoint": "flows.py:main",
            "path": ".",
            "work_queue_name": QUEUE,
            "work_queue_id": self.queue_id,
            "status": "READY",
        }


def make_catalog(*, flows: int, deployments: int, seed: int) -> Catalog:
    """Return *deployments* spread evenly over *flows*; the same *seed* gives the same ids."""
    source = random.Random(seed)
    named = [(new_id(source), f"flow-{number:03d}") for number in range(flows)]
    rows = [
        Deployment(new_id(source), f"deployment-{number:03d}", *named[number % flows])
        for number in range(deployments)
    ]
    return Catalog(new_id(source), new_id(source), rows)


def new_id(source: random.Random) -> UUID:
    """Return a random id that the source's seed decides."""
    return uuid.UUID(int=source.getrandbits(128), version=4)
