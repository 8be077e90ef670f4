"""Flows under telemetry that fails: `python -m hostile_tracing OUT PLAY ...`.

Each play runs the same flows; what they gave, said and left behind is written to OUT as JSON.
A play is `off`, or the one part of telemetry that raises, such as `span.end`, with another error
than usual behind it: `observer.changed!SystemExit`. `values` are other flows, which are hostile to
telemetry that works, and `values-off` the same flows without.
"""

# ruff: noqa: D103 - flows and tasks have the names that their runs show

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

from prefect import flow, get_run_logger, tags, task
from prefect.runtime import flow_run as current_flow_run
from prefect.runtime import task_run as current_task_run

from hostile_telemetry import OBSERVER, Broken, HostileObserver, HostileProvider, Switch
from prefect_instrumentation import _prefect, _setup

ELSEWHERE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|http://\S+")
"""What differs between any two runs of a flow."""

RAISED: list[ValueError] = []
"""The very objects that tasks have raised: their callers have to catch the same."""


def refused() -> ValueError:
    RAISED.append(ValueError("no such customer"))
    return RAISED[-1]


@task(task_run_name="step-{value}")
def step(value: int) -> int:
    get_run_logger().info("value %s", value)
    return value


@task(task_run_name="flaky", retries=1)
def flaky() -> int:
    if current_task_run.run_count == 1:
        raise ConnectionError("no route")
    return int(current_task_run.run_count)


@task(task_run_name="broken")
def broken() -> None:
    raise refused()


@task(task_run_name="counted")
def counted(count: int) -> Generator[int]:
    yield from range(count)


@flow(flow_run_name="inner")
def inner() -> list[int]:
    return list(counted(2))


def same_error() -> bool:
    """Return whether what a task raised is what its caller catches."""
    try:
        broken()
    except ValueError as error:
        return error is RAISED[-1]
    return False


@flow(flow_run_name="busy", log_prints=True)
def busy() -> list[object]:
    print("hello")
    done = [step(1), step.submit(2).result(), flaky(), inner(), same_error()]
    return [*done, broken(return_state=True).type.value]


@flow(flow_run_name="again", retries=1)
def again() -> int:
    """Fail at the first attempt."""
    if current_flow_run.run_count == 1:
        raise RuntimeError("once more")
    return int(current_flow_run.run_count)


@task(task_run_name="async-step-{value}", retries=1)
async def async_step(value: int) -> int:
    get_run_logger().info("value %s", value)
    await asyncio.sleep(0)
    if current_task_run.run_count == 1:
        raise ConnectionError("no route")
    return value


@task(task_run_name="async-broken")
async def async_broken() -> None:
    raise refused()


@flow(flow_run_name="async-counted")
async def async_counted(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        yield await async_step(number)


@flow(flow_run_name="async-busy")
async def async_busy() -> list[object]:
    """Fail in the end, by what a task has raised."""
    done: list[object] = [await async_step(5), [each async for each in async_counted(2)]]
    get_run_logger().warning("done %s", done)
    await async_broken()
    return done


@flow(flow_run_name="numbers")
def numbers() -> Generator[int]:
    yield step(1)
    yield step(2)


class Wordless(Exception):
    """Has no text."""

    def __str__(self) -> str:
        """Refuse."""
        raise LookupError("no text")

    __repr__ = __str__


@task(task_run_name="wordless")
def wordless() -> None:
    raise Wordless


@task(task_run_name="surrogate")
def surrogate() -> None:
    raise OSError("cannot read \udcff.csv")


@task(task_run_name="endless")
def endless() -> None:
    raise ValueError("m" * 10_000_000)


@task(task_run_name="takes")
def takes(value: object) -> str:
    return type(value).__name__[:9]


@flow(flow_run_name="errors")
def errors() -> list[bool]:
    return [_fails(surrogate), _fails(endless), _fails(wordless)]


@flow(flow_run_name="parameters", validate_parameters=False)
def parameters() -> list[str]:
    loop: list[object] = []
    loop.append(loop)
    many = takes.with_options(tags=["x" * 10_000_000, *(str(number) for number in range(1000))])
    return [takes(loop), takes("\udcff"), takes(type("A" * 1_000_000, (), {})()), many("")]


@flow(flow_run_name="silent")
def silent() -> None:
    wordless()


def _fails(run: Callable[[], object]) -> bool:
    try:
        run()
    except Exception:  # noqa: BLE001 - whatever it is
        return True
    return False


FLOWS: dict[str, Callable[[], object]] = {
    "busy": busy,
    "again": again,
    "async-busy": lambda: asyncio.run(async_busy()),
    "numbers": lambda: list(numbers()),
}

VALUES: dict[str, Callable[[], object]] = {
    "errors": errors,
    "parameters": parameters,
    "silent": silent,
}
"""Their names, errors and parameters are as bad as Prefect takes them."""

ERRORS: dict[str, type[BaseException]] = {
    each.__name__: each for each in (Broken, KeyboardInterrupt, SystemExit)
}


class Lines(logging.Handler):
    """Keeps what is logged, as text that two runs have in common."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        text = f"{record.name} {record.levelname} {record.getMessage()}"
        if record.exc_info and record.exc_info[1]:
            text += "".join(traceback.format_exception(record.exc_info[1]))
        self.lines.append(ELSEWHERE.sub("?", text))


def play(name: str) -> dict[str, object]:
    """Run all flows of a play, and return what can be seen of them."""
    part, _, error = name.partition("!")
    switch = Switch(part, ERRORS[error or "Broken"])
    _instrument(switch)
    said, ours = Lines(), Lines()
    loggers = {"prefect": said, "prefect_instrumentation": ours, "opentelemetry": ours}
    for logger, handler in loggers.items():
        logging.getLogger(logger).addHandler(handler)
    before = _surroundings()
    with tags(f"play:{name}"):
        chosen = VALUES if part.startswith("values") else FLOWS
        results = {flow: _outcome_of(run) for flow, run in chosen.items()}
    left = _surroundings() == before
    for logger, handler in loggers.items():
        logging.getLogger(logger).removeHandler(handler)
    _prefect.uninstrument()
    return {
        "name": name,
        "hits": switch.hits,
        "results": results,
        "left": left,
        "said": sorted(said.lines),
        "ours": ours.lines,
    }


def _instrument(switch: Switch) -> None:
    if switch.part in OBSERVER:
        _prefect.instrument(HostileObserver(switch))
    elif switch.part == "values":
        _setup.instrument()
    elif switch.part not in {"off", "values-off"}:
        _setup.instrument(tracer_provider=HostileProvider(switch))


def _outcome_of(run: Callable[[], object]) -> str:
    try:
        return repr(run())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is compared
        text = "".join(traceback.format_exception(error))
        return f"{type(error).__name__} {error in RAISED[-1:]} {ELSEWHERE.sub('?', text)}"


def _surroundings() -> dict[str, int]:
    """Return what is current, but for what Prefect keeps for the time after."""
    context = contextvars.copy_context()
    return {variable.name: id(value) for variable, value in context.items()}


if __name__ == "__main__":
    _out, *_names = sys.argv[1:]
    Path(_out).write_text(json.dumps([play(_name) for _name in _names]), encoding="ascii")
