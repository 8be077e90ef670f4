"""Spans on their way out: what is waited for, for how long, and what is told of those lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from prefect_instrumentation._guard import logger

if TYPE_CHECKING:
    from prefect_instrumentation._pipeline import Pipeline

_Job: TypeAlias = Callable[[], object]


@runtime_checkable
class Provider(Protocol):
    """What can be waited for of a tracer provider, such as OpenTelemetry's SDK has it."""

    def force_flush(self) -> bool:
        """Send what is held."""

    def shutdown(self) -> None:
        """Send what is held, and nothing more after that."""


class Courier:
    """A daemon thread for what may block, so that whoever asks can stop waiting.

    Start it beforehand if it is to work at a process' end: since Python 3.12 none can be started
    then. Else it starts with its first job.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[_Job, Future[object]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Have the thread."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="PrefectInstrumentationCourier", daemon=True
            )
            self._thread.start()

    def run(self, job: _Job, seconds: float) -> bool:
        """Have the job done; return whether that was so in time, and it returned no False."""
        done: Future[object] = Future()
        self._jobs.put((job, done))
        try:
            self.start()
            return done.result(seconds) is not False
        except Exception:  # noqa: BLE001 - the job's own, or a timeout: it was not done
            return False

    def post(self, job: _Job) -> None:
        """Have the job done, unless others wait already."""
        if self._jobs.empty():
            self._jobs.put((job, Future()))
            self.start()

    def _work(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except Exception as error:  # noqa: BLE001 - whoever asked hears of it
                done.set_exception(error)


class Budget:
    """Seconds by which the end of a process may be delayed, over all who delay it.

    A process that lives on for a minute was not at its end, and has its whole budget again.
    """

    RENEWED_AFTER = 60.0

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._left = seconds
        self._last = clock()

    @contextmanager
    def spending(self, most: float) -> Iterator[float]:
        """Give the seconds that may be spent now, at most *most*; book those that were spent."""
        start = self._clock()
        if start - self._last >= self.RENEWED_AFTER:
            self._left = self._seconds
        try:
            yield max(0.0, min(most, self._left))
        finally:
            self._last = self._clock()
            self._left -= self._last - start


class Delivery:
    """The end of this process, as far as its spans delay it.

    Args:
        provider: of the spans.
        pipelines: that they take; none where the provider is the user's, and nothing is counted.
        seconds: by which the process may be delayed in all.
    """

    def __init__(self, provider: Provider, pipelines: Sequence[Pipeline], seconds: float) -> None:
        self._provider = provider
        self._pipelines = pipelines
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Start anew, as a forked child has to, which has none of its parent's threads."""
        for pipeline in self._pipelines:
            pipeline.renew()
        self._courier = Courier()
        if self._pipelines:
            self._courier.start()
        self._budget = Budget(self._seconds)
        self._closed = False
        self._told = False

    def flush(self, seconds: float) -> bool:
        """Send what is held, since the process is about to be killed.

        Returns:
            Whether every span has been delivered; of a user's provider, what it says of itself.
        """
        with self._budget.spending(seconds) as available:
            # The SDK's own timeout is of no effect, and it returns True even if nothing arrived:
            # https://github.com/open-telemetry/opentelemetry-python/issues/4568
            flushed = self._courier.run(self._provider.force_flush, available)
        self._tell()
        return flushed and not self._undelivered()

    def flush_soon(self) -> None:
        """Send what is held soon, without making anybody wait."""
        self._courier.post(self._provider.force_flush)

    def close(self) -> None:
        """Send what is held, for the last time, and tell of what is lost."""
        if self._closed:
            return
        self._closed = True
        with self._budget.spending(self._seconds) as available:
            self._courier.run(self._provider.shutdown, available)
        self._tell()

    def _undelivered(self) -> int:
        return max((pipeline.undelivered for pipeline in self._pipelines), default=0)

    def _tell(self) -> None:
        undelivered = self._undelivered()
        if not undelivered or self._told:
            return
        self._told = True
        logger.warning(
            "%d of %d spans were not delivered. Does a collector listen where"
            " OTEL_EXPORTER_OTLP_ENDPOINT says, and speak OTEL_EXPORTER_OTLP_PROTOCOL (port 4317 is"
            " mostly grpc, 4318 http/protobuf)? With OTEL_TRACES_EXPORTER=none nothing is sent",
            undelivered,
            max(pipeline.ended for pipeline in self._pipelines),
        )
