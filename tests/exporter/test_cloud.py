"""The whole exporter against Prefect Cloud as it is documented; docs/targets.md has the sources."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import stamina
from pydantic import SecretStr
from structlog.testing import capture_logs

from clouds import KEY, Cloud, run_all, told_by_schema, told_plainly
from contexts import TARGET, ledger_of, settings_of
from fronts import plain
from misbehaving import Fault
from prefect_exporter import collectors
from prefect_exporter.api import RunFilter
from prefect_exporter.client import PrefectClient
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.flow_runs import FINISHED
from prefect_exporter.directory import Directory
from prefect_exporter.exchanges import Exchange, budget_of
from prefect_exporter.facts import Change, Cursor
from prefect_exporter.moments import DAY
from prefect_exporter.polling import now_us
from prefect_exporter.runner import Outages, Runner
from prefect_exporter.server import Auth, create_app
from prefect_exporter.service import Service
from prefect_exporter.settings import Settings
from prefect_exporter.store import Store
from scripted import CONNECTION, Scripted, answer, now, run

AUTH_STRING = "admin:hunter2doNotShow"
# Nothing can be counted without these; every other route may be missing.
NEEDED = {
    "deployments/filter",
    "flow_runs/count",
    "flow_runs/filter",
    "flows/filter",
    "task_runs/count",
    "task_runs/filter",
}
OPTIONAL = (
    "admin/version",
    "automations/filter",
    "concurrency_limits/filter",
    "events/count-by/event",
    "events/filter",
    "ready",
    "v2/concurrency_limits/filter",
    "work_pools/filter",
    "work_pools/workers/filter",
    "work_queues/filter",
)
Samples = dict[str, float]


@pytest.fixture(name="quick")
def _quick() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@asynccontextmanager
async def serving(cloud: Cloud, path: Path, **changes: object) -> AsyncIterator[Service]:
    """Run the exporter on a workspace, with a key unless told otherwise."""
    given = {"api_url": cloud.url, "api_key": SecretStr(KEY), "state_path": path / "ledger"}
    async with Service(settings_of().model_copy(update=given | changes)) as service:
        yield service


async def poll(service: Service) -> Samples:
    """Let every collector poll once and a scrape take it; return what is published then."""
    await asyncio.gather(*(runner.tick() for runner in service.runners))
    for _ in range(2):
        await service.publisher.publish()
        service.served(service.exposition().version)
    lines = plain(service.exposition().text).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in pairs}


async def readiness(service: Service) -> int:
    """Return the status of `/readyz`."""
    transport = httpx.ASGITransport(create_app(service, auth=Auth()))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        return (await client.get("/readyz")).status_code


def summed(samples: Samples, name: str) -> float:
    """Return the sum of a family."""
    return sum(value for series, value in samples.items() if series.startswith(f"{name}{{"))


def by_collector(samples: Samples, name: str) -> dict[str, float]:
    """Return a family by its label `collector`."""
    start = f'{name}{{collector="'
    return {
        series.removeprefix(start).partition('"')[0]: value
        for series, value in samples.items()
        if series.startswith(start)
    }


def test_workspace_is_counted(tmp_path: Path) -> None:
    """Runs that end in a workspace are counted once, and nothing fails."""

    async def check() -> tuple[Samples, int]:
        async with Cloud() as cloud, serving(cloud, tmp_path) as service:
            cloud.add(3)
            await poll(service)
            run_all(cloud.prefect)
            await poll(service)
            return await poll(service), await readiness(service)

    with capture_logs() as logs:
        samples, ready = asyncio.run(check())

    assert (3, 3, 200) == (
        summed(samples, "prefect_flow_runs_finished_total"),
        summed(samples, "prefect_task_runs_finished_total"),
        ready,
    )
    assert {1.0} == set(by_collector(samples, "prefect_exporter_collector_success").values())
    assert [] == [line for line in logs if line["event"] == "poll.failed"]


def test_key_is_in_one_header_of_every_request(tmp_path: Path) -> None:
    """Every request carries the key as bearer, and nothing else of us shows it.

    https://docs.prefect.io/v3/api-ref/rest-api
    """

    async def check() -> tuple[Cloud, str]:
        async with Cloud() as cloud, serving(cloud, tmp_path) as service:
            await poll(service)
            return cloud, f"{plain(service.exposition().openmetrics)!r} {service.status()!r}"

    with capture_logs() as logs:
        cloud, shown = asyncio.run(check())

    assert {f"Bearer {KEY}"} == {each.headers["authorization"] for each in cloud.requests}
    said = [
        f"{each.method} {each.path} {each.body!r} "
        f"{[value for name, value in each.headers.items() if name != 'authorization']}"
        for each in cloud.requests
    ]
    assert KEY not in "".join([*said, shown, str(logs)])


def test_auth_string_wins_over_the_key(tmp_path: Path) -> None:
    """With both set, every request carries the auth string, as those of Prefect's client do."""

    async def check() -> Cloud:
        async with (
            Cloud() as cloud,
            serving(cloud, tmp_path, api_auth_string=SecretStr(AUTH_STRING)) as service,
        ):
            await poll(service)
            return cloud

    cloud = asyncio.run(check())

    assert {"Basic"} == {each.headers["authorization"].split()[0] for each in cloud.requests}
    assert {401} == {status for _, status in cloud.served}


@pytest.mark.parametrize("too_long", [told_plainly, told_by_schema])
def test_page_sizes_are_learnt(tmp_path: Path, too_long: Callable[[int], object]) -> None:
    """Every list is read whole in pages as short as Cloud wants them, once it has said so.

    Cloud's limits are not documented; the open-source server's are.
    """

    async def check() -> tuple[Cloud, Samples]:
        async with (
            Cloud(page_limit=3, too_long=too_long) as cloud,
            serving(cloud, tmp_path) as service,
        ):
            cloud.add(4)
            await poll(service)
            run_all(cloud.prefect)
            first = len(cloud.served)
            await poll(service)
            assert 422 not in {status for _, status in cloud.served[first:]}
            return cloud, await poll(service)

    cloud, samples = asyncio.run(check())

    assert 422 in {status for _, status in cloud.served}
    numbers = {
        "prefect_flow_runs_finished_total": 4,
        "prefect_task_runs_finished_total": 4,
        "prefect_deployments": 4,
        "prefect_work_pool_info": 4,
        "prefect_workers": 16,
        "prefect_work_queue_priority": 6,
        "prefect_concurrency_limit_slots": 12,
        "prefect_automation_enabled": 4,
    }
    assert numbers == {name: summed(samples, name) for name in numbers}
    assert {0.0} == set(by_collector(samples, "prefect_exporter_truncated").values())


def test_events_are_asked_for_within_fourteen_days(tmp_path: Path) -> None:
    """No query for events spans more than Cloud answers.

    https://docs.prefect.io/v3/concepts/rate-limits
    """

    async def check() -> Cloud:
        async with Cloud() as cloud, serving(cloud, tmp_path) as service:
            cloud.add(2)
            long_ago = datetime.now(UTC) - timedelta(hours=1)
            cloud.prefect.add_flow_run("RUNNING", at=long_ago)
            for _ in range(2):
                await poll(service)
            return cloud

    cloud = asyncio.run(check())

    assert len(cloud.spans) >= 4
    assert max(cloud.spans) <= timedelta(days=14)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_long_pause_loses_nothing(tmp_path: Path, form: str) -> None:
    """A 429 stops every request until its time has come; then what ended meanwhile is counted.

    The header is documented, its form is not; Prefect's own client reads both.
    https://docs.prefect.io/v3/concepts/rate-limits
    """
    asyncio.run(_pause(tmp_path, form))


async def _pause(path: Path, form: str) -> None:
    settings = settings_of().model_copy(update={"api_key": SecretStr(KEY)})
    store = Store(ledger_of(path / "ledger", settings))
    exchanges: list[Exchange] = []
    skipped = 0.0
    async with Cloud() as cloud:
        cloud.add(3)
        settings = settings.model_copy(update={"api_url": cloud.url})
        async with PrefectClient(
            settings.connection(),
            observe=exchanges.append,
            clock=lambda: time.monotonic() + skipped,
        ) as client:
            runners = _runners(client, store, settings)
            await _tick(runners)
            until = datetime.now(UTC) + timedelta(seconds=120)
            cloud.retry_after = "120" if form == "seconds" else format_datetime(until, usegmt=True)
            await cloud.misbehave(Fault.THROTTLED)
            await _tick(runners)
            await cloud.behave()
            run_all(cloud.prefect)

            skipped, asked = 110.0, len(cloud.requests)
            await _tick(runners)
            assert asked == len(cloud.requests)

            skipped = 121.0
            await _tick(runners)
    counted = store.ledger.tally.scalars[FINISHED.name]
    store.close()

    ended = ((TARGET, f"flow-{n}", f"nightly-{n}", "false", "completed") for n in range(3))
    assert [1.0] * 3 == [counted[labels] for labels in ended]
    assert "throttled" in {each.error_kind for each in exchanges if each.status == "429"}


async def _tick(runners: list[Runner[collectors.base.State]]) -> None:
    await asyncio.gather(*(runner.tick() for runner in runners))


def _runners(
    client: PrefectClient, store: Store, settings: Settings
) -> list[Runner[collectors.base.State]]:
    directory = Directory(TARGET, client, store)
    context = Context(TARGET, client, directory, store, settings, now_us, time.monotonic)
    outages = Outages(TARGET, time.monotonic)
    return [Runner(each, context, outages) for each in collectors.build(settings)]


def test_short_pause_is_waited_for_and_counted(tmp_path: Path) -> None:
    """A 429 that asks for a second delays the poll, fails nothing, and shows in the requests."""

    async def check() -> Samples:
        async with Cloud(retry_after="1") as cloud, serving(cloud, tmp_path) as service:
            cloud.add(3)
            await poll(service)
            run_all(cloud.prefect)
            cloud.script(*[Fault.THROTTLED] * 3)
            return await poll(service)

    with capture_logs() as logs:
        samples = asyncio.run(check())

    throttled = {
        series: value
        for series, value in samples.items()
        if series.startswith("prefect_exporter_api_requests_total{") and 'status="429"' in series
    }
    assert 3 == sum(throttled.values())
    assert 3 == samples['prefect_exporter_api_errors_total{kind="throttled",target="default"}']
    assert 3 == summed(samples, "prefect_flow_runs_finished_total")
    assert [] == [line for line in logs if line["event"] == "poll.failed"]


def test_clients_that_share_a_budget_keep_it() -> None:
    """In no minute do the workspaces of one account ask more than their budget together.

    https://docs.prefect.io/v3/concepts/rate-limits counts for each account.
    """
    servers = [Scripted([lambda _: answer([])]), Scripted([lambda _: answer([])])]

    async def ask(client: PrefectClient) -> None:
        for _ in range(50):
            await client.flow_runs(RunFilter(), "ID_DESC")

    async def both() -> None:
        budget = budget_of(30)
        await asyncio.gather(
            *(
                ask(
                    PrefectClient(
                        CONNECTION,
                        observe=server.exchanges.append,
                        budget=budget,
                        clock=now,
                        transport=httpx.MockTransport(server.respond),
                    )
                )
                for server in servers
            )
        )

    run(both())

    times = sorted(time for server in servers for time in server.times)
    windows = [sum(at <= other < at + 60 for other in times) for at in times]
    assert [50, 50] == [len(server.times) for server in servers]
    assert 27 <= max(windows) <= 30
    # Neither waits until the other has done.
    assert abs(servers[0].times[-1] - servers[1].times[-1]) < 30


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [404, 405, 501])
def test_missing_routes_are_no_failure(tmp_path: Path, status: int) -> None:
    """Where all that can be missing is, runs are counted, and the rest says that it is missing.

    Which routes Cloud has is not documented outside of its interactive reference.
    """

    async def check() -> tuple[Samples, int]:
        async with (
            Cloud(lacking=frozenset(OPTIONAL), lacking_status=status) as cloud,
            serving(cloud, tmp_path) as service,
        ):
            cloud.add(3)
            await poll(service)
            run_all(cloud.prefect)
            await poll(service)
            return await poll(service), await readiness(service)

    with capture_logs() as logs:
        samples, ready = asyncio.run(check())

    supported = by_collector(samples, "prefect_exporter_collector_supported")
    lacking = {name for name, value in supported.items() if not value}
    assert {
        "automations",
        "concurrency_limits",
        "events",
        "flow_run_events",
        "late_causes",
        "work_pools",
        "work_queues",
        "workers",
    } == lacking
    assert 3 == summed(samples, "prefect_flow_runs_finished_total")
    assert 200 == ready
    assert [] == [line for line in logs if line["event"] == "poll.failed"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("route", OPTIONAL)
def test_missing_route_is_no_failure(tmp_path: Path, route: str) -> None:
    """Whichever route is missing, no collector fails for it, and runs are counted."""

    async def check() -> tuple[Cloud, Samples]:
        async with Cloud(lacking=frozenset({route})) as cloud, serving(cloud, tmp_path) as service:
            cloud.add(2)
            await poll(service)
            run_all(cloud.prefect)
            return cloud, await poll(service)

    cloud, samples = asyncio.run(check())

    assert 404 in cloud.statuses(route)
    assert 0.0 not in by_collector(samples, "prefect_exporter_collector_success").values()
    assert 2 == summed(samples, "prefect_flow_runs_finished_total")
    assert 1 == samples['prefect_server_up{target="default"}']


def test_every_route_is_needed_or_may_be_missing(tmp_path: Path) -> None:
    """The routes of these tests are all that the exporter asks."""

    async def check() -> Cloud:
        async with Cloud() as cloud, serving(cloud, tmp_path) as service:
            cloud.add(2)
            await poll(service)
            run_all(cloud.prefect)
            await poll(service)
            return cloud

    cloud = asyncio.run(check())

    assert NEEDED | set(OPTIONAL) == {route for route, _ in cloud.served}


def test_server_without_ready_is_up(tmp_path: Path) -> None:
    """Where no route says whether Prefect is ready, it is up, and no readiness is made up."""

    async def check() -> tuple[Samples, Samples]:
        async with (
            Cloud(lacking=frozenset({"ready", "admin/version"})) as cloud,
            serving(cloud, tmp_path) as service,
        ):
            up = await poll(service)
            await cloud.misbehave(Fault.BAD_GATEWAY)
            return up, await poll(service)

    with stamina.set_testing(True, attempts=1):
        samples = asyncio.run(check())

    assert [1, 0] == [each['prefect_server_up{target="default"}'] for each in samples]
    assert not [name for each in samples for name in each if "prefect_server_ready" in name]
    assert not [name for each in samples for name in each if "prefect_server_info" in name]


@pytest.mark.usefixtures("quick")
def test_wrong_key_is_told(tmp_path: Path) -> None:
    """With a wrong key the exporter is not ready, and one line says what to check."""

    async def check() -> tuple[Samples, int]:
        wrong = SecretStr("pnu_wrong")
        async with Cloud() as cloud, serving(cloud, tmp_path, api_key=wrong) as service:
            return await poll(service), await readiness(service)

    with capture_logs() as logs:
        samples, ready = asyncio.run(check())

    failed = [line for line in logs if line["event"] == "poll.failed"]
    assert [("unauthorized", 1)] == [(line["kind"], len(failed)) for line in failed]
    assert failed[0]["reason"].endswith("check PREFECT_API_AUTH_STRING or PREFECT_API_KEY")
    assert (503, 0) == (ready, samples['prefect_server_up{target="default"}'])


@pytest.mark.usefixtures("quick")
def test_wrong_workspace_is_told(tmp_path: Path) -> None:
    """With a wrong workspace, what cannot be missing fails and says where to look."""

    async def check() -> tuple[Samples, int]:
        async with Cloud() as cloud:
            url = cloud.url.replace("2222", "3333")
            async with serving(cloud, tmp_path, api_url=url) as service:
                return await poll(service), await readiness(service)

    with capture_logs() as logs:
        samples, ready = asyncio.run(check())

    failed = [line for line in logs if line["event"] == "poll.failed"]
    assert [("not_found", 1)] == [(line["kind"], len(failed)) for line in failed]
    assert failed[0]["reason"].endswith("check the account and the workspace in PREFECT_API_URL")
    success = by_collector(samples, "prefect_exporter_collector_success")
    assert {0.0} == {success[name] for name in ("flow_runs", "flow_run_starts", "task_runs")}
    assert (503, 0) == (ready, samples['prefect_server_up{target="default"}'])


def test_quiet_workspace_goes_on(tmp_path: Path) -> None:
    """Where nothing happened for longer than a query may span, events are read all the same.

    https://docs.prefect.io/v3/concepts/rate-limits
    """
    long_ago = now_us() - 20 * DAY
    mark = Cursor(long_ago, long_ago, long_ago)
    ledger = ledger_of(tmp_path / "ledger", settings_of())
    ledger.commit(
        Change("default", "flow_runs", cursors={"flow_runs": mark, "flow_run_events": mark})
    )
    ledger.close()

    async def check() -> tuple[Cloud, Samples]:
        async with Cloud() as cloud, serving(cloud, tmp_path) as service:
            await poll(service)
            run_all(cloud.prefect)
            return cloud, await poll(service)

    cloud, samples = asyncio.run(check())

    success = by_collector(samples, "prefect_exporter_collector_success")
    assert 1 == success["flow_run_events"]
    assert max(cloud.spans) <= timedelta(days=14)
