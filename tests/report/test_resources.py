"""Resources and access: what jobs ask for, what they use, what they cost, and what was refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.report.checks import (
    cpu_request_oversized,
    memory_request_oversized,
    memory_request_tight,
)
from prefect_exporter.report.model import Finding, Section, Severity
from prefect_exporter.report.question import Prices
from prefect_exporter.report.resources import quantities
from prefect_exporter.report.resources.pools import by_pool, by_type
from prefect_exporter.report.resources.requests import Requests, requests
from prefect_exporter.report.sections.resources import section
from prefect_exporter.report.usage import Delay, Name, PeakMemory, Usage
from prefect_exporter.report.wire import ToldDeployment, ToldWorkPool
from report.world import HOUR
from report.worlds import WorldBuilder, workspace

GIB, MIB = 2**30, 2**20
BARE = {"id": UUID(int=1), "name": "nightly", "flow_id": UUID(int=2)}
ETL = Name("etl", "nightly")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def _templates() -> Mapping[str, dict[str, Any]]:
    """Return the base job templates that Prefect ships, by pool type."""
    folder = files("prefect.server.api.collections_data") / "views"
    views = json.loads((folder / "aggregate-worker-metadata.json").read_text())
    return {
        kind: worker["default_base_job_configuration"]
        for collection in views.values()
        for kind, worker in collection.items()
    }


TEMPLATES = _templates()


def _requests(kind: str, template: dict[str, Any], **variables: object) -> Requests:
    world = workspace()
    with world:
        key = world.deployment(world.flow("etl"), "nightly", job_variables=variables)
        deployment = world.workspace.catalog.deployments[key.bytes]
    return requests(ToldWorkPool("pool", kind, base_job_template=template), deployment)


@pytest.mark.parametrize(
    ("parse", "value", "amount"),
    [
        (quantities.kubernetes, "512Mi", 512 * MIB),
        (quantities.kubernetes, "1G", 1e9),
        (quantities.kubernetes, "1.5Gi", 1.5 * GIB),
        (quantities.kubernetes, "250m", 0.25),
        (quantities.kubernetes, "1e3", 1000),
        (quantities.kubernetes, 2, 2),
        (quantities.kubernetes, ".5", 0.5),
        (quantities.docker_memory, "512m", 512 * MIB),
        (quantities.docker_memory, "4G", 4 * GIB),
        (quantities.docker_memory, 1073741824, GIB),
        (quantities.ecs_memory, 2048, 2 * GIB),
        (quantities.ecs_memory, "4 GB", 4 * GIB),
        (quantities.ecs_cpu, "512", 0.5),
        (quantities.ecs_cpu, "2 vCPU", 2),
        (quantities.gigabytes, 1.5, 1.5e9),
        (quantities.cores, 0.25, 0.25),
    ],
)
def test_amounts_are_read_as_their_platform_means_them(
    parse: Callable[[object], float | None], value: object, amount: float
) -> None:
    """The same number is bytes here, MiB there, and thousandths elsewhere."""
    assert parse(value) == pytest.approx(amount)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "much",
        "512mi",
        "-1",
        "0",
        "1 Gi",
        "1e999Gi",
        "9" * 40,
        [1],
        {},
        float("nan"),
    ],
)
def test_what_is_no_amount_is_none(value: object) -> None:
    """A template may hold anything, and a wrong reading is worse than none."""
    assert quantities.kubernetes(value) is None


@pytest.mark.parametrize(
    ("kind", "variables", "expected"),
    [
        (
            "kubernetes",
            {"memory_request": "512Mi", "memory_limit": "1Gi", "cpu_request": "250m"},
            (512 * MIB, GIB, 0.25),
        ),
        ("kubernetes", {"memory_limit": "1Gi", "cpu_limit": "2"}, (GIB, GIB, 2)),
        ("kubernetes", {}, (None, None, None)),
        ("ecs", {"memory": 2048, "cpu": 512}, (2 * GIB, 2 * GIB, 0.5)),
        ("ecs:push", {"memory": 2048}, (2 * GIB, 2 * GIB, None)),
        ("cloud-run", {"memory": "512Mi", "cpu": "1000m"}, (512 * MIB, 512 * MIB, 1)),
        ("cloud-run-v2", {}, (512 * MIB, 512 * MIB, 1)),
        ("cloud-run-v2", {"memory": "2Gi"}, (2 * GIB, 2 * GIB, 1)),
        ("azure-container-instance", {}, (1e9, 1e9, 1)),
        ("docker", {"mem_limit": "512m"}, (None, 512 * MIB, None)),
        ("process", {}, (None, None, None)),
        ("vertex-ai", {}, (None, None, None)),
    ],
)
def test_requests_are_read_from_prefects_own_templates(
    kind: str, variables: dict[str, object], expected: tuple[float | None, ...]
) -> None:
    """Of each type of pool: the deployment's variables, else the template's defaults."""
    found = _requests(kind, TEMPLATES[kind.removesuffix(":push")], **variables)

    amounts = [s.amount if s else None for s in (found.memory, found.memory_limit, found.cpu)]
    assert amounts == [each and pytest.approx(each) for each in expected]


def test_templates_of_ones_own_are_read_too() -> None:
    """Variables of any name, parts of a text, and amounts that are fixed in the template."""
    resources = {"requests": {"memory": "{{ ram }}Mi", "cpu": "{{ cores }}"}, "limits": {"cpu": 4}}
    pod = {"spec": {"template": {"spec": {"containers": [{"resources": resources}]}}}}
    template = {
        "job_configuration": {"job_manifest": pod},
        "variables": {"properties": {"ram": {"default": 256}}},
    }
    default = _requests("kubernetes", template)
    told = _requests("kubernetes", template, ram=512, cores="500m")

    assert default.memory
    assert (default.memory.amount, default.memory.text) == (256 * MIB, "256Mi")
    assert default.cpu
    assert (default.cpu.amount, default.cpu.variable) == (4, "")
    assert told.memory
    assert told.memory.amount == 512 * MIB
    assert told.cpu
    assert (told.cpu.amount, told.cpu.variable) == (0.5, "cores")


@given(st.dictionaries(st.sampled_from(["job_configuration", "variables"]), JSON), JSON)
def test_no_template_breaks_the_report(template: dict[str, Any], value: object) -> None:
    """Whatever JSON a template or a variable is, it is read without an error."""
    for kind in TEMPLATES:
        pool = ToldWorkPool("pool", kind, base_job_template=template)
        deployment = msgspec.convert({**BARE, "job_variables": {"memory": value}}, ToldDeployment)
        requests(pool, deployment)
        shipped = ToldWorkPool("pool", kind, base_job_template=TEMPLATES[kind])
        requests(shipped, deployment)


def _kubernetes(
    world: WorldBuilder, variables: Mapping[str, str], *, runs: int = 20, crashed: int = 0
) -> None:
    world.pool("k8s", type="kubernetes", base_job_template=TEMPLATES["kubernetes"])
    flow = world.flow("etl", tags=["team:data"])
    nightly = world.deployment(flow, "nightly", pool="k8s", job_variables=variables)
    for number in range(runs):
        state = "Crashed" if number < crashed else "Completed"
        world.run(flow, nightly, ended_ago=number * HOUR + 1, seconds=1800, state=state)


def _memory(mean: float, at_least: float, at_most: float, runs: float = 20.0) -> Usage:
    return Usage(memory={ETL: PeakMemory(runs, mean, at_least, at_most)})


def _oversized(usage: Usage, **variables: str) -> list[Finding]:
    with workspace(prices=Prices(memory_gib_hour=0.5)) as world:
        _kubernetes(world, variables)
        return list(memory_request_oversized.check(world.workspace, usage))


def test_oversized_memory_is_told_with_what_would_do() -> None:
    """The request that it proposes holds the highest peak and half as much again."""
    (found,) = _oversized(_memory(300 * MIB, 256 * MIB, 512 * MIB), memory_request="4Gi")

    assert found.subject == "etl/nightly"
    assert found.owner == "data"
    assert found.title == "etl/nightly asks for 4 GiB of memory and uses 512 MiB"
    assert found.evidence[0].numbers == {
        "runs": 20,
        "requested_bytes": 4 * GIB,
        "peak_at_most_bytes": 512 * MIB,
        "mean_peak_bytes": 300 * MIB,
        # 4 GiB less 768 MiB, for ten hours, at half a coin.
        "spared_gib_hours": 32.5,
        "spared_cost_a_week": 16.25,
    }
    assert found.action.change.startswith(
        "prefect deploy --name nightly --job-variable memory_request=768Mi,"
    )
    assert "memory_request=4Gi" in found.action.rollback


@pytest.mark.parametrize(
    ("usage", "asked"),
    [
        (_memory(300 * MIB, 256 * MIB, 512 * MIB), "1Gi"),
        (_memory(30 * MIB, 0, 64 * MIB), "256Mi"),
        (_memory(300 * MIB, 256 * MIB, 512 * MIB, runs=9), "4Gi"),
        (_memory(300 * MIB, 256 * MIB, float("inf")), "4Gi"),
        (Usage(), "4Gi"),
        (
            Usage(
                memory={ETL: PeakMemory(20, 300 * MIB, 256 * MIB, 512 * MIB)},
                spread=frozenset({ETL}),
            ),
            "4Gi",
        ),
    ],
    ids=["half", "little", "few-runs", "open", "unknown", "other-processes"],
)
def test_memory_that_may_be_needed_is_left(usage: Usage, asked: str) -> None:
    """Half used, little in all, few runs, or other processes of which nothing is known."""
    assert _oversized(usage, memory_request=asked) == []


def _tight(usage: Usage, variables: Mapping[str, str], crashed: int = 0) -> list[Finding]:
    with workspace() as world:
        _kubernetes(world, variables, crashed=crashed)
        return list(memory_request_tight.check(world.workspace, usage))


def test_tight_memory_is_worse_where_runs_crashed() -> None:
    """The limit counts, not the request; the mean is enough where the buckets are wide."""
    usage = _memory(950 * MIB, 512 * MIB, GIB)
    variables = {"memory_request": "512Mi", "memory_limit": "1Gi"}
    (calm,) = _tight(usage, variables)
    (crashing,) = _tight(usage, variables, crashed=3)

    assert calm.severity is Severity.MEDIUM
    assert calm.failures is None
    assert calm.title == "etl/nightly uses 93 % of its 1 GiB of memory"
    assert "memory_limit=1472Mi" in calm.action.change
    assert crashing.severity is Severity.HIGH
    assert crashing.failures == 3
    assert crashing.evidence[0].numbers["crashed"] == 3


@pytest.mark.parametrize(
    ("usage", "limit"),
    [
        (_memory(700 * MIB, 512 * MIB, GIB), "1Gi"),
        (_memory(950 * MIB, 512 * MIB, GIB, runs=4), "1Gi"),
        (_memory(950 * MIB, 512 * MIB, GIB), "2Gi"),
    ],
    ids=["not-surely", "few-runs", "room"],
)
def test_memory_with_room_is_left(usage: Usage, limit: str) -> None:
    """A peak somewhere below the limit is not near it."""
    assert _tight(usage, {"memory_limit": limit}) == []


def _cpu(seconds: float, asked: str, runs: int = 20) -> list[Finding]:
    with workspace() as world:
        _kubernetes(world, {"cpu_request": asked}, runs=runs)
        usage = Usage(cpu_seconds={ETL: seconds})
        return list(cpu_request_oversized.check(world.workspace, usage))


def test_idle_cpus_are_told() -> None:
    """An hour of CPU time in ten hours of two CPUs: a twentieth."""
    (found,) = _cpu(3600, "2")

    numbers = found.evidence[0].numbers
    assert (numbers["mean_cores"], numbers["requested_cores"]) == (0.1, 2)
    assert "cpu_request=1000m" in found.action.change


@pytest.mark.parametrize(
    ("seconds", "asked", "runs"),
    [(36_000 * 0.5, "2", 20), (100, "250m", 20), (100, "2", 9)],
    ids=["a-quarter", "small", "few"],
)
def test_cpus_that_may_be_needed_are_left(seconds: float, asked: str, runs: int) -> None:
    """A mean hides what is needed for a moment."""
    assert _cpu(seconds, asked, runs) == []


def test_amount_that_the_template_fixes_is_mended_there() -> None:
    """Without a variable the deployment cannot change it."""
    resources = {"requests": {"memory": "4Gi"}}
    pod = {"spec": {"template": {"spec": {"containers": [{"resources": resources}]}}}}
    with workspace() as world:
        _kubernetes(world, {})
        template = {"job_configuration": {"job_manifest": pod}}
        world.pool("k8s", type="kubernetes", base_job_template=template)
        usage = _memory(300 * MIB, 256 * MIB, 512 * MIB)
        (found,) = memory_request_oversized.check(world.workspace, usage)

    assert "prefect work-pool update k8s --base-job-template" in found.action.change
    assert "from 4Gi to 768Mi" in found.action.change


def _two_pools(world: WorldBuilder) -> None:
    world.pool("k8s", type="kubernetes", base_job_template=TEMPLATES["kubernetes"])
    world.pool("vm")
    flow = world.flow("etl")
    variables = {"memory_request": "2Gi", "cpu_request": "500m"}
    one = world.deployment(flow, "one", pool="k8s", job_variables=variables)
    two = world.deployment(flow, "two", pool="vm")
    for number in range(4):
        state = "Crashed" if number == 0 else "Completed"
        world.run(flow, one, ended_ago=number * HOUR + 1, seconds=1800, wait=40, state=state)
        world.run(flow, two, ended_ago=number * HOUR + 1, seconds=3600, wait=2)


def test_pools_and_types_are_compared() -> None:
    """Runs, crashes, hours and waits are those of the pool; a type has those of all its pools."""
    with workspace() as world:
        _two_pools(world)
        k8s, vm = by_pool(world.workspace)
        types = by_type(world.workspace)

    assert (k8s.names, k8s.type, k8s.runs, k8s.crash_rate) == (("k8s",), "kubernetes", 4, 0.25)
    assert (k8s.seconds, k8s.p50, k8s.cost) == (7200, 40, None)
    assert (vm.seconds, vm.p95, vm.crash_rate) == (14_400, 2, 0)
    assert [(each.type, each.runs) for each in types] == [("kubernetes", 4), ("process", 4)]


@pytest.mark.parametrize(
    ("prices", "k8s", "vm"),
    [
        (Prices(), None, None),
        (Prices(cpu_hour=1.0, memory_gib_hour=0.25), 2 * (0.5 + 0.5), None),
        (Prices(cpu_hour=1.0), 2 * 0.5, None),
        (Prices(cpu_hour=1.0, per_pool={"vm": 0.1}), 2 * 0.5, 0.4),
        (Prices(per_pool={"vm": 0.1}), None, 0.4),
    ],
    ids=["none", "both", "cpu", "cpu-and-pool", "pool"],
)
def test_cost_is_at_the_users_prices(prices: Prices, k8s: float | None, vm: float | None) -> None:
    """A pool's own price comes first; what asks for nothing has no cost by CPU or memory."""
    with workspace(prices=prices) as world:
        _two_pools(world)
        costs = [each.cost for each in by_pool(world.workspace)]
        found = section(world.workspace, None)

    assert costs == [k8s, vm]
    priced = [table.id for table in found.tables if any(c.title == "Cost" for c in table.columns)]
    assert bool(priced) == (prices != Prices())


def _table(found: Section, name: str) -> list[tuple[object, ...]]:
    return [tuple(row.cells) for table in found.tables if table.id == name for row in table.rows]


def test_section_shows_requests_beside_use() -> None:
    """What is asked for, what was used, and what Prometheus says of the start delay."""
    usage = Usage(
        memory={ETL: PeakMemory(20, 300 * MIB, 256 * MIB, 512 * MIB)},
        cpu_seconds={ETL: 3600},
        start_delays={"k8s": Delay(1.0, 9.0)},
    )
    with workspace() as world:
        _kubernetes(world, {"memory_request": "4Gi", "cpu_request": "2"})
        found = section(world.workspace, usage)

    expected = ("etl/nightly", "k8s", 4 * GIB, None, 300 * MIB, 512 * MIB, 2, 0.1)
    assert _table(found, "requests-against-use") == [expected]
    assert _table(found, "work-pools-compared")[0][-1] == 9
    assert "peak memory of 1 deployment" in found.paragraphs[1]


def test_section_without_prometheus_says_what_is_missing() -> None:
    """What the API alone tells is there; of the rest it says how to get it."""
    with workspace() as world:
        _two_pools(world)
        found = section(world.workspace, None)

    ids = [table.id for table in found.tables]
    assert ids == ["work-pool-types-compared", "work-pools-compared"]
    assert any("--prometheus-url" in text for text in found.paragraphs)


def test_what_was_refused_is_told() -> None:
    """Routes that a key may not read are listed, and Cloud's workspace is named."""
    account, space = "a" * 8 + "-0000" * 3 + "-" + "0" * 12, "b" * 8 + "-0000" * 3 + "-" + "0" * 12
    url = f"https://api.prefect.cloud/api/accounts/{account}/workspaces/{space}"
    with workspace(api_url=url, is_cloud=True) as world:
        world.server("3.8.8", automations="403")
        refused = section(world.workspace, None)
    with workspace() as world:
        world.server("3.8.8")
        whole = section(world.workspace, None)

    assert _table(refused, "not-to-be-read") == [("automations", "403")]
    assert f"This is workspace {space} of account {account} of Prefect Cloud." in refused.paragraphs
    assert _table(whole, "not-to-be-read") == []
    assert not any("Cloud" in text for text in whole.paragraphs)
