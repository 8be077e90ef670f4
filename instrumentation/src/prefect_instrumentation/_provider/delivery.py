"""Telemetry on its way out: what is waited for, for how long, and what is told of that lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol, TypeAlias, runtime_checkable

from prefect_instrumentation._guard import logger
from prefect_instrumentation._provider.signals import SIGNALS, SPANS, Signal

_Job: TypeAlias = Callable[[], object]


@runtime_checkable
class Provider(Protocol):
    """What can be waited for of a provider, such as OpenTelemetry's SDK has it."""

    def force_flush(self) -> bool:
        """Send what is held."""

    def shutdown(self) -> None:
        """Send what is held, and nothing more after that."""


class Counted(Protocol):
    """What knows how many things have gone its way in this process."""

    @property
    def ended(self) -> int:
        """All of them."""

    @property
    def undelivered(self) -> int:
        """Those that have not arrived."""

    def renew(self) -> None:
        """Start anew in a forked child."""


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

    def send(self, job: _Job) -> Future[object]:
        """Have the job done; return what can be waited for."""
        done: Future[object] = Future()
        self._jobs.put((job, done))
        try:
            self.start()
        except RuntimeError as error:  # no thread can be had any more
            done.set_exception(error)
        return done

    def run(self, job: _Job, seconds: float) -> bool:
        """Have the job done; return whether that was so in time, and it returned no False."""
        return _is_done(self.send(job), seconds)

    def post(self, job: _Job) -> None:
        """Have the job done, unless others wait already."""
        if self._jobs.empty():
            self.send(job)

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


class Way:
    """One way out of this process, with a courier of its own: it waits for no other.

    Args:
        provider: of what leaves by it.
        counted: what counts it; none where the provider is the user's.
        signal: what leaves by it.
        is_ours: whether we end the provider; else whoever made it does.
    """

    def __init__(
        self,
        provider: Provider,
        counted: Sequence[Counted] = (),
        signal: Signal = SPANS,
        *,
        is_ours: bool = True,
    ) -> None:
        self.signal = signal
        self._provider = provider
        self._counted = counted
        self._is_ours = is_ours
        self._start()

    def renew(self) -> None:
        """Start anew in a forked child, which has none of its parent's threads."""
        for each in self._counted:
            each.renew()
        self._start()

    def prepare(self, job: _Job) -> None:
        """Have something done before all else that is asked for from now on."""
        self._courier.send(job)

    def flush(self) -> Future[object]:
        """Have what is held sent; return what can be waited for."""
        # The SDK's own timeout is of no effect, and it returns True even if nothing arrived:
        # https://github.com/open-telemetry/opentelemetry-python/issues/4568
        return self._courier.send(self._provider.force_flush)

    def flush_soon(self) -> None:
        """Have what is held sent, unless that is about to be done."""
        self._courier.post(self._provider.force_flush)

    def close(self) -> Future[object]:
        """Have what is held sent for the last time; return what can be waited for."""
        return self._courier.send(self._provider.shutdown if self._is_ours else _nothing)

    @property
    def undelivered(self) -> int:
        """How many have not arrived."""
        return max((each.undelivered for each in self._counted), default=0)

    @property
    def ended(self) -> int:
        """How many of them there were."""
        return max((each.ended for each in self._counted), default=0)

    def _start(self) -> None:
        self._courier = Courier()
        if self._counted:
            self._courier.start()


class Delivery:
    """The end of this process, as far as its telemetry delays it.

    Args:
        seconds: by which the process may be delayed in all.
        ways: by which telemetry leaves.
    """

    def __init__(self, seconds: float, ways: Iterable[Way] = ()) -> None:
        self._seconds = seconds
        self._ways = tuple(ways)
        self.closed = False
        self._reset()

    def renew(self) -> None:
        """Start anew, as a forked child has to."""
        for way in self._ways:
            way.renew()
        self._reset()

    def add(self, *ways: Way) -> None:
        """Have more ways."""
        self._ways = (*self._ways, *ways)

    def replace(self, way: Way, seconds: float) -> None:
        """Have this way in place of all others of its signal, and as many seconds again."""
        self._seconds = seconds
        self._budget = Budget(seconds)
        self._ways = (way, *(each for each in self._ways if each.signal is not way.signal))

    def flush(self, seconds: float) -> bool:
        """Send what is held, since the process is about to be killed.

        Returns:
            Whether everything has been delivered; of a user's provider, what it says of itself.
        """
        flushed = self._wait(Way.flush, seconds)
        self._tell()
        return flushed and not any(way.undelivered for way in self._ways)

    def flush_soon(self) -> None:
        """Send what is held soon, without making anybody wait."""
        for way in self._ways:
            way.flush_soon()

    def close(self) -> None:
        """Send what is held, for the last time, and tell of what is lost."""
        if self.closed:
            return
        self.closed = True
        self._wait(Way.close, self._seconds)
        self._tell()

    def _reset(self) -> None:
        self._budget = Budget(self._seconds)
        self.closed = False
        self._told = False

    def _wait(self, send: Callable[[Way], Future[object]], seconds: float) -> bool:
        with self._budget.spending(seconds) as available:
            deadline = time.monotonic() + available
            sent = [send(way) for way in self._ways]
            done = [_is_done(each, deadline - time.monotonic()) for each in sent]
        return bool(done) and all(done)

    def _tell(self) -> None:
        ways = [way for signal in SIGNALS for way in self._ways if way.signal is signal]
        lost = [way for way in ways if way.undelivered]
        if not lost or self._told:
            return
        self._told = True
        logger.warning(
            "%s were not delivered. Does a collector listen where"
            " OTEL_EXPORTER_OTLP_ENDPOINT says, and speak OTEL_EXPORTER_OTLP_PROTOCOL (port 4317 is"
            " mostly grpc, 4318 http/protobuf)? With %s nothing is sent",
            ", ".join(f"{way.undelivered} of {way.ended} {way.signal.counted}" for way in lost),
            ", ".join(f"{way.signal.exporter}=none" for way in lost),
        )


def _is_done(sent: Future[object], seconds: float) -> bool:
    try:
        return sent.result(max(0.0, seconds)) is not False
    except Exception:  # noqa: BLE001 - the job's own, or a timeout: it was not done
        return False


def _nothing() -> None:
    """Do nothing."""
