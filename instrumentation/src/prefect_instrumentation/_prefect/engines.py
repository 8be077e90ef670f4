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
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

from prefect_instrumentation._driven import adriven, driven
from prefect_instrumentation._guard import guarded, once
from prefect_instrumentation._prefect import quiet_clients
from prefect_instrumentation._propagation import CARRIED
from prefect_instrumentation._runs import Observer

if TYPE_CHECKING:
    from prefect_instrumentation._prefect.telemetry import EngineTelemetry, Steps

ENGINES = {
    "prefect.flow_engine": ("FlowRunEngine", "AsyncFlowRunEngine"),
    "prefect.task_engine": ("SyncTaskRunEngine", "AsyncTaskRunEngine"),
}
GENERATORS = {
    "prefect.flow_engine": ("run_generator_flow_sync", "run_generator_flow_async"),
    "prefect.task_engine": ("run_generator_task_sync", "run_generator_task_async"),
}
CLIENTS = {"prefect.client.orchestration": ("PrefectClient", "SyncPrefectClient")}
CONTEXTS = {"prefect.tasks": "serialize_context"}
"""What a task that is delayed to another process has with it."""

NATIVE = "prefect.telemetry.run_telemetry"

_observer: Observer | None = None
_undo: list[Callable[[], None]] = []
_hooked: set[str] = set()


def instrument(observer: Observer, *, instead: bool = False) -> None:
    """Make the observer hear of every run; the first one stays until `uninstrument`.

    Modules of Prefect that are not imported yet are changed when they are.

    Args:
        observer: of all runs that start from now on.
        instead: it takes the place of the one that is there.
    """
    global _observer
    there, _observer = _observer, observer if instead or _observer is None else _observer
    if there is not None:
        return
    for name in (*ENGINES, *CLIENTS, *CONTEXTS, *quiet_clients.MODULES, NATIVE):
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
        _patch_engine(getattr(module, name), is_async=name.startswith("Async"))
    for name in GENERATORS.get(module.__name__, ()):
        drive = adriven if name.endswith("_async") else driven
        _replace(module, name, drive(getattr(module, name), _steps))
    if module.__name__ in quiet_clients.MODULES:
        for owner, name in quiet_clients.senders(module):
            _replace(owner, name, quiet_clients.without_instrumentation(getattr(owner, name)))
    if module.__name__ == NATIVE and hasattr(module, "get_tracer"):
        # Each engine makes a `RunTelemetry` before it gets ours, and a new tracer takes long.
        _replace(module, "get_tracer", functools.cache(module.get_tracer))
    if (name := CONTEXTS.get(module.__name__, "")) and hasattr(module, name):
        _replace(module, name, _carrying(getattr(module, name)))
    for name in CLIENTS.get(module.__name__, ()):
        client = getattr(module, name)
        create = "create_flow_run_from_deployment"
        _replace(client, create, _labelled(getattr(client, create)))


def _patch_engine(engine: Any, *, is_async: bool) -> None:  # noqa: ANN401 - a class
    observed = _observed_async if is_async else _observed
    _replace(engine, "initialize_run", observed(engine.initialize_run))
    # Of a flow's engine, it has the task runner.
    if "Flow" in engine.__name__ and hasattr(engine, "setup_run_context"):
        surrendering = _surrendering_async if is_async else _surrendering
        _replace(engine, "setup_run_context", surrendering(engine.setup_run_context))


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


def _observed(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @contextmanager
    def initialize_run(self: Any, *args: Any, **kwargs: Any) -> Generator[Any]:  # noqa: ANN401
        with (
            _watched(self) as interruptions,
            original(self, *args, **kwargs) as engine,
            interruptions(),
        ):
            yield engine

    return initialize_run


def _observed_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @asynccontextmanager
    async def initialize_run(
        self: Any,  # noqa: ANN401
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> AsyncGenerator[Any]:
        with _watched(self) as interruptions:
            async with original(self, *args, **kwargs) as engine:
                with interruptions():
                    yield engine

    return initialize_run


def _surrendering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @contextmanager
    def setup_run_context(self: Any, *args: Any, **kwargs: Any) -> Generator[Any]:  # noqa: ANN401
        with original(self, *args, **kwargs) as context, _surrenders(self):
            yield context

    return setup_run_context


def _surrendering_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    @asynccontextmanager
    async def setup_run_context(
        self: Any,  # noqa: ANN401
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> AsyncGenerator[Any]:
        async with original(self, *args, **kwargs) as context:
            with _surrenders(self):
                yield context

    return setup_run_context


@contextmanager
def _surrenders(engine: Any) -> Iterator[None]:  # noqa: ANN401
    """Hear of a signal while the task runner still has threads that Prefect will wait for."""
    try:
        yield
    except BaseException as error:
        if surrendered := getattr(engine._telemetry, "surrendered", None):  # noqa: SLF001 - as below
            surrendered(error)
        raise


@contextmanager
def _watched(engine: Any) -> Iterator[Callable[[], AbstractContextManager[None]]]:  # noqa: ANN401
    """End the run when the engine lets go of it; hear of signals before Prefect does."""
    telemetry = _take_over(engine)
    if telemetry is None:
        yield nullcontext
        return
    error: BaseException | None = None
    try:
        yield functools.partial(_interruptions, telemetry)
    except BaseException as raised:
        error = raised
        raise
    finally:
        telemetry.finish(error)


@contextmanager
def _interruptions(telemetry: EngineTelemetry) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        telemetry.interrupted(error)
        raise


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


def _carrying(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @functools.wraps(original)
    def serialize(*args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        labels = guarded(_observer.outgoing)() if _observer else None
        return {**original(*args, **kwargs), **({CARRIED: dict(labels)} if labels else {})}

    return serialize


def _with_outgoing(kwargs: dict[str, Any]) -> dict[str, Any]:
    if _observer and (labels := guarded(_observer.outgoing)()):
        return {**kwargs, "labels": {**(kwargs.get("labels") or {}), **labels}}
    return kwargs


def _steps(*_: object) -> Steps:
    from prefect_instrumentation._prefect.telemetry import Steps  # noqa: PLC0415 - see `reading`

    return Steps()


@guarded
def _take_over(engine: Any) -> EngineTelemetry | None:  # noqa: ANN401 - four classes
    from prefect_instrumentation._prefect.telemetry import EngineTelemetry  # noqa: PLC0415

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
