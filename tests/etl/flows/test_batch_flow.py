"""The flow of one client's batch, seen from outside: by its spans, metrics, artifacts and state."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence

import pytest

from demo.api import ask
from demo.processes import Program
from order_lakes import expected
from order_rows import TEN, add, row
from order_runs import Moment
from order_scene import Outcome, Shop
from order_telemetry import WatchedScene, comes, last, totals, trace_of, watched_shop
from otlp_receiver import OtlpReceiver, ReceivedSpan

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

# Chunks of some hundred rows, so that there are several.
SMALL = {"ETL_MEMORY_MIB": "16", "ETL_PARALLEL": "64"}
ROWS = 500
BAD = (TEN["bad_amount"].raw, TEN["not_json"].raw, row(7, currency="XXX"))

STEPS = {
    "extract": ("redis://orders", "file://lake/orders/spool"),
    "validate": ("file://lake/orders/spool", "file://lake/orders/spool"),
    "convert": ("file://lake/orders/spool", "file://lake/orders/spool"),
    "load": ("file://lake/orders/spool", "file://lake/orders"),
}


@pytest.fixture(scope="module", name="batch")
def _batch(scene: WatchedScene) -> Iterator[Batch]:
    """Load a client with some hundred rows, of which three are bad."""
    with watched_shop(scene, "first", **SMALL) as shop:
        good, bad = fill(shop)
        yield Batch(shop, good, bad, shop.run())


class Batch:
    """A batch that has been run, and what was to become of its rows."""

    def __init__(
        self, shop: Shop, good: Sequence[str], bad: Sequence[str], outcome: Outcome
    ) -> None:
        self.shop = shop
        self.good = good
        self.bad = bad
        self.outcome = outcome


def fill(shop: Shop, rows: int = ROWS, bad: Sequence[bytes] = BAD) -> tuple[list[str], list[str]]:
    """Add rows to the client's stream; return the ids of good and of bad ones."""
    with shop.redis as connection:
        good = add(connection, shop.client, map(row, range(rows)))
        return good, add(connection, shop.client, bad)


def newest_run(
    scene: WatchedScene, client: str, flow: str = "client-batch"
) -> Mapping[str, object]:
    """Return what Prefect has of the client's newest run."""
    with scene.server.client() as api:
        runs = ask(
            api, "/flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="START_TIME_DESC"
        )
    found: Mapping[str, object] = next(
        run for run in runs if run["parameters"].get("client") == client
    )
    return found


def artifacts(scene: WatchedScene, run: Mapping[str, object]) -> dict[str, object]:
    """Return the data of a run's artifacts by type."""
    with scene.server.client() as api:
        found = ask(api, "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})
    return {each["type"]: each["data"] for each in found}


def named(spans: Sequence[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    """Return the spans of the task of that name."""
    return [each for each in spans if each.name == f"task {name}"]


def test_batch_loads_each_row_once(batch: Batch) -> None:
    """Good rows are in parts; bad ones, a currency without a rate too, are dead letters."""
    assert ("COMPLETED", expected(batch.good, batch.bad)) == (
        batch.outcome.type,
        batch.shop.orders(),
    )
    assert [] == batch.shop.leftovers()


def test_every_step_is_in_one_trace(scene: WatchedScene, batch: Batch) -> None:
    """Below the flow are its steps; each chunk is a task run, and each of its steps below it."""
    spans = trace_of(scene.receiver, batch.shop.client)
    chunks = named(spans, "work_chunk")
    below = [
        tuple(sorted(each.name for each in spans if each.parent_id == chunk.span_id))
        for chunk in chunks
    ]

    assert len(chunks) > 1
    assert {("task convert", "task extract", "task load", "task validate")} == set(below)
    once = {"settle": 1, "newest": 1, "plan": 2, "rates": 1}
    assert once == {name: len(named(spans, name)) for name in once}
    assert {"COMPLETED"} == {
        each.attributes["prefect.state.type"] for each in spans if each.name.startswith("task ")
    }


def test_every_step_says_what_it_moved_and_where(scene: WatchedScene, batch: Batch) -> None:
    """Source, destination, records, bytes and memory are on the span of each step of a chunk."""
    spans = trace_of(scene.receiver, batch.shop.client)
    total = ROWS + len(BAD)
    records = {"extract": total, "validate": total, "convert": ROWS, "load": ROWS}

    for name, (source, destination) in STEPS.items():
        told = [each.attributes for each in named(spans, name)]
        assert {(source, destination)} == {
            (each["prefect.source"], each["prefect.destination"]) for each in told
        }
        assert records[name] == sum(int(str(each["prefect.io.records"])) for each in told)
        assert all(int(str(each["prefect.io.bytes"])) > 0 for each in told)
        assert {16 * 2**20} == {each["rows_budget_bytes"] for each in told}
        assert all(int(str(each["memory_peak_bytes"])) > 2**20 for each in told)


def test_rows_and_letters_are_metrics(scene: WatchedScene, batch: Batch) -> None:
    """Rows by what became of them, the depth of the dead letters, and the breaker's state."""
    receiver, client = scene.receiver, batch.shop.client

    def rows() -> dict[str, float]:
        found = totals(receiver, "etl_rows_total", "client", "outcome")
        return {str(key[1]): value for key, value in found.items() if key[0] == client}

    want = {"accepted": ROWS, "rejected": len(BAD), "replayed": 0}
    comes(lambda: want == rows(), "the rows of the batch")
    comes(
        lambda: len(BAD) == last(receiver, "prefect_sdk_dead_letters", queue=f"orders:{client}"),
        "the depth of the dead letters",
    )
    comes(
        lambda: (
            1
            == last(
                receiver, "prefect_sdk_circuit_breaker_state", breaker="etl-rates", state="closed"
            )
        ),
        "the breaker's state",
    )


def test_no_metric_has_a_label_that_grows(scene: WatchedScene, batch: Batch) -> None:
    """Sources and destinations have no client, no chunk and no row in them."""
    places = {
        point.attributes.get(label)
        for metric in scene.receiver.metrics()
        if metric.name.startswith("prefect_sdk_io")
        for point in metric.points
        for label in ("source", "destination")
    }

    assert batch.outcome.type == "COMPLETED"
    assert places <= {
        "",
        "https://rates",
        "prefect://results",
        "redis://orders",
        "redis://orders/dead",
        "file://lake/orders",
        "file://lake/orders/plans",
        "file://lake/orders/spool",
    }


def test_run_leaves_its_progress_and_a_summary(scene: WatchedScene, batch: Batch) -> None:
    """As artifacts for people, and as labels for whoever started it."""
    run = newest_run(scene, batch.shop.client)
    found = artifacts(scene, run)

    assert 100.0 == float(str(found["progress"]))
    assert f"| {ROWS + len(BAD):,} | {ROWS:,} | {len(BAD)} | 0 |" in str(found["markdown"])
    labels = run["labels"]
    assert isinstance(labels, dict)
    told = {name: labels[f"etl.{name}"] for name in ("rows", "accepted", "rejected", "lost")}
    assert {"rows": ROWS + len(BAD), "accepted": ROWS, "rejected": len(BAD), "lost": 0} == told


def test_second_run_does_not_ask_for_rates_again(scene: WatchedScene) -> None:
    """The rates of a day are cached; the run loads what is new, and nothing else."""
    with watched_shop(scene, "again", **SMALL) as shop:
        good, bad = fill(shop, rows=10)
        shop.run()
        asked = scene.rates.asked()
        more, more_bad = fill(shop, rows=20)
        outcome = shop.run()

        assert ("COMPLETED", expected(good + more, bad + more_bad)) == (outcome.type, shop.orders())
        assert asked == scene.rates.asked()
        spans = trace_of(scene.receiver, shop.client, runs=2)
        assert [True] == [each.attributes.get("prefect.cached") for each in named(spans, "rates")]


def test_empty_stream_is_a_batch_of_nothing(scene: WatchedScene) -> None:
    """No rows, no rates, no error."""
    with watched_shop(scene, "nothing") as shop:
        asked = scene.rates.asked()
        outcome = shop.run()

        assert ("COMPLETED", expected([])) == (outcome.type, shop.orders())
        assert asked == scene.rates.asked()
        run = newest_run(scene, shop.client)
        assert 100.0 == float(str(artifacts(scene, run)["progress"]))


def test_rows_can_be_limited(scene: WatchedScene) -> None:
    """A run plans no more rows than it may; the next one goes on."""
    with watched_shop(scene, "limited") as shop:
        good, _ = fill(shop, rows=30, bad=())
        shop.run(max_rows=10)
        first = shop.orders()
        shop.run(max_rows=100)

        assert expected(good[:10]) == first
        assert expected(good) == shop.orders()


def test_too_many_rejected_rows_fail_the_run_and_not_the_others(scene: WatchedScene) -> None:
    """The good rows are loaded; the failure is data's, and says how many of how many."""
    with watched_shop(scene, "spoiled", ETL_MAX_REJECTED="0.1") as shop:
        good, bad = fill(shop, rows=10)
        outcome = shop.run()

        assert expected(good, bad) == shop.orders()
        assert "FAILED" == outcome.type
        assert "spoiled: 3 of 13 rows were rejected, more than 10%" in outcome.message
        (flow,) = (
            each
            for each in trace_of(scene.receiver, shop.client)
            if each.name == "flow client-batch"
        )
        assert ("etl.errors.TooManyRejected", "data") == (
            flow.attributes["error.type"],
            flow.attributes["prefect.error.category"],
        )


def test_recovery_is_counted(scene: WatchedScene) -> None:
    """A step that succeeded at its third attempt is one recovery."""
    receiver = scene.receiver
    key = ("rates", "recovered")
    before = totals(receiver, "etl_recoveries_total", "step", "outcome").get(key, 0)
    with watched_shop(scene, "recovering") as shop:
        good, _ = fill(shop, rows=5, bad=())
        scene.rates.behave("error", times=2)
        outcome = shop.run()

        assert ("COMPLETED", expected(good)) == (outcome.type, shop.orders())
    comes(
        lambda: before + 1 == totals(receiver, "etl_recoveries_total", "step", "outcome").get(key),
        "the recovery",
    )


def test_batch_that_takes_too_long_is_a_timeout(scene: WatchedScene) -> None:
    """A service that hangs costs the run its time, and no row: the next run loads all."""
    with watched_shop(scene, "hanging") as shop:
        good, _ = fill(shop, rows=5, bad=())
        hanging = f"{scene.rates.url}/faulty/hang"
        run_alone(scene, shop, ETL_TIMEOUT_SECONDS="4", ETL_RATES_URL=hanging)
        state = newest_run(scene, shop.client)["state_name"]
        nothing = shop.orders()
        shop.run()

        assert ("TimedOut", expected([])) == (state, nothing)
        assert expected(good) == shop.orders()


def test_name_that_is_no_client_is_refused(scene: WatchedScene) -> None:
    """Nothing is made outside of the lake, and the failure is the caller's."""
    with watched_shop(scene, "../../outside") as shop:
        outcome = shop.run()

        assert "FAILED" == outcome.type
        assert "cannot be a client" in outcome.message
        assert [] == [each for each in shop.lake.parent.rglob("*") if "outside" in each.name]


def test_two_workers_share_a_batch(scene: WatchedScene) -> None:
    """Both end well, each row is there once, and each of them has committed some chunks.

    The first stands still with a chunk or two in its hands, until the other has done the rest.
    """
    with watched_shop(scene, "shared", ETL_LEASE_SECONDS="600", **SMALL) as shop:
        good, bad = fill(shop, rows=4 * ROWS)
        with shop.running(moment=Moment.SPOOLED, what=signal.SIGSTOP) as one:
            # Before the other begins, which might have done all of it.
            one.halted()
            with shop.running() as other:
                comes(lambda: len(list((shop.lake / "shared").glob("part-*"))) >= 4, "other chunks")
                one.go_on()
                outcomes = [one.wait().type, other.wait().type]

        assert (["COMPLETED"] * 2, expected(good, bad)) == (outcomes, shop.orders())
    trace_of(scene.receiver, shop.client, runs=2)
    assert 2 == len(set(runs_of(scene.receiver, shop.client)))


def runs_of(receiver: OtlpReceiver, client: str) -> Iterator[object]:
    """Yield the flow run of each chunk that was loaded for the client."""
    flows = [
        each
        for each in receiver.spans()
        if each.name == "flow client-batch" and each.attributes.get("client") == client
    ]
    traces = {each.trace_id for each in flows}
    for each in receiver.spans():
        if each.trace_id in traces and each.name == "task load":
            yield each.attributes["prefect.flow_run.id"]


def run_alone(scene: WatchedScene, shop: Shop, **env: str) -> None:
    """Run a batch in a process of its own, whatever becomes of it."""
    name = f"alone-{scene.number()}"
    code = f"from etl.batch import client_batch as f; f({shop.client!r}, return_state=True)"
    program = Program(
        name=name,
        argv=[sys.executable, "-c", code],
        env=scene.environment(name) | dict(shop.env) | env,
        ready=lambda: True,
    )
    scene.sandbox.start(program).wait(120)
