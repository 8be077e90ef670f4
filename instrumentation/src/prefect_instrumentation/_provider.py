"""The tracer provider of this process: the user's, or else the SDK's with a bounded end."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from multiprocessing import util

from opentelemetry import trace

from prefect_instrumentation import __version__
from prefect_instrumentation._delivery import Delivery, Provider
from prefect_instrumentation._guard import guarded, logger, swallow
from prefect_instrumentation._settings import Settings, current


class _Process:
    """What this process has."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ready = False
        self.delivery: Delivery | None = None
        self.chosen: trace.TracerProvider | None = None
        self.tracer: trace.Tracer | None = None
        self.asked: Settings | None = None

    @guarded
    def renew(self) -> None:
        """Start anew in a forked child."""
        self.lock = threading.RLock()
        if self.delivery is not None:
            self.delivery.renew()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.renew)


def ensure_provider(settings: Settings | None = None) -> None:
    """Have a global tracer provider: the user's if there is one, else the SDK's.

    It imports the SDK and the exporters, so it is called when the first span is due. Later calls
    do nothing. It never raises.

    Args:
        settings: those of the environment by default.
    """
    if _process.ready:
        return
    with _process.lock:
        if _process.ready:
            return
        try:
            _provide(settings or current())
        except ValueError as error:
            logger.warning("No spans are recorded, since a setting is of no use: %s", error)
        except Exception as error:  # noqa: BLE001 - runs go on without spans
            swallow("ensure_provider", error)
        _process.ready = True


def use_provider(provider: trace.TracerProvider, settings: Settings) -> None:
    """Have `flush` mean this provider of the user's, and set up none of ours.

    Args:
        provider: whoever made it ends it: only `flush` is bounded.
        settings: say how long `flush` may take.
    """
    with _process.lock:
        _process.ready = True
        if provider is _process.chosen:
            return
        _process.chosen, _process.tracer = provider, None
        if isinstance(provider, Provider):
            _process.delivery = Delivery(provider, (), settings.exit_timeout)


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


def flush(seconds: float) -> bool:
    """Send what is held, since the process is about to be killed.

    Args:
        seconds: to wait at most; fewer if the process has been delayed before.

    Returns:
        Whether every span of this process has arrived; of a user's provider, what it says.
    """
    return _process.delivery is not None and _process.delivery.flush(seconds)


def flush_soon() -> None:
    """Send what is held soon, without making anybody wait."""
    if _process.delivery is not None:
        _process.delivery.flush_soon()


def _provide(settings: Settings) -> None:
    from prefect_instrumentation import _sdk  # noqa: PLC0415 - dear, and only now needed

    if _sdk.is_disabled(os.environ):
        return
    present = trace.get_tracer_provider()
    if not isinstance(present, trace.ProxyTracerProvider):
        use_provider(present, settings)
        return
    provider, pipelines = _sdk.build(settings, os.environ)
    trace.set_tracer_provider(provider)
    delivery = _process.delivery = Delivery(provider, pipelines, settings.exit_timeout)
    atexit.register(delivery.close)
    _finalize(delivery)
    util.register_after_fork(delivery, _finalize)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_sdk.renew, provider))


def _finalize(delivery: Delivery) -> None:
    # A child of multiprocessing ends without the functions of atexit, but not without finalizers.
    util.Finalize(None, delivery.close, exitpriority=0)
