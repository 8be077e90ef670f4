"""Where Prefect's engines are changed so that an observer hears of every run.

Each of Prefect's four engines owns a `RunTelemetry`, which it tells of the run's start, states and
errors, but not of every end. So `initialize_run`, which spans an engine's whole work, is wrapped:
on the way in the engine gets a `RunTelemetry` of ours, and on the way out the run has ended,
whatever happened. A seam that a version of Prefect lacks stays native, with one warning.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from types import ModuleType
from typing import Any

import wrapt

from prefect_instrumentation._driven import adriven, driven
from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._prefect import quiet_clients, reading
from prefect_instrumentation._prefect.ending import say_last_words
from prefect_instrumentation._prefect.labelling import Labelling
from prefect_instrumentation._runs import Observer, Run, RunObserver

ENGINES = {
    "prefect.flow_engine": ("FlowRunEngine", "AsyncFlowRunEngine"),
    "prefect.task_engine": ("SyncTaskRunEngine", "AsyncTaskRunEngine"),
}
GENERATORS = {
    "prefect.flow_engine": ("run_generator_flow_sync", "run_generator_flow_async"),
    "prefect.task_engine": ("run_generator_task_sync", "run_generator_task_async"),
}
CLIENTS = {"prefect.client.orchestration": ("PrefectClient", "SyncPrefectClient")}

_labelling = Labelling()
_observer: Observer | None = None
_undo: list[Callable[[], None]] = []
_hooked: set[str] = set()
_step: ContextVar[_Steps | None] = ContextVar("prefect_instrumentation_step", default=None)


def instrument(observer: Observer) -> None:
    """Make the observer hear of every run; the first one stays until `uninstrument`.

    Modules of Prefect that are not imported yet are changed when they are.
    """
    global _observer  # noqa: PLW0603 - one process has one Prefect
    if _observer is not None:
        return
    _observer = observer
    for name in (*ENGINES, *CLIENTS, *quiet_clients.MODULES):
        if name in _hooked and name in sys.modules:
            patch(sys.modules[name])
        elif name not in _hooked:
            _hooked.add(name)
            wrapt.register_post_import_hook(patch, name)


def uninstrument() -> None:
    """Give Prefect its own telemetry back; runs under way keep ours to their end."""
    global _observer  # noqa: PLW0603 - as above
    _observer = None
    while _undo:
        _undo.pop()()


@guarded
def patch(module: ModuleType) -> None:
    """Change one module of Prefect's, as far as it has the seams; see `missing`."""
    if _observer is None:
        return
    if absent := missing(module):
        once(
            module.__name__,
            "%s of this Prefect lacks %s: its native spans stay. Is there a newer release of"
            " prefect-instrumentation?",
            module.__name__,
            ", ".join(absent),
        )
        return
    for name in ENGINES.get(module.__name__, ()):
        engine = getattr(module, name)
        wrap = _observed_async if name.startswith("Async") else _observed
        _replace(engine, "initialize_run", wrap(engine.initialize_run))
    for name in GENERATORS.get(module.__name__, ()):
        drive = adriven if name.endswith("_async") else driven
        _replace(module, name, drive(getattr(module, name), _Steps))
    if module.__name__ in quiet_clients.MODULES:
        for owner, name in quiet_clients.noisy(module):
            _replace(owner, name, quiet_clients.hushed(getattr(owner, name)))
    for name in CLIENTS.get(module.__name__, ()):
        client = getattr(module, name)
        create = "create_flow_run_from_deployment"
        _replace(client, create, _labelled(getattr(client, create)))


def missing(module: ModuleType) -> list[str]:
    """Return the names of the seams that a module lacks; a contract test asks every version."""
    absent = []
    for name in ENGINES.get(module.__name__, ()):
        engine = getattr(module, name, None)
        absent += [
            f"{name}.{seam}"
            for seam, there in (
                ("initialize_run", hasattr(engine, "initialize_run")),
                ("_telemetry", "_telemetry" in getattr(engine, "__dataclass_fields__", ())),
            )
            if not there
        ]
    for name in CLIENTS.get(module.__name__, ()):
        if not hasattr(getattr(module, name, None), "create_flow_run_from_deployment"):
            absent.append(f"{name}.create_flow_run_from_deployment")
    return absent + [
        name for name in GENERATORS.get(module.__name__, ()) if not hasattr(module, name)
    ]


class EngineTelemetry:
    """Stands in for an engine's `prefect.telemetry.run_telemetry.RunTelemetry`."""

    span = None
    """The engine would make it current, and mark it failed on a pause; we make ours current."""

    def __init__(self, engine: Any, observer: Observer) -> None:  # noqa: ANN401 - four classes
        self._engine = engine
        self._observer = observer
        self._run: Run | None = None
        self._watch: RunObserver | None = None
        self._error: BaseException | None = None
        self._current = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Answer what a newer engine may call, so that the run goes on."""
        if name.startswith("__"):
            raise AttributeError(name)
        once("seam", "This Prefect calls RunTelemetry.%s, which is not known here.", name)
        return lambda *_, **__: None

    def start_span(self, run: Any, client: Any, parameters: Any = None) -> None:  # noqa: ANN401
        """Begin; the labels of a flow run go to the server, those of a task run with its events."""
        if labels := self._begin(run):
            _labelling.store(client, run.id, labels)

    async def async_start_span(
        self,
        run: Any,  # noqa: ANN401 - the engine's own objects
        client: Any,  # noqa: ANN401
        parameters: Any = None,  # noqa: ANN401
    ) -> None:
        """Begin, in an asynchronous engine."""
        if labels := self._begin(run):
            await _labelling.store_async(client.update_flow_run_labels, run.id, labels)

    @guarded
    def update_state(self, new_state: Any) -> None:  # noqa: ANN401
        """Tell of a state that the engine has entered."""
        if self._watch:
            self._watch.changed(reading.state(new_state))

    @guarded
    def record_exception(self, exc: BaseException) -> None:
        """Tell of an error that the engine has caught."""
        self._error = exc
        if self._watch:
            self._watch.raised(exc)

    @guarded
    def update_run_name(self, name: str) -> None:
        """Tell of the run's custom name."""
        if self._watch:
            self._watch.renamed(name)

    def end_span_on_success(self) -> None:
        """Wait for the real end: a generator's consumer or a hook may still work."""

    def end_span_on_failure(self, terminal_message: str | None = None) -> None:
        """Wait for the real end, unless a signal is about to kill the process before it.

        An engine says this after the first failed attempt too, while others are to come.
        """
        if self._error is None or isinstance(self._error, Exception):
            return
        run, engine = self._run, self._engine
        self.finish(self._error)
        if run and run.kind == "flow" and not run.in_process and reading.kills(self._error):
            say_last_words(self._observer, engine)

    @guarded
    def finish(self, error: BaseException | None) -> None:
        """End the run, once."""
        watch, self._watch = self._watch, None
        # Parameters and results are to go with the engine, and not when cycles are looked for.
        engine, self._engine = self._engine, None
        if watch is None:
            return
        try:
            watch.ended(reading.outcome(engine, self._error or error))
        finally:
            if self._current:
                self._current = False
                watch.suspended()

    @guarded
    def enter(self) -> None:
        """Make the run's context current."""
        if self._watch and not self._current:
            self._current = True
            self._watch.resumed()

    @guarded
    def leave(self) -> None:
        """Make it current no longer."""
        if self._watch and self._current:
            self._current = False
            self._watch.suspended()

    @guarded
    def _begin(self, run: Any) -> dict[str, Any]:  # noqa: ANN401 - a FlowRun or TaskRun
        self._run = reading.run(self._engine, run)
        self._watch = self._observer.started(self._run)
        labels = dict(self._watch.labels)
        run.labels.update(labels)
        if self._run.generator and (steps := _step.get()):
            steps.telemetry = self
        self.enter()
        return labels if self._run.kind == "flow" else {}


class _Steps:
    """The steps of one generator run, which is current only within them."""

    def __init__(self, *_: object) -> None:
        self.telemetry: EngineTelemetry | None = None
        self._token: Token[_Steps | None] | None = None

    def __enter__(self) -> None:
        self._token = _step.set(self)
        if self.telemetry:
            self.telemetry.enter()

    def __exit__(self, *_: object) -> None:
        if self.telemetry:
            self.telemetry.leave()
        if self._token:
            _step.reset(self._token)

    def close(self) -> None:
        """Do nothing: the engine ends its run."""


def _observed(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @contextmanager
    def initialize_run(self: Any, *args: Any, **kwargs: Any) -> Generator[Any]:  # noqa: ANN401
        telemetry = _take_over(self)
        error: BaseException | None = None
        try:
            with original(self, *args, **kwargs) as engine:
                yield engine
        except BaseException as raised:
            error = raised
            raise
        finally:
            if telemetry:
                telemetry.finish(error)

    return initialize_run


def _observed_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @asynccontextmanager
    async def initialize_run(
        self: Any,  # noqa: ANN401
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> AsyncGenerator[Any]:
        telemetry = _take_over(self)
        error: BaseException | None = None
        try:
            async with original(self, *args, **kwargs) as engine:
                yield engine
        except BaseException as raised:
            error = raised
            raise
        finally:
            if telemetry:
                telemetry.finish(error)

    return initialize_run


def _labelled(original: Callable[..., Any]) -> Callable[..., Any]:
    # Users' tests ask of a client's method whether it is a coroutine function.
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def create_async(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return await original(self, *args, **_with_outgoing(kwargs))

        return create_async

    @functools.wraps(original)
    def create(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return original(self, *args, **_with_outgoing(kwargs))

    return create


def _with_outgoing(kwargs: dict[str, Any]) -> dict[str, Any]:
    if _observer and (labels := guarded(_observer.outgoing)()):
        return {**kwargs, "labels": {**(kwargs.get("labels") or {}), **labels}}
    return kwargs


@guarded
def _take_over(engine: Any) -> EngineTelemetry | None:  # noqa: ANN401 - four classes
    if _observer is None:
        return None
    telemetry = EngineTelemetry(engine, _observer)
    engine._telemetry = telemetry  # noqa: SLF001 - this is the seam
    return telemetry


def _replace(owner: Any, name: str, new: Any) -> None:  # noqa: ANN401 - a class or a module
    own = vars(owner).get(name)
    setattr(owner, name, new)
    _undo.append(
        functools.partial(setattr, owner, name, own)
        if own is not None
        else functools.partial(delattr, owner, name)
    )
