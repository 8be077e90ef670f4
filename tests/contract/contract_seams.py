"""The places in Prefect that we change are there, and are what they were."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pluggy
import pytest
from packaging.specifiers import SpecifierSet
from prefect.telemetry.run_telemetry import RunTelemetry

from prefect_instrumentation import plugin
from prefect_instrumentation._prefect import engines, quiet_clients
from prefect_instrumentation._prefect.telemetry import EngineTelemetry
from prefect_instrumentation._runs import Run, RunObserver

ENGINES = [(module, name) for module, names in engines.ENGINES.items() for name in names]
GENERATORS = [(module, name) for module, names in engines.GENERATORS.items() for name in names]
CLIENTS = [(module, name) for module, names in engines.CLIENTS.items() for name in names]
MODULES = [*engines.ENGINES, *engines.CLIENTS]


class Unconcerned:
    """An observer of a process without runs."""

    def started(self, run: Run) -> RunObserver:
        """Be surprised."""
        raise NotImplementedError

    def outgoing(self) -> dict[str, str]:
        """Say nothing to other runs."""
        return {}

    def flush(self) -> bool:
        """Have nothing to send."""
        return True


def part(of: tuple[str, str]) -> Any:  # noqa: ANN401 - whatever Prefect has there
    """Return what stands under a name in a module."""
    module, name = of
    return getattr(importlib.import_module(module), name)


def asked() -> Iterator[str]:
    """Yield the names of whatever engines ask of their telemetry."""
    for module in engines.ENGINES:
        source = inspect.getsource(importlib.import_module(module))
        yield from re.findall(r"\b_telemetry\.(\w+)", source)


@pytest.mark.parametrize("place", list(engines.CONTEXTS.items()), ids=lambda place: place[1])
def test_delayed_tasks_take_their_context_from_where_we_add_to_it(place: tuple[str, str]) -> None:
    """It is a dictionary, which Prefect reads by names of its own."""
    assert isinstance(part(place)(), dict)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_missing(module: str) -> None:
    """No module of this Prefect falls back to native spans."""
    missing = engines.missing(importlib.import_module(module))

    assert [] == missing


@pytest.mark.parametrize("engine", ENGINES, ids=lambda each: each[1])
def test_initialize_run_spans_the_work_of_an_engine(engine: tuple[str, str]) -> None:
    """It is a context manager, asynchronous in an asynchronous engine."""
    asynchronous = engine[1].startswith("Async")
    body = inspect.unwrap(part(engine).initialize_run)

    assert asynchronous == inspect.isasyncgenfunction(body)
    assert asynchronous != inspect.isgeneratorfunction(body)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda each: each[1])
def test_engine_makes_its_own_telemetry(engine: tuple[str, str]) -> None:
    """Nothing but a field of the engine holds it, so that ours can stand there."""
    field = part(engine).__dataclass_fields__["_telemetry"]

    assert RunTelemetry is field.default_factory


def test_telemetry_knows_all_that_engines_ask() -> None:
    """Our stand-in does not have to guess."""
    known = {*vars(EngineTelemetry)}

    assert {"start_span", "end_span_on_success"} < set(asked())
    assert set() == set(asked()) - known


@pytest.mark.parametrize("name", sorted(set(asked()) - {"span"}))
def test_telemetry_takes_what_engines_give(name: str) -> None:
    """Every method has the parameters of Prefect's, by the same names and in the same order."""
    theirs = inspect.signature(getattr(RunTelemetry, name)).parameters
    ours = inspect.signature(getattr(EngineTelemetry, name)).parameters

    assert [*theirs] == [*ours]


@pytest.mark.parametrize("module", quiet_clients.CLIENTS)
def test_requests_to_the_api_go_through_send(module: str) -> None:
    """Prefect's clients can be kept out of users' traces."""
    senders = quiet_clients.senders(importlib.import_module(module))

    assert len(quiet_clients.CLIENTS[module]) == len(senders)
    assert all(callable(getattr(owner, name)) for owner, name in senders)


@pytest.mark.parametrize("run", GENERATORS, ids=lambda each: each[1])
def test_generators_are_run_by_functions_of_the_module(run: tuple[str, str]) -> None:
    """They are generators, and their callers look them up in the module, where ours stand."""
    asynchronous = run[1].endswith("_async")
    source = inspect.getsource(importlib.import_module(run[0]))

    assert asynchronous == inspect.isasyncgenfunction(part(run))
    assert asynchronous != inspect.isgeneratorfunction(part(run))
    assert re.search(rf"(?<!def ){run[1]}\(", source)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each[1])
def test_flow_runs_can_be_created_with_labels(client: tuple[str, str]) -> None:
    """Labels are an argument of both clients, by name."""
    create = part(client).create_flow_run_from_deployment

    assert "labels" in inspect.signature(create).parameters


@pytest.mark.parametrize("module", MODULES)
def test_uninstrument_leaves_nothing_behind(module: str) -> None:
    """What was changed is what it was, not something that acts like it."""
    seams = [
        *((part(each), "initialize_run") for each in ENGINES if each[0] == module),
        *((importlib.import_module(module), name) for at, name in GENERATORS if at == module),
        *((part(each), "create_flow_run_from_deployment") for each in CLIENTS if each[0] == module),
    ]
    before = [inspect.getattr_static(*each) for each in seams]
    engines.instrument(Unconcerned())
    during = [inspect.getattr_static(*each) for each in seams]
    engines.uninstrument()
    after = [inspect.getattr_static(*each) for each in seams]

    assert [True] * len(seams) == [
        one is not other for one, other in zip(before, during, strict=True)
    ]
    assert before == after


def test_module_without_seams_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """A Prefect that is made otherwise is warned of once, and left alone."""
    strange = ModuleType("prefect.task_engine")
    untouched = {*vars(strange)}
    engines.instrument(Unconcerned())
    engines.patch(strange)
    engines.patch(strange)
    engines.uninstrument()
    warning = (
        "prefect.task_engine of this Prefect lacks SyncTaskRunEngine.initialize_run,"
        " SyncTaskRunEngine._telemetry, AsyncTaskRunEngine.initialize_run,"
        " AsyncTaskRunEngine._telemetry, run_generator_task_sync, run_generator_task_async:"
        " its native spans stay. Is there a newer release of prefect-instrumentation?"
    )

    assert untouched == {*vars(strange)}
    assert [warning] == [record.getMessage() for record in caplog.records]


def test_prefect_accepts_our_plugin() -> None:
    """Our hook has the mark, the signature and the API version that its plugin manager wants."""
    names = ("prefect.plugins", "prefect._experimental.plugins")
    modules = map(importlib.import_module, names)
    theirs = next(each for each in modules if hasattr(each, "register_hook"))
    manager = pluggy.PluginManager(theirs.register_hook.project_name)
    manager.add_hookspecs(theirs.HookSpec)
    manager.register(plugin)

    assert 1 == len(manager.hook.setup_environment.get_hookimpls())
    assert SpecifierSet(plugin.PREFECT_PLUGIN_API_REQUIRES).contains(
        theirs.PREFECT_PLUGIN_API_VERSION
    )
