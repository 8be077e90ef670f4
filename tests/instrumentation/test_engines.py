"""Where Prefect is changed: what is heard of a run, and that the run does not notice."""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import pickle
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, Literal

import pytest
from prefect._internal import control_listener
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, TerminationSignal

from exporting import run
from prefect_instrumentation._children import DEPLOYMENT, DEPLOYMENT_KEPT
from prefect_instrumentation._prefect import engines, reading
from prefect_instrumentation._prefect.telemetry import EngineTelemetry, Steps
from prefect_instrumentation._runs import Outcome, Run, StateChange

COMPLETED = State(type=StateType.COMPLETED, name="Completed")
FAILED = State(type=StateType.FAILED, name="Failed", message="no eggs")
RUNNING = State(type=StateType.RUNNING, name="Running")
LABELS = {"label": "value"}


class Refused(Exception):
    """What a user's code or our own raises."""


@dataclass
class Recorder:
    """Hears of all runs, notes what, and fails where it is told to."""

    failing: str = ""
    heard: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    outcomes: list[Outcome | None] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Note, and fail if this is what shall fail."""
        self.heard.append(what)
        if self.failing == what.partition(" ")[0]:
            raise Refused

    def started(self, run: Run) -> Recorder:
        """Begin."""
        self.runs.append(run)
        self.note("started")
        return self

    def outgoing(self) -> Mapping[str, str]:
        """Return a label."""
        self.note("outgoing")
        return LABELS

    def flush(self) -> bool:
        """Send nothing."""
        self.note("flush")
        return True

    @property
    def labels(self) -> Mapping[str, str]:
        """Return a label."""
        self.note("labels")
        return LABELS

    def resumed(self) -> None:
        """Note it."""
        self.note("resumed")

    def suspended(self) -> None:
        """Note it."""
        self.note("suspended")

    def changed(self, state: StateChange) -> None:
        """Note the state."""
        self.note(f"changed {state.name}")

    def raised(self, error: BaseException) -> None:
        """Note the error."""
        self.note(f"raised {type(error).__name__}")

    def renamed(self, name: str) -> None:
        """Note the name."""
        self.note(f"renamed {name}")

    def ended(self, outcome: Outcome | None) -> None:
        """Note the outcome."""
        self.outcomes.append(outcome)
        self.note("ended")


@dataclass
class Client:
    """Stands in for Prefect's client, and keeps the labels that it gets."""

    error: Exception | None = None
    labels: list[object] = field(default_factory=list)

    def update_flow_run_labels(self, run_id: str, labels: Mapping[str, str]) -> None:
        """Keep them."""
        if self.error:
            raise self.error
        self.labels.append((run_id, dict(labels)))


class AsyncClient(Client):
    """The same for asynchronous engines."""

    async def update_flow_run_labels(  # type: ignore[override]  # as Prefect's two differ
        self, run_id: str, labels: Mapping[str, str]
    ) -> None:
        """Keep them."""
        super().update_flow_run_labels(run_id, labels)


def record(state: State = RUNNING, **more: Any) -> Any:  # noqa: ANN401 - a FlowRun or TaskRun
    """Return the record of a run, in as far as it is read."""
    fields: dict[str, Any] = {
        "id": "run-1",
        "name": "crimson-otter",
        "flow_id": "flow-1",
        "flow_run_id": "run-0",
        "run_count": 1,
        "tags": ["b", "a"],
        "labels": {},
        "state": state,
        "deployment_id": None,
        "work_pool_name": None,
        "work_queue_name": None,
        "created": None,
    }
    return SimpleNamespace(**fields | more)


class Engine:
    """Stands in for an engine that runs a task or a flow, as Prefect's four do."""

    def __init__(
        self,
        kind: Literal["flow", "task"] = "task",
        **more: Any,  # noqa: ANN401 - fields of the record
    ) -> None:
        """Make an engine with a record, and a client."""
        work = SimpleNamespace(fn=len, name="load", isgenerator=False)
        setattr(self, kind, work)
        self.record = record(**more)
        setattr(self, f"{kind}_run", self.record)
        self.client: Client = Client()
        self.context: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self._telemetry: Any = None

    @contextmanager
    def initialize_run(self) -> Generator[Engine]:
        """Do as `SyncTaskRunEngine` does."""
        self._telemetry.start_span(run=self.record, client=self.client)
        self.tell()
        yield self

    def tell(self) -> None:
        """Tell of a retry, with a word that nobody knows yet."""
        self._telemetry.update_run_name("load-monday")
        self._telemetry.update_state(RUNNING)
        self._telemetry.record_exception(Refused())
        self._telemetry.end_span_on_failure("no eggs")
        self._telemetry.invented(1, word=2)
        self._telemetry.end_span_on_success()


class AsyncEngine(Engine):
    """The same, asynchronous."""

    @asynccontextmanager
    async def initialize_run(self) -> AsyncGenerator[Engine]:  # type: ignore[override]  # as above
        """Do as `AsyncTaskRunEngine` does."""
        await self._telemetry.async_start_span(run=self.record, client=self.client)
        self.tell()
        yield self


WHOLE = [
    *("started", "labels", "resumed", "renamed load-monday", "changed Running"),
    "raised Refused",
]


def module_of(name: str = "prefect.task_engine", **names: object) -> ModuleType:
    """Return a module that has the seams of one of Prefect's."""
    module = ModuleType(name)
    for engine in engines.ENGINES.get(name, ()):
        base = AsyncEngine if engine.startswith("Async") else Engine
        setattr(module, engine, type(engine, (base,), {"__dataclass_fields__": {"_telemetry": 0}}))
    for generator in engines.GENERATORS.get(name, ()):
        setattr(module, generator, lambda: None)
    for client in engines.CLIENTS.get(name, ()):
        create = _create if client.startswith("Sync") else _create_async
        setattr(module, client, type(client, (), {"create_flow_run_from_deployment": create}))
    for key, value in names.items():
        setattr(module, key, value)
    return module


Called = tuple[tuple[object, ...], dict[str, object]]


def _create(*args: object, **kwargs: object) -> Called:
    return args[1:], kwargs


async def _create_async(*args: object, **kwargs: object) -> Called:
    return args[1:], kwargs


def created(client: Any, *args: object, **kwargs: object) -> Called:  # noqa: ANN401 - two classes
    """Return what reaches Prefect of a call of one of its clients."""
    called = client.create_flow_run_from_deployment(*args, **kwargs)
    result: Called = asyncio.run(called) if inspect.iscoroutine(called) else called
    return result


@pytest.fixture
def observe() -> Iterator[Callable[[Recorder, ModuleType], None]]:
    """Return what has an observer hear of a module's runs; all is undone after the test."""
    engines.uninstrument()  # a test elsewhere may have decorated a function with `@traced`

    def use(recorder: Recorder, module: ModuleType) -> None:
        engines.instrument(recorder)
        engines.patch(module)

    yield use
    engines.uninstrument()


Observe = Callable[[Recorder, ModuleType], None]


def outcome_of(
    engine: Engine, state: State = COMPLETED, error: BaseException | None = None
) -> object:
    """Return what comes out of an engine whose run ends so."""

    async def work() -> object:
        async with engine.initialize_run() as yielded:  # type: ignore[attr-defined]  # see there
            return finish(yielded)

    def finish(yielded: Engine) -> object:
        assert yielded is engine
        engine.record.state = state
        if error:
            raise error
        return "result"

    try:
        if isinstance(engine, AsyncEngine):
            return asyncio.run(work())
        with engine.initialize_run() as yielded:
            return finish(yielded)
    except Refused as raised:
        return raised


@pytest.mark.parametrize("name", ["SyncTaskRunEngine", "AsyncTaskRunEngine"])
def test_observer_hears_of_a_run_from_start_to_end(observe: Observe, name: str) -> None:
    """It hears of all that the engine tells, and of the end last, in the run's context."""
    recorder, module = Recorder(), module_of()
    observe(recorder, module)

    assert "result" == outcome_of(getattr(module, name)())
    assert [*WHOLE, "ended", "suspended"] == recorder.heard
    assert [Outcome(StateChange("COMPLETED", "Completed", ""), 1, None)] == recorder.outcomes
    assert "load" == recorder.runs[0].task


@pytest.mark.parametrize("name", ["SyncTaskRunEngine", "AsyncTaskRunEngine"])
def test_error_passes_and_is_the_outcomes(observe: Observe, name: str) -> None:
    """What comes out of the engine is the very error, and the outcome has the one told of."""
    recorder, module, error = Recorder(), module_of(), Refused()
    observe(recorder, module)

    assert error is outcome_of(getattr(module, name)(), FAILED, error)
    assert [StateChange("FAILED", "Failed", "no eggs")] == [
        outcome.state for outcome in recorder.outcomes if outcome
    ]
    assert recorder.outcomes[0]
    assert isinstance(recorder.outcomes[0].error, Refused)


@pytest.mark.parametrize("name", ["SyncTaskRunEngine", "AsyncTaskRunEngine"])
@pytest.mark.parametrize("error", [None, Refused()], ids=["returns", "raises"])
@pytest.mark.parametrize(
    "failing",
    ["started", "labels", "resumed", "suspended", "changed", "raised", "renamed", "ended"],
)
def test_failing_observer_does_no_harm(
    observe: Observe, failing: str, error: Exception | None, name: str
) -> None:
    """Whatever raises in it, the run returns and raises as before."""
    recorder, module = Recorder(failing), module_of()
    observe(recorder, module)

    assert (error or "result") == outcome_of(getattr(module, name)(), error=error)
    assert failing in {what.partition(" ")[0] for what in recorder.heard}


@pytest.mark.parametrize("module", ["flow", "task"])
@pytest.mark.parametrize("mode", ["Sync", "Async"])
def test_labels_of_flow_runs_alone_are_stored(
    observe: Observe, module: Literal["flow", "task"], mode: str
) -> None:
    """Those of a task run go with its events; both are on the record from now on."""
    recorder, patched = Recorder(), module_of()
    observe(recorder, patched)
    engine: Engine = getattr(patched, f"{mode}TaskRunEngine")(module)
    engine.client = AsyncClient() if mode == "Async" else Client()
    outcome_of(engine)

    assert LABELS == engine.record.labels
    assert ([("run-1", LABELS)] if module == "flow" else []) == engine.client.labels


class Unlabelled(Recorder):
    """An observer that makes no spans, and so has nothing to store."""

    labels = MappingProxyType({})


@pytest.mark.parametrize("mode", ["Sync", "Async"])
def test_nothing_is_stored_without_labels(observe: Observe, mode: str) -> None:
    """A process that traces nothing asks the server for nothing."""
    recorder, module = Unlabelled(), module_of()
    observe(recorder, module)
    engine: Engine = getattr(module, f"{mode}TaskRunEngine")("flow")
    engine.client = AsyncClient() if mode == "Async" else Client()
    outcome_of(engine)

    assert (1, []) == (len(recorder.runs), engine.client.labels)


@pytest.mark.parametrize("mode", ["Sync", "Async"])
def test_labels_that_cannot_be_stored_do_no_harm(observe: Observe, mode: str) -> None:
    """A server that refuses them costs the flow nothing."""
    recorder, module = Recorder(), module_of()
    observe(recorder, module)
    engine: Engine = getattr(module, f"{mode}TaskRunEngine")("flow")
    engine.client = (AsyncClient if mode == "Async" else Client)(Refused())

    assert "result" == outcome_of(engine)
    assert "ended" in recorder.heard


def test_run_under_way_keeps_its_observer(observe: Observe) -> None:
    """Uninstrumenting ends nothing; the next run is Prefect's alone."""
    recorder, module = Recorder(), module_of()
    observe(recorder, module)
    engine = module.SyncTaskRunEngine()
    with engine.initialize_run():
        engines.uninstrument()
        engine.record.state = COMPLETED
    assert "ended" in recorder.heard

    native = module.SyncTaskRunEngine()
    native._telemetry = SimpleNamespace(start_span=lambda **_: None)  # noqa: SLF001 - the seam
    native.tell = lambda: None
    assert "result" == outcome_of(native)
    assert 1 == len(recorder.runs)


def test_first_observer_stays(observe: Observe) -> None:
    """Whoever comes second hears nothing until the first has gone."""
    first, second, module = Recorder(), Recorder(), module_of()
    observe(first, module)
    engines.instrument(second)
    outcome_of(module.SyncTaskRunEngine())

    assert (1, 0) == (len(first.runs), len(second.runs))


def test_inherited_seam_is_restored(observe: Observe) -> None:
    """A class that had none of its own has none afterwards."""
    module = module_of()
    observe(Recorder(), module)
    assert "initialize_run" in vars(module.SyncTaskRunEngine)
    engines.uninstrument()

    assert "initialize_run" not in vars(module.SyncTaskRunEngine)
    assert Engine.initialize_run is module.SyncTaskRunEngine.initialize_run


def test_nothing_is_changed_without_observer() -> None:
    """A module that is imported after uninstrumenting stays as it is."""
    engines.uninstrument()
    module = module_of()
    before = dict(vars(module))
    engines.patch(module)

    assert before == vars(module)
    assert "initialize_run" not in vars(module.SyncTaskRunEngine)


@pytest.mark.parametrize("name", ["PrefectClient", "SyncPrefectClient"])
@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ({}, LABELS),
        ({"labels": None}, LABELS),
        ({"labels": {"own": 1}}, {"own": 1, **LABELS}),
        ({"labels": {"label": "stale"}}, LABELS),
    ],
    ids=["none", "null", "own", "same"],
)
def test_created_flow_run_gets_labels(
    observe: Observe, name: str, given: dict[str, object], labels: object
) -> None:
    """They are added to the user's, and win over a copy of older ones; all else is passed on."""
    module = module_of("prefect.client.orchestration")
    observe(Recorder(), module)
    client = getattr(module, name)()

    assert (("dep-1",), {"name": "x", "labels": labels}) == created(
        client, "dep-1", name="x", **given
    )


def test_flow_run_is_created_without_labels(observe: Observe) -> None:
    """Where there is nothing to carry, or it cannot be told, the call is as it was."""
    module = module_of("prefect.client.orchestration")
    observe(Recorder("outgoing"), module)

    assert ((), {"name": "x"}) == created(module.PrefectClient(), name="x")
    assert ((), {"name": "x"}) == created(module.SyncPrefectClient(), name="x")


def lacking(name: str, seam: str) -> ModuleType:
    """Return a module without one of its seams."""
    module = module_of(name)
    owner, _, attribute = seam.partition(".")
    if not attribute:
        delattr(module, owner)
    elif attribute == "_telemetry":
        getattr(module, owner).__dataclass_fields__ = {}
    else:
        setattr(module, owner, type(owner, (), {"__dataclass_fields__": {"_telemetry": 0}}))
    return module


SEAMS = [
    ("prefect.flow_engine", "FlowRunEngine.initialize_run"),
    ("prefect.flow_engine", "AsyncFlowRunEngine.initialize_run"),
    ("prefect.flow_engine", "FlowRunEngine._telemetry"),
    ("prefect.flow_engine", "run_generator_flow_sync"),
    ("prefect.flow_engine", "run_generator_flow_async"),
    ("prefect.task_engine", "SyncTaskRunEngine.initialize_run"),
    ("prefect.task_engine", "AsyncTaskRunEngine._telemetry"),
    ("prefect.task_engine", "run_generator_task_sync"),
    ("prefect.client.orchestration", "PrefectClient.create_flow_run_from_deployment"),
    ("prefect.client.orchestration", "SyncPrefectClient.create_flow_run_from_deployment"),
]


@pytest.mark.parametrize(("name", "seam"), SEAMS)
def test_missing_seam_is_named(name: str, seam: str) -> None:
    """Each seam is looked for, and only the one that is not there is missing."""
    assert [] == engines.missing(module_of(name))
    assert [seam] == engines.missing(lacking(name, seam))


def test_missing_engine_lacks_all_its_seams() -> None:
    """A class that has gone is no error."""
    module = module_of()
    del module.SyncTaskRunEngine

    assert ["SyncTaskRunEngine.initialize_run", "SyncTaskRunEngine._telemetry"] == engines.missing(
        module
    )


@pytest.mark.parametrize(("name", "seam"), SEAMS)
def test_module_without_a_seam_is_not_changed(observe: Observe, name: str, seam: str) -> None:
    """Half an instrumentation would be worse than Prefect's own spans."""
    module = lacking(name, seam)
    before = {key: dict(getattr(value, "__dict__", {})) for key, value in vars(module).items()}
    observe(Recorder(), module)

    assert before == {
        key: dict(getattr(value, "__dict__", {})) for key, value in vars(module).items()
    }


@pytest.mark.parametrize("name", [*engines.ENGINES, *engines.CLIENTS])
def test_this_prefect_has_all_seams(name: str) -> None:
    """The Prefect that is installed is one that can be changed."""
    assert [] == engines.missing(importlib.import_module(name))


FOREIGN = """
from prefect_instrumentation._prefect import engines

class Nobody:
    pass

engines.instrument(Nobody())
import prefect.flow_engine, prefect.client.orchestration
native = prefect.flow_engine.FlowRunEngine.initialize_run
print(native.__name__, "clients", hasattr(prefect.client.orchestration, "PrefectClient"))
engines.uninstrument()
engines.instrument(Nobody())
print(prefect.flow_engine.FlowRunEngine.initialize_run is native)
"""


def test_foreign_prefect_keeps_its_own_spans(tmp_path: Path) -> None:
    """A Prefect that lacks seams is told of once for each module, by name, and is not changed."""
    client = tmp_path / "prefect" / "client"
    client.mkdir(parents=True)
    (client.parent / "__init__.py").touch()
    (client / "__init__.py").touch()
    (client / "orchestration.py").touch()
    (client.parent / "flow_engine.py").write_text(
        "class FlowRunEngine:\n    def initialize_run(self):\n        pass\n"
    )
    process = run(FOREIGN, {"PYTHONPATH": str(tmp_path)}, prelude="")
    flow, clients = process.complaints

    assert ("initialize_run clients False", "True") == process.lines
    assert flow.startswith("prefect.flow_engine of this Prefect lacks FlowRunEngine._telemetry, ")
    assert clients.startswith("prefect.client.orchestration of this Prefect lacks PrefectClient.")


LATE = """
from types import SimpleNamespace
from prefect_instrumentation._prefect import engines

def wrapped():
    from prefect.task_engine import SyncTaskRunEngine
    return hasattr(SyncTaskRunEngine.initialize_run, "__wrapped__")

engines.instrument(SimpleNamespace())
engines.uninstrument()
print(wrapped())
engines.instrument(SimpleNamespace())
print(wrapped())
engines.uninstrument()
print(wrapped())
"""


def test_module_is_changed_whenever_it_is_imported(tmp_path: Path) -> None:
    """What counts is whether there is an observer, then or later."""
    package = tmp_path / "prefect"
    package.mkdir()
    (package / "__init__.py").touch()
    engine = "    __dataclass_fields__ = {'_telemetry': 0}\n    def initialize_run(self): pass\n"
    (package / "task_engine.py").write_text(
        f"class SyncTaskRunEngine:\n{engine}class AsyncTaskRunEngine:\n{engine}"
        "def run_generator_task_sync(): yield\nasync def run_generator_task_async(): yield\n"
    )
    process = run(LATE, {"PYTHONPATH": str(tmp_path)}, prelude="")

    assert (("False", "True", "False"), ()) == (process.lines, process.complaints)


def test_unknown_word_is_answered_and_told_once() -> None:
    """A newer engine may call what is not known here; the run goes on."""
    code = """
import prefect
from prefect_instrumentation._prefect.telemetry import EngineTelemetry
telemetry = EngineTelemetry(None, None)
print([telemetry.invented(1, word=2) for _ in range(3)], telemetry.another(), telemetry.span)
"""
    process = run(code, prelude="")

    assert ("[None, None, None] None None",) == process.lines
    assert ("This Prefect calls RunTelemetry.invented, which is not known here.",) == (
        process.complaints
    )


def test_telemetry_has_no_special_methods_made_up() -> None:
    """Python asks objects for what they can: there `invented` would be a lie."""
    telemetry = EngineTelemetry(None, Recorder())

    assert not hasattr(telemetry, "__invented__")
    assert not hasattr(telemetry, "__len__")
    assert copy.copy(telemetry) is not telemetry
    assert isinstance(pickle.loads(pickle.dumps(telemetry)), EngineTelemetry)  # noqa: S301 - our own


class _Refusing:
    @property
    def name(self) -> str:
        """Refuse."""
        raise Refused

    type = name
    message = name


def test_unreadable_state_does_no_harm() -> None:
    """A state that is not as any before is left out."""
    recorder = Recorder()
    telemetry = EngineTelemetry(Engine(), recorder)
    telemetry.start_span(record(), Client())
    telemetry.update_state(_Refusing())

    assert ["started", "labels", "resumed"] == recorder.heard


@pytest.mark.parametrize("kind", ["flow", "task"])
def test_signal_ends_the_run_at_once(kind: Literal["flow", "task"]) -> None:
    """The process is about to be killed: a flow's spans are sent now, a task's by its flow."""
    recorder = Recorder()
    engine = Engine(kind)
    telemetry = EngineTelemetry(engine, recorder)
    telemetry.start_span(engine.record, Client())
    engine.record.state = FAILED
    telemetry.record_exception(TerminationSignal(signal=15))
    telemetry.end_span_on_failure("Flow run was cancelled.")
    telemetry.finish(None)
    heard = ["raised TerminationSignal", "ended", "suspended", *["flush"] * (kind == "flow")]

    assert ["started", "labels", "resumed", *heard] == recorder.heard


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()])
@pytest.mark.parametrize("in_process", [False, True], ids=["outermost", "subflow"])
def test_only_a_signal_flushes(error: BaseException, *, in_process: bool) -> None:
    """After anything else the process ends by itself, and sends its spans then."""
    recorder, engine = Recorder(), Engine("flow")
    telemetry = EngineTelemetry(engine, recorder)
    with around() if in_process else nullcontext():
        telemetry.start_span(engine.record, Client())
    engine.record.state = FAILED
    telemetry.record_exception(error)
    telemetry.end_span_on_failure("Execution was aborted.")
    heard = [f"raised {type(error).__name__}", "ended", "suspended"]

    assert ["started", "labels", "resumed", *heard] == recorder.heard


@pytest.mark.parametrize("name", ["SyncTaskRunEngine", "AsyncTaskRunEngine"])
def test_signal_after_the_final_state_flushes(observe: Observe, name: str) -> None:
    """It comes amid a hook, say: an engine tells nothing of it, and the process is killed."""
    recorder, module = Recorder(), module_of()
    observe(recorder, module)
    engine: Engine = getattr(module, name)("flow")
    engine.client = AsyncClient() if isinstance(engine, AsyncEngine) else Client()
    with pytest.raises(TerminationSignal):
        outcome_of(engine, COMPLETED, TerminationSignal(signal=15))

    assert [*WHOLE, "ended", "suspended", "flush"] == recorder.heard
    assert [StateChange("COMPLETED", "Completed", "")] == [
        outcome.state for outcome in recorder.outcomes if outcome
    ]


@pytest.mark.parametrize(
    ("kind", "state", "error"),
    [
        ("flow", RUNNING, TerminationSignal(signal=15)),
        ("task", COMPLETED, TerminationSignal(signal=15)),
        ("flow", COMPLETED, KeyboardInterrupt()),
        ("flow", COMPLETED, Refused()),
    ],
    ids=["not-final", "task", "keyboard", "error"],
)
def test_other_interruptions_leave_the_run_to_its_engine(
    kind: Literal["flow", "task"], state: State, error: BaseException
) -> None:
    """Before the final state the engine tells of a signal itself; of others it sees the end."""
    recorder, engine = Recorder(), Engine(kind)
    telemetry = EngineTelemetry(engine, recorder)
    telemetry.start_span(engine.record, Client())
    engine.record.state = state
    telemetry.interrupted(error)

    assert ["started", "labels", "resumed"] == recorder.heard


@pytest.mark.parametrize("intent", ["reschedule", "relinquish"])
@pytest.mark.parametrize("error", [TerminationSignal(signal=15), asyncio.CancelledError()])
def test_run_that_is_taken_back_ends_before_its_threads(
    monkeypatch: pytest.MonkeyPatch, intent: str, error: BaseException
) -> None:
    """It is sent at once, as Prefect waits for threads; its context stays for what is logged."""
    monkeypatch.setattr(reading, "get_intent", lambda: intent)
    recorder, engine = Recorder(), Engine("flow")
    telemetry = EngineTelemetry(engine, recorder)
    telemetry.start_span(engine.record, Client())
    engine.record.state = FAILED
    telemetry.surrendered(error)

    assert ["started", "labels", "resumed", "ended", "flush"] == recorder.heard
    assert [TerminationSignal] == [type(each.error) for each in recorder.outcomes if each]

    telemetry.finish(error)

    assert ["ended", "flush", "suspended"] == recorder.heard[3:]


@pytest.mark.parametrize(
    ("intent", "error"),
    [
        (None, TerminationSignal(signal=15)),
        ("cancel", TerminationSignal(signal=15)),
        ("reschedule", KeyboardInterrupt()),
        ("reschedule", Refused()),
        ("reschedule", Pause(state=State(type=StateType.PAUSED))),
    ],
)
def test_run_that_nobody_takes_back_is_left_to_its_engine(
    monkeypatch: pytest.MonkeyPatch, intent: str | None, error: BaseException
) -> None:
    """The engine has a state to set yet, which the span is to say."""
    monkeypatch.setattr(reading, "get_intent", lambda: intent)
    recorder, engine = Recorder(), Engine("flow")
    telemetry = EngineTelemetry(engine, recorder)
    telemetry.start_span(engine.record, Client())
    telemetry.surrendered(error)

    assert ["started", "labels", "resumed"] == recorder.heard


def outcome(kind: Literal["flow", "task"], state: State, error: BaseException | None) -> Outcome:
    """Return how an engine's run stands."""
    return reading.outcome(Engine(kind, state=state, run_count=3), error)


CANCELLED = StateChange("CANCELLED", "Cancelled", "Flow run was cancelled.")
ERROR = Refused()
SIGNAL = TerminationSignal(signal=15)
STOP = asyncio.CancelledError()
PAUSE = Pause(state=State(type=StateType.PAUSED))
CRASHED = State(type=StateType.CRASHED, name="Crashed")


@pytest.mark.parametrize(
    ("state", "error", "name", "left"),
    [
        (COMPLETED, None, "Completed", None),
        (COMPLETED, ERROR, "Completed", None),
        (FAILED, None, "Failed", None),
        (FAILED, ERROR, "Failed", ERROR),
        (RUNNING, ERROR, "Running", ERROR),
        (RUNNING, PAUSE, "Running", None),
        (CRASHED, SIGNAL, "Crashed", SIGNAL),
        (RUNNING, SIGNAL, "Running", SIGNAL),
        (RUNNING, STOP, "Running", STOP),
        (CRASHED, STOP, "Crashed", STOP),
        (State(type=StateType.COMPLETED, name="Cached"), None, "Cached", None),
    ],
)
@pytest.mark.parametrize("kind", ["flow", "task"])
def test_outcome_is_how_the_run_stands(
    kind: Literal["flow", "task"],
    state: State,
    error: BaseException | None,
    name: str,
    left: BaseException | None,
) -> None:
    """It has the state, all attempts, and the error unless the run came through in the end."""
    found = outcome(kind, state, error)

    assert (name, 3, left) == (found.state.name, found.attempts, found.error)


@pytest.mark.parametrize(
    ("intent", "state", "error", "name"),
    [
        ("cancel", RUNNING, SIGNAL, "Cancelled"),
        ("cancel", RUNNING, STOP, "Cancelled"),
        ("cancel", State(type=StateType.CANCELLING), SIGNAL, "Cancelled"),
        ("cancel", CRASHED, SIGNAL, "Crashed"),
        ("cancel", COMPLETED, None, "Completed"),
        ("cancel", RUNNING, None, "Running"),
        ("cancel", RUNNING, PAUSE, "Running"),
        ("reschedule", RUNNING, SIGNAL, "Running"),
        (None, RUNNING, SIGNAL, "Running"),
    ],
)
def test_outcome_is_what_the_runner_will_set(
    monkeypatch: pytest.MonkeyPatch,
    intent: str | None,
    state: State,
    error: BaseException | None,
    name: str,
) -> None:
    """A run that a runner cancels is cancelled, though the runner says so only later."""
    monkeypatch.setattr(control_listener, "_intent", intent)
    found = outcome("flow", state, error)

    assert name == found.state.name
    assert name != "Cancelled" or found.state == CANCELLED


def test_last_error_wins() -> None:
    """What an earlier attempt raised counts only where nothing has come after it."""
    engine = Engine(state=FAILED)
    engine._raised = ERROR  # type: ignore[attr-defined]  # noqa: SLF001 - as the engine has it
    later = ValueError()
    after_raising = reading.outcome(engine, None).error
    after_another = reading.outcome(engine, later).error
    engine._return_value = FAILED  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    after_returning = reading.outcome(engine, None).error

    assert (ERROR, later, None) == (after_raising, after_another, after_returning)


def test_state_is_bounded() -> None:
    """A message that quotes a table is cut, and what is no text is made one."""
    long = reading.state(State(type=StateType.FAILED, name="Failed", message="x" * 5000))
    bare = reading.state(SimpleNamespace(type=StateType.FAILED, name=None, message=None))
    odd = reading.state(State(type=StateType.FAILED, name="caf\udce9", message="no \udce9"))

    assert "x" * 1024 == long.message
    assert StateChange("FAILED", "FAILED", "") == bare
    assert StateChange("FAILED", "caf?", "no ?") == odd


def test_flow_run_is_read() -> None:
    """All that a flow run's record says is in the value."""
    created = datetime.now(UTC) - timedelta(seconds=90)
    engine = Engine(
        "flow", deployment_id="dep-1", work_pool_name="pool", work_queue_name="q", created=created
    )
    engine.parameters = {"day": 1}
    found = reading.run(engine, engine.record)

    assert ("flow", "run-1", "run-1", "load", "", len) == (
        *(found.kind, found.id, found.flow_run_id, found.flow, found.task, found.function),
    )
    assert ("crimson-otter", "crimson-otter") == (found.name, found.flow_run_name)
    assert ("flow-1", "dep-1", "", "pool", "q") == (
        *(found.flow_id, found.deployment_id, found.deployment),
        *(found.work_pool, found.work_queue),
    )
    assert (("b", "a"), {"day": 1}) == (found.tags, found.parameters)
    assert (False, False, False) == (found.in_process, found.generator, found.background)
    assert 90 <= found.waited < 120
    assert () == found.enclosing_labels


@pytest.mark.parametrize("variable", [DEPLOYMENT, DEPLOYMENT_KEPT])
@pytest.mark.parametrize(
    ("run_id", "deployment_id", "name"),
    [("run-1", "dep-1", "nightly"), ("run-2", "dep-1", ""), ("run-1", None, ""), ("", "dep-1", "")],
)
def test_deployment_is_named_by_the_worker(
    monkeypatch: pytest.MonkeyPatch,
    run_id: str,
    deployment_id: str | None,
    name: str,
    variable: str,
) -> None:
    """The variable is meant for the process's own run, not for those that it starts itself."""
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", run_id)
    monkeypatch.setenv(variable, "nightly")
    engine = Engine("flow", deployment_id=deployment_id)

    assert name == reading.run(engine, engine.record).deployment


def test_task_run_outside_of_a_flow_is_read() -> None:
    """It has no flow, and says when it came by `.delay()`."""
    state = SimpleNamespace(state_details=SimpleNamespace(deferred=True))
    engine = Engine(flow_run_id=None)
    engine.record.state = state
    found = reading.run(engine, engine.record)

    assert ("task", "run-1", "load", "", "", "") == (
        *(found.kind, found.id, found.task, found.flow, found.flow_run_id, found.flow_run_name),
    )
    assert (True, True) == (found.background, found.in_process)


TASK_LABELS, FLOW_LABELS = {"of": "task"}, {"of": "flow"}


@pytest.mark.parametrize("dumped", [True, False], ids=["dumped", "objects"])
@pytest.mark.parametrize(
    ("task_run", "flow_run", "expected"),
    [
        ({"flow_run_id": "f", "labels": TASK_LABELS}, None, (TASK_LABELS,)),
        (None, {"id": "f", "labels": FLOW_LABELS}, (FLOW_LABELS,)),
        (
            {"flow_run_id": "f", "labels": TASK_LABELS},
            {"id": "f", "labels": FLOW_LABELS},
            (TASK_LABELS, FLOW_LABELS),
        ),
        (
            {"flow_run_id": "outer", "labels": TASK_LABELS},
            {"id": "f", "labels": FLOW_LABELS},
            (FLOW_LABELS,),
        ),
        ({"flow_run_id": "f", "labels": None}, None, ({},)),
        (None, None, ()),
    ],
    ids=["task", "flow", "task-in-flow", "flow-in-task", "no-labels", "nothing"],
)
def test_labels_around_are_nearest_first(
    task_run: dict[str, object] | None,
    flow_run: dict[str, object] | None,
    expected: tuple[Mapping[str, str], ...],
    *,
    dumped: bool,
) -> None:
    """A task of the flow is nearer than the flow; one around the flow says nothing more."""

    def shown(run: dict[str, object] | None) -> object:
        return run if dumped or run is None else SimpleNamespace(**run)

    engine = Engine()
    engine.context = {
        "task_run_context": {"task_run": shown(task_run)},
        "flow_run_context": {"flow_run": shown(flow_run)},
    }

    assert expected == reading.run(engine, engine.record).enclosing_labels


def around(**more: Any) -> FlowRunContext:  # noqa: ANN401 - fields of the context
    """Return the context of a flow run that encloses others."""
    flow_run = record(name="outer", deployment_id="dep-1", labels=FLOW_LABELS)
    flow = SimpleNamespace(name="etl")
    fields = {"flow": flow, "flow_run": flow_run, "detached": False, "_token": None} | more
    return FlowRunContext.model_construct(**fields)


@pytest.mark.parametrize("kind", ["flow", "task"])
@pytest.mark.parametrize(
    ("detached", "in_process", "labels"),
    [(False, True, ()), (True, False, (FLOW_LABELS,))],
    ids=["here", "elsewhere"],
)
def test_flow_around_is_read(
    kind: Literal["flow", "task"],
    *,
    detached: bool,
    in_process: bool,
    labels: tuple[Mapping[str, str], ...],
) -> None:
    """A flow run of another process, whose context was sent along, leaves its labels alone."""
    engine = Engine(kind)
    with around(detached=detached):
        found = reading.run(engine, engine.record)

    assert labels == found.enclosing_labels
    if kind == "task":
        assert ("etl", "outer", "dep-1") == (found.flow, found.flow_run_name, found.deployment_id)
    else:
        assert in_process == found.in_process


def test_generator_of_a_task_runner_leaves_the_steps_around_alone() -> None:
    """A submitted generator runs in a copy of its flow's context, and the steps stay the flow's."""
    steps = Steps()
    flow, task = Engine("flow"), Engine("task")
    flow.flow.isgenerator = task.task.isgenerator = True  # type: ignore[attr-defined]  # see Engine
    of_flow, of_task = (EngineTelemetry(each, Recorder()) for each in (flow, task))
    with steps:
        of_flow.start_span(flow.record, Client())
        of_task.start_span(task.record, Client())

    assert of_flow is steps.telemetry


def test_subflow_that_has_ended_before_is_no_run() -> None:
    """Where its result serves the parent's next attempt nothing runs, and nobody hears of it."""
    recorder, engine, client = Recorder(), Engine("flow", state=COMPLETED), Client()
    telemetry = EngineTelemetry(engine, recorder)
    telemetry.start_span(engine.record, client)
    telemetry.finish(None)

    assert [] == recorder.heard


def test_signal_in_a_subflow_is_left_to_the_outermost() -> None:
    """The process is not flushed once for each flow run that the signal ends."""
    recorder, engine = Recorder(), Engine("flow")
    telemetry = EngineTelemetry(engine, recorder)
    with around():
        telemetry.start_span(engine.record, Client())
    engine.record.state = FAILED
    telemetry.record_exception(TerminationSignal(signal=15))
    telemetry.end_span_on_failure("Flow run was cancelled.")

    assert "ended" in recorder.heard
    assert "flush" not in recorder.heard
