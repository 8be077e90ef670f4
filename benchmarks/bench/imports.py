"""What it costs to import our package beside Prefect, and what else comes in with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from bench.machine import Spread, spread
from bench.programs import answer
from demo.sandbox import Sandbox

_PROGRAM = """
import json, sys, time
steps = []
for statement in sys.argv[1:]:
    wall, cpu = time.perf_counter(), time.process_time()
    exec(statement)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    steps.append({"wall": wall, "cpu": cpu, "modules": [*sys.modules]})
print(json.dumps(steps))
"""

_PREFECT = "import prefect"
_SETUP = "from prefect_instrumentation import setup"
_CALL = "setup()"
_ENABLED = {"PREFECT_PLUGINS_ENABLED": "1"}
_DENIED = {**_ENABLED, "PREFECT_PLUGINS_DENY": "prefect_instrumentation"}

# Of these every distribution has parts of its own.
_SHARED = ("opentelemetry", "prefect")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement in a fresh process.

    Args:
        wall: Seconds.
        cpu: Seconds of all threads.
        modules: All that were imported by its end.
    """

    wall: float
    cpu: float
    modules: frozenset[str]


@dataclass(frozen=True, slots=True)
class Import:
    """One import in several fresh processes.

    Args:
        what: In words.
        wall: Seconds.
        cpu: Seconds.
        packages: What it brought that nothing before it had, without the standard library.
    """

    what: str
    wall: Spread
    cpu: Spread
    packages: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Round:
    bare: Step
    name: Step
    call: Step
    denied: Step
    plugin: Step


def measure_imports(sandbox: Sandbox, rounds: int) -> Sequence[Import]:
    """Import in fresh processes, *rounds* of each kind in turns; the first round warms the files.

    The plugin works within Prefect's import, so its cost is a difference of two processes.
    """
    measured = [_round(sandbox) for _ in range(rounds + 1)][1:]
    last = measured[-1]
    return [
        _import("import prefect", [each.bare for each in measured]),
        _import(
            "then prefect_instrumentation.setup",
            [each.name for each in measured],
            packages_of(last.name.modules) - packages_of(last.bare.modules),
        ),
        _import(
            "then setup(), or the plugin's first run",
            [each.call for each in measured],
            packages_of(last.call.modules) - packages_of(last.name.modules),
        ),
        _import("import prefect, plugins on, ours denied", [each.denied for each in measured]),
        _import(
            "our plugin besides",
            [_difference(each.plugin, each.denied) for each in measured],
            packages_of(last.plugin.modules) - packages_of(last.denied.modules),
        ),
    ]


def packages_of(modules: Iterable[str]) -> frozenset[str]:
    """Return the packages that modules belong to: `opentelemetry.sdk`, but `requests`."""
    parts = (module.split(".") for module in modules)
    return frozenset(".".join(each[: 2 if each[0] in _SHARED else 1]) for each in parts)


def _round(sandbox: Sandbox) -> _Round:
    bare, name, call = _steps(sandbox, _PREFECT, _SETUP, _CALL)
    (denied,) = _steps(sandbox, _PREFECT, **_DENIED)
    (plugin,) = _steps(sandbox, _PREFECT, **_ENABLED)
    return _Round(bare, name, call, denied, plugin)


def _steps(sandbox: Sandbox, *statements: str, **env: str) -> list[Step]:
    return msgspec.convert(answer(sandbox, "-c", _PROGRAM, *statements, **env), list[Step])


def _difference(one: Step, other: Step) -> Step:
    return Step(one.wall - other.wall, one.cpu - other.cpu, frozenset())


def _import(what: str, steps: Sequence[Step], packages: frozenset[str] = frozenset()) -> Import:
    return Import(
        what,
        spread([each.wall for each in steps]),
        spread([each.cpu for each in steps]),
        sorted(packages - {"prefect_instrumentation"} - sys.stdlib_module_names),
    )
