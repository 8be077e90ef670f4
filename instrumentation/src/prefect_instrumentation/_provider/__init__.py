"""The providers of this process: the user's, or else the SDK's with one bounded end for all."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import uuid
from collections.abc import Callable
from multiprocessing import util
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import __version__
from prefect_instrumentation._guard import guarded, logger, swallow
from prefect_instrumentation._provider.delivery import Delivery, Provider, Way
from prefect_instrumentation._provider.signals import (
    METRICS,
    PUSHES,
    SPANS,
    Signal,
    is_disabled,
    is_new_enough,
    wants_metrics,
)
from prefect_instrumentation._settings import Settings, current

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

    from prefect_instrumentation._provider.log_emission import LogEmitter, Outlet


class _Process:
    """What this process has."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ready: frozenset[Signal] = frozenset()
        self.delivery: Delivery | None = None
        self.ends = False
        self.chosen: trace.TracerProvider | None = None
        self.tracer: trace.Tracer | None = None
        self.asked: Settings | None = None
        self.resource: Resource | None = None
        self.emitter: LogEmitter | None = None

    @guarded
    def renew(self) -> None:
        """Start anew in a forked child."""
        self.lock = threading.RLock()
        if self.delivery is not None:
            self.delivery.renew()
        if self.resource is not None:
            own: dict[str, AttributeValue] = {
                "process.pid": os.getpid(),
                "service.instance.id": str(uuid.uuid4()),
            }
            self.resource = self.resource.merge(type(self.resource)(own))

    def add(self, settings: Settings, *ways: Way) -> None:
        """Have telemetry leave by these ways too, until the process ends."""
        if self.delivery is None:
            self.delivery = Delivery(settings.exit_timeout)
        self.delivery.add(*ways)
        if not self.ends:
            self.ends = True
            atexit.register(self.close)
            _finalize(self)
            util.register_after_fork(self, _finalize)

    def close(self) -> None:
        """Send what is held, for the last time."""
        if self.delivery is not None:
            self.delivery.close()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.renew)


def ensure_provider(settings: Settings | None = None) -> None:
    """Have global providers of spans and of metrics: the user's if there are any, else the SDK's.

    It imports the SDK and the exporters, so it is called when the first span is due. Later calls
    do nothing. It never raises.

    Args:
        settings: those of the environment by default.
    """
    if len(_process.ready) == len(_PROVIDERS):
        return
    with _process.lock:
        for signal, provide in _PROVIDERS.items():
            if signal not in _process.ready:
                _have(signal, provide, settings or current())
                _process.ready |= {signal}


def use_provider(provider: trace.TracerProvider, settings: Settings) -> None:
    """Have `flush` mean this provider of the user's, and set up none of ours.

    Args:
        provider: whoever made it ends it: only `flush` is bounded.
        settings: say how long `flush` may take.
    """
    with _process.lock:
        _process.ready |= {SPANS}
        if provider is _process.chosen:
            return
        _process.chosen, _process.tracer = provider, None
        if isinstance(provider, Provider):
            delivery = _process.delivery = _process.delivery or Delivery(settings.exit_timeout)
            delivery.replace(Way(provider, is_ours=False), settings.exit_timeout)


def ask(settings: Settings) -> None:
    """Have a provider from the first span on, also of a traced function outside of any run."""
    _process.asked = _process.asked or settings


def tracer() -> trace.Tracer:
    """Return the tracer of this process' provider, which is ensured if somebody has asked for it.

    Mere decorators have not: tests of a traced function need no collector.
    """
    if _process.asked:
        ensure_provider(_process.asked)
    found = _process.tracer
    if found is None:
        found = _process.tracer = trace.get_tracer(
            "prefect_instrumentation", __version__, tracer_provider=_process.chosen
        )
    return found


def log_emitter(settings: Settings) -> LogEmitter:
    """Return what emits log records; their provider is set up when there is one."""
    from prefect_instrumentation._provider.log_emission import LogEmitter  # noqa: PLC0415 - an option

    with _process.lock:
        if _process.emitter is None:
            _process.emitter = LogEmitter(functools.partial(_provide_logs, settings))
            _process.add(settings, _process.emitter.way)
        return _process.emitter


def flush(seconds: float) -> bool:
    """Send what is held, since the process is about to be killed.

    Args:
        seconds: to wait at most; fewer if the process has been delayed before.

    Returns:
        Whether all of this process has arrived; of a user's provider, what it says.
    """
    return _process.delivery is not None and _process.delivery.flush(seconds)


def flush_soon() -> None:
    """Send what is held soon, without making anybody wait."""
    if _process.delivery is not None:
        _process.delivery.flush_soon()


def _have(signal: Signal, provide: Callable[[Settings], None], settings: Settings) -> None:
    try:
        if not is_disabled(os.environ):
            provide(settings)
    except ValueError as error:
        message = "No %s are recorded, since a setting is of no use: %s"
        logger.warning(message, signal.name, error)
    except Exception as error:  # noqa: BLE001 - runs go on without telemetry
        swallow("ensure_provider", error)


def _provide_traces(settings: Settings) -> None:
    present = trace.get_tracer_provider()
    if not isinstance(present, trace.ProxyTracerProvider):
        use_provider(present, settings)
        return
    from prefect_instrumentation._provider import sdk  # noqa: PLC0415 - dear, and only now needed

    provider, pipelines = sdk.build_traces(_resource(settings), os.environ)
    trace.set_tracer_provider(provider)
    _process.add(settings, Way(provider, pipelines))
    _follow(provider)


def _provide_metrics(settings: Settings) -> None:
    present = metrics.get_meter_provider()
    if isinstance(present, Provider):
        _process.add(settings, Way(present, signal=METRICS, is_ours=False))
        return
    if isinstance(present, metrics.NoOpMeterProvider) or not wants_metrics(settings, os.environ):
        return
    if not is_new_enough(METRICS):
        return
    from prefect_instrumentation._provider import sdk  # noqa: PLC0415 - as above

    pipelines = sdk.metric_pipelines(settings, os.environ)
    # By the readers, not by the provider: one that hangs keeps no other waiting.
    ways = [Way(each, (each,), METRICS) for each in pipelines]
    readers: list[MetricReader] = [*pipelines]
    if settings.pushgateway and (pushing := guarded(_push)(settings)):
        readers.append(pushing[0])
        ways.append(pushing[1])
    if not readers:
        return
    provider = sdk.build_metrics(_resource(settings), readers)
    metrics.set_meter_provider(provider)
    _process.add(settings, *ways)
    _follow(provider)


_PROVIDERS = {SPANS: _provide_traces, METRICS: _provide_metrics}


def _push(settings: Settings) -> tuple[MetricReader, Way] | None:
    try:
        from prefect_instrumentation._meters import pushgateway  # noqa: PLC0415 - an option

        reader, push = pushgateway.build(settings)
    except (ImportError, ValueError) as error:
        logger.warning("Metrics go to no Pushgateway: %s", error)
        return None
    return reader, Way(_Pushing(push), signal=PUSHES)


class _Pushing:
    """A Pushgateway as `Delivery` takes it."""

    def __init__(self, push: Callable[[], bool]) -> None:
        self.force_flush = push

    def shutdown(self) -> None:
        """Push for the last time; of what fails it tells itself."""
        self.force_flush()


def _provide_logs(settings: Settings) -> Outlet | None:
    from opentelemetry import _logs  # noqa: PLC0415 - an option

    from prefect_instrumentation._provider.log_emission import Outlet  # noqa: PLC0415 - as above

    present = _logs.get_logger_provider()
    scope = ("prefect_instrumentation", __version__)
    if isinstance(present, Provider):
        return Outlet(present.get_logger(*scope).emit, present, (), is_ours=False)
    with _process.lock:
        resource = _resource(settings)
    from prefect_instrumentation._provider import sdk  # noqa: PLC0415 - as above

    provider, pipelines = sdk.build_logs(resource, os.environ)
    if not pipelines:
        return None
    _follow(provider)
    return Outlet(provider.get_logger(*scope).emit, provider, pipelines, is_ours=True)


def _resource(settings: Settings) -> Resource:
    """Return what describes this process, the same for all that it sends."""
    if _process.resource is None:
        from prefect_instrumentation._provider.resource import resource  # noqa: PLC0415 - it is the SDK's

        _process.resource = resource(settings.environment, settings.service_name)
    return _process.resource


def _follow(provider: object) -> None:
    """Have a provider know in a forked child which process it is; after the SDK, which differs."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_describe, provider))


@guarded
def _describe(provider: object) -> None:
    if _process.resource is not None:
        from prefect_instrumentation._provider import sdk  # noqa: PLC0415 - imported long since

        sdk.describe(provider, _process.resource)


def _finalize(process: _Process) -> None:
    # A child of multiprocessing ends without the functions of atexit, but not without finalizers.
    util.Finalize(None, process.close, exitpriority=0)
