"""What defects are planted in: a workspace in memory (``worlds``), or a real server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

HOUR, DAY = 3600.0, 86_400.0


class World(Protocol):
    """Where things can be planted; times are seconds before ``now``."""

    now: datetime

    def flow(self, name: str, tags: Sequence[str] = ()) -> UUID:
        """Make a flow."""
        ...

    def deployment(  # noqa: PLR0913  # a test names the few it wants
        self,
        flow: UUID,
        name: str,
        *,
        tags: Sequence[str] = (),
        cron: str | None = None,
        pool: str | None = None,
        queue: str | None = None,
        paused: bool = False,
        limit: int | None = None,
        job_variables: Mapping[str, object] | None = None,
        schedule_active: bool = True,
        created_ago: float = 90 * DAY,
        updated_ago: float | None = None,
        **fields: Any,  # noqa: ANN401  # the API's own: entrypoint, version, parameters, schedules
    ) -> UUID:
        """Make a deployment; ``updated_ago`` is ``created_ago`` unless told."""
        ...

    def pool(
        self,
        name: str,
        *,
        limit: int | None = None,
        paused: bool = False,
        type: str = "process",  # noqa: A002  # Prefect's word
    ) -> None:
        """Make a work pool, with its queue ``default``."""
        ...

    def queue(
        self, pool: str, name: str, *, limit: int | None = None, paused: bool = False
    ) -> None:
        """Make a work queue."""
        ...

    def worker(self, pool: str, name: str, *, heard_ago: float = 0.0) -> None:
        """Make a worker that was heard so long ago."""
        ...

    def tag_limit(self, tag: str, limit: int) -> None:
        """Limit the task runs with a tag."""
        ...

    def global_limit(self, name: str, limit: int) -> None:
        """Make a global concurrency limit."""
        ...

    def automation(
        self,
        name: str,
        trigger: Mapping[str, object],
        actions: Sequence[Mapping[str, object]],
        *,
        enabled: bool = True,
        updated_ago: float = 90 * DAY,
    ) -> UUID:
        """Make an automation."""
        ...

    def run(  # noqa: PLR0913  # a test names the few it wants
        self,
        flow: UUID,
        deployment: UUID | None = None,
        *,
        ended_ago: float,
        seconds: float = 10.0,
        state: str = "Completed",
        message: str = "",
        wait: float = 1.0,
        attempts: int = 1,
        retries: int = 0,
        pool: str | None = None,
        queue: str | None = None,
        parent: UUID | None = None,
        tags: Sequence[str] = (),
        parameters: Mapping[str, object] | None = None,
        creator: tuple[str, str] | None = None,
    ) -> UUID:
        """Make a flow run.

        *ended_ago* is when it came into its state: when a run under way began, a late one was due.
        *parent* is the flow run that started it: a placeholder among its task runs is made.
        *creator* is a type and an id; ``DEPLOYMENT`` where it has a deployment, unless told.
        """
        ...

    def task(  # noqa: PLR0913  # a test names the few it wants
        self,
        run: UUID,
        name: str,
        *,
        seconds: float = 1.0,
        state: str = "Completed",
        after: float = 0.0,
        attempts: int = 1,
        retries: int = 0,
        tags: Sequence[str] = (),
        cache_key: str | None = None,
    ) -> UUID:
        """Make a task run that began so long *after* its flow run."""
        ...

    def log(
        self,
        run: UUID,
        message: str,
        *,
        level: int = 40,
        task: UUID | None = None,
        ago: float = 0.0,
    ) -> None:
        """Write a log line."""
        ...
