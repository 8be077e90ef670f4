"""Real runs of Prefect's: what their logs say outside is what instrumentation said inside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

import pytest

import traced_scene
from demo.processes import wait_until
from prefect_exporter.api import RunFilter
from prefect_exporter.client import PrefectClient
from prefect_exporter.failures.model import Basis, Failed, Signature
from prefect_exporter.failures.reading import tracebacks
from prefect_exporter.failures.signatures import assigned
from prefect_exporter.moments import micros
from prefect_exporter.settings import Settings
from prefect_exporter.wire import FlowRunRecord
from received_spans import ReceivedSpan

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

# Prefect writes no traceback of these into its logs: docs/errors.md, limits.
WITHOUT_TRACEBACK = {"exits", "interrupted", "too-slow", "returned", "of-parameters"}
KEYS = ("error.type", "prefect.error.fingerprint", "prefect.error.category")


@dataclass(frozen=True)
class Told:
    """What is known of a run from outside, and what its own process said of it."""

    signature: Signature
    inside: tuple[str, str, str]


@pytest.fixture(name="told", scope="module")
def _told() -> Iterator[Mapping[str, Told]]:
    with traced_scene.scene() as scene:
        argv = traced_scene.command("plugin", "failures.failing_flows")
        scene.start("failing", argv, scene.environment("failing", "plugin", "http")).wait(300)

        def spans() -> dict[object, ReceivedSpan]:
            found = [each for each in scene.receiver.spans() if KEYS[0] in each.attributes]
            of_flows = [each for each in found if each.attributes["prefect.run.type"] == "flow"]
            return {each.attributes["prefect.flow_run.id"]: each for each in of_flows}

        # 21 cases and a subflow; log lines arrive with the same delay as spans.
        wait_until(lambda: len(spans()) >= 22, within=120, what="22 spans of failed flow runs")
        names, found = asyncio.run(_read(scene.server.api_url))
        yield {
            names[each.run_id]: Told(signature, _inside(spans(), each)) for each, signature in found
        }


async def _read(url: str) -> tuple[dict[bytes, str], list[tuple[Failed, Signature]]]:
    settings = Settings.model_validate({"PREFECT_API_URL": url})
    async with PrefectClient(settings.connection(), observe=lambda _: None) as api:
        where = RunFilter(state_types=("FAILED", "CRASHED"))
        rows = (await api.flow_run_records(where, "END_TIME_DESC")).rows
        flows = {row.id: row.name for row in await api.flows([row.flow_id for row in rows])}
        failures = [_failed(row, flows[row.flow_id]) for row in rows]
        for _ in range(20):
            read = await tracebacks(api, failures, most_requests=10)
            if sum(map(bool, read.texts.values())) >= len(rows) - len(WITHOUT_TRACEBACK):
                break
            await asyncio.sleep(0.5)
    names = {row.id.bytes: flows[row.flow_id] for row in rows}
    return names, [(each.failed, each.signature) for each in assigned(failures, read.texts)]


def _failed(row: FlowRunRecord, flow: str) -> Failed:
    assert row.state is not None
    assert row.end_time is not None
    state = row.state
    message = state.message or ""
    ended_us = micros(row.end_time)
    return Failed(row.id.bytes, row.name, flow, "", state.type, state.name, message, ended_us)


def _inside(spans: Mapping[object, ReceivedSpan], failed: Failed) -> tuple[str, str, str]:
    span = spans[str(UUID(bytes=failed.run_id))]
    kind, fingerprint, category = (str(span.attributes[key]) for key in KEYS)
    return kind, fingerprint, category


def test_fingerprint_is_the_same_inside_and_outside(told: Mapping[str, Told]) -> None:
    """Tasks, subflows, retries, causes, groups, recursions, bad code, notes, clients."""
    found = {
        name: (each.signature.type, each.signature.fingerprint, each.signature.category)
        for name, each in told.items()
        if name not in WITHOUT_TRACEBACK
    }

    assert 17 == len(found)
    assert {name: each.inside for name, each in told.items() if name in found} == found


def test_category_is_the_same_where_there_is_no_traceback(told: Mapping[str, Told]) -> None:
    """Crashes, timeouts, returned states and parameters have no fingerprint outside."""
    found = {name: each for name, each in told.items() if name in WITHOUT_TRACEBACK}

    assert WITHOUT_TRACEBACK == {*found}
    assert all(each.signature.basis is not Basis.TRACEBACK for each in found.values())
    assert {name: each.inside[2] for name, each in found.items()} == {
        name: each.signature.category for name, each in found.items()
    }
