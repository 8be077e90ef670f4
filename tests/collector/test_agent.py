"""A tier before several collectors keeps what belongs together together: agent.yaml."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.stack import (
    NOTHING_IS_RARE,
    Collector,
    Running,
    Sent,
    attributes,
    record,
    records,
    spans,
    trace_id,
)
from demo.processes import wait_until
from otlp_receiver import OtlpReceiver

# The first of these tests builds the collector where that was not done.
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

GATEWAYS = 3
SHARE = 25
CALLS = "traces_span_metrics_calls_total"
ORDERS = "shop_orders_total"


@dataclass(frozen=True, slots=True)
class Tiers:
    """Agents before gateways, and behind each gateway a backend of its own."""

    agents: Sequence[Running]
    gateways: Sequence[Running]
    backends: Sequence[OtlpReceiver]

    def came(self) -> list[Counter[str]]:
        """Return how many spans have come of each trace, for each gateway."""
        return [Counter(span.trace_id for span in each.spans()) for each in self.backends]

    def total(self) -> Counter[str]:
        """Return how many spans have come of each trace, through all gateways."""
        return sum(self.came(), Counter())

    def wait_for(self, traces: Sequence[int], spans: int) -> None:
        """Wait until so many spans of each of these traces have come."""
        wait_until(
            lambda: min(self.counts(traces)) >= spans,
            within=60,
            what=f"{spans} spans of {len(traces)} traces",
        )

    def counts(self, traces: Sequence[int]) -> list[int]:
        """Return how many spans have come of each of these traces, through all gateways."""
        total = self.total()
        return [total[trace_id(trace)] for trace in traces]

    def of(self, gateway: int, traces: Sequence[int]) -> list[int]:
        """Return those of the traces of which a span has come through that gateway."""
        came = self.came()[gateway]
        return [trace for trace in traces if trace_id(trace) in came]


@contextmanager
def tiers(
    program: Path, folder: Path, *, agents: int = 2, share: int = SHARE, **env: str
) -> Iterator[Tiers]:
    """Run agents and gateways until the block ends; *env* is the agents'."""
    with ExitStack() as stack:
        backends = [stack.enter_context(OtlpReceiver()) for _ in range(GATEWAYS)]
        gateways = []
        for number, backend in enumerate(backends):
            settings = {
                "TRACE_SHARE": f"{share}",
                "JAEGER_ENDPOINT": backend.grpc_endpoint,
                "LOKI_ENDPOINT": backend.http_endpoint,
            }
            at = Collector(program, made(folder / f"gateway-{number}"), settings)
            gateways.append(stack.enter_context(at.gateway(haste=NOTHING_IS_RARE)))
        addresses = [each.grpc for each in gateways]
        before = [
            stack.enter_context(
                Collector(program, made(folder / f"agent-{number}"), env).agent(*addresses)
            )
            for number in range(agents)
        ]
        yield Tiers(before, gateways, backends)


def made(folder: Path) -> Path:
    """Return the folder, which is made."""
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(name="calm", scope="module")
def _calm(tmp_path_factory: pytest.TempPathFactory, otelcol: Path) -> Iterator[Tiers]:
    """Tiers that nothing happens to; each test has traces and series of its own."""
    with tiers(otelcol, tmp_path_factory.mktemp("tiers")) as running:
        yield running


def test_trace_is_in_one_gateway(calm: Tiers) -> None:
    """Its spans come one by one, from several processes, through different agents; each once."""
    traces = range(1, 61)
    for number in range(1, 5):
        sent = [Sent(trace, number, failed=number == 4) for trace in traces]
        process = {"service__instance__id": f"process-{number}"}
        assert 200 == calm.agents[number % 2].send("traces", spans(sent, **process))
    calm.wait_for(traces, spans=4)

    shares = [calm.of(gateway, traces) for gateway in range(GATEWAYS)]
    assert sorted(traces) == sorted(trace for share in shares for trace in share)
    assert {4} == set(calm.counts(traces))
    assert all(len(share) > len(traces) / GATEWAYS / 4 for share in shares), shares


def test_sampling_is_as_of_one_collector(calm: Tiers) -> None:
    """Every failed trace is kept whole, and about the share that was asked for of all others."""
    traces = range(1001, 1401)
    failed = [trace for trace in traces if trace % 10 == 0]
    calm.agents[0].send("traces", spans([Sent(trace) for trace in traces]))
    calm.agents[1].send("traces", spans([Sent(trace, 2, failed=True) for trace in failed]))
    calm.wait_for(failed, spans=2)
    rest = sorted(set(traces) - set(failed))
    calm.agents[1].send("traces", spans([Sent(trace, 2) for trace in rest]))
    kept = kept_of(calm, rest)

    assert {2} == set(calm.counts(failed))
    assert {2} == set(calm.counts(kept))
    assert len(kept) == pytest.approx(len(rest) * SHARE / 100, abs=40)


def kept_of(running: Tiers, traces: Sequence[int]) -> list[int]:
    """Return the traces that are kept, once all that were are whole."""

    def whole() -> bool:
        return set(running.counts(traces)) == {0, 2}

    wait_until(whole, within=60, what="the second span of each that is kept")
    counts = zip(traces, running.counts(traces), strict=True)
    return [trace for trace, spans in counts if spans]


def test_spans_are_counted_once(calm: Tiers) -> None:
    """The sum over all gateways is what was sent, also of traces that are not kept."""
    sent = [Sent(trace, name="task count") for trace in range(2001, 2301)]
    calm.agents[0].send("traces", spans(sent[:200]))
    calm.agents[1].send("traces", spans(sent[200:]))

    def counted() -> list[float]:
        return [by(each, CALLS, "span_name")["task count"] for each in calm.gateways]

    wait_until(lambda: sum(counted()) >= 300, within=60, what="all spans")
    assert 300 == sum(counted())
    assert all(counted()), counted()


def by(gateway: Running, name: str, label: str) -> Counter[str]:
    """Return the sums of a gateway's series by the values of one label."""
    found = re.findall(
        rf'^{name}{{[^}}]*\b{label}="([^"]*)"[^}}]*}} (\S+)', gateway.page(), re.MULTILINE
    )
    sums = Counter[str]()
    for text, number in found:
        sums[text] += int(float(number))
    return sums


def test_series_is_in_one_gateway(calm: Tiers) -> None:
    """Deltas of many processes, through different agents, add up to one total a series."""
    flows = [f"flow-{number}" for number in range(60)]
    for process in range(6):
        given = {"service.name": "etl", "service.instance.id": f"process-{process}"}
        assert 200 == calm.agents[process % 2].send("metrics", orders(flows, given))

    wait_until(lambda: totals(calm).total() >= 360, within=60, what="all orders")
    assert Counter(dict.fromkeys(flows, 6)) == totals(calm)
    held = [set(by(each, ORDERS, "flow")) for each in calm.gateways]
    assert len(flows) == sum(map(len, held))
    assert all(held)


def orders(flows: Sequence[str], resource: Mapping[str, object]) -> object:
    """Return a request that counts one order for each flow."""
    points = [
        {
            "startTimeUnixNano": "1",
            "timeUnixNano": "2",
            "asInt": "1",
            "attributes": attributes({"flow": flow, "deployment": "daily", "shop": "tea"}),
        }
        for flow in flows
    ]
    total = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points}
    metrics = [{"name": ORDERS, "sum": total}]
    described = {"attributes": attributes(resource)}
    return {"resourceMetrics": [{"resource": described, "scopeMetrics": [{"metrics": metrics}]}]}


def totals(running: Tiers) -> Counter[str]:
    """Return the sum over all gateways of each flow's orders."""
    return sum((by(each, ORDERS, "flow") for each in running.gateways), Counter())


def test_large_request_arrives(calm: Tiers) -> None:
    """What may come by HTTP may be passed on by gRPC, whose own limit is 4 MiB."""
    large = {"input": "x" * 100_000}
    sent = [Sent(3001, number, attributes=large, failed=True) for number in range(50)]
    assert 200 == calm.agents[0].send("traces", spans(sent))

    calm.wait_for([3001], spans=50)


def test_log_arrives_once(calm: Tiers) -> None:
    """Lines with and without a trace go to any gateway, and none to two."""
    lines = [record(f"line {number}") for number in range(1, 101)]
    traced = [
        record(f"traced {number}") | {"traceId": trace_id(number)} for number in range(1, 101)
    ]
    calm.agents[0].send("logs", records(lines))
    calm.agents[1].send("logs", records(traced))

    def bodies() -> Counter[object]:
        return Counter(each.body for backend in calm.backends for each in backend.logs())

    wait_until(lambda: bodies().total() >= 200, within=60, what="all lines")
    assert {1} == set(bodies().values())
    assert 200 == len(bodies())


def test_gateway_that_is_killed_stops_no_other(tmp_path: Path, otelcol: Path) -> None:
    """Meanwhile what is its own waits in the agents, and comes once when it is back."""
    traces = range(1, 61)
    with tiers(otelcol, tmp_path) as running:
        running.agents[0].send("traces", spans([Sent(trace, failed=True) for trace in traces]))
        running.wait_for(traces, spans=1)
        gone = running.of(0, traces)
        others = sorted(set(traces) - set(gone))

        running.gateways[0].process.kill()
        for agent, number in zip(running.agents, (2, 3), strict=True):
            sent = [Sent(trace, number, failed=True) for trace in traces]
            assert 200 == agent.send("traces", spans(sent))
        running.wait_for(others, spans=3)
        assert {1} == set(running.counts(gone))

        running.gateways[0].process.start()
        running.wait_for(gone, spans=3)
        came = running.total()

    assert gone
    assert {3} == {came[trace_id(trace)] for trace in traces}


def test_gateway_that_is_killed_forgets_what_was_undecided(tmp_path: Path, otelcol: Path) -> None:
    """Of its traces that fail later, what came before is lost; those of the others are whole."""
    traces = range(1, 61)
    with tiers(otelcol, tmp_path, agents=1, share=0) as running:
        (agent,) = running.agents
        agent.send("traces", spans([Sent(trace) for trace in traces]))
        wait_until(
            lambda: sum(by(each, CALLS, "span_name").total() for each in running.gateways) == 60,
            within=60,
            what="spans that wait for a decision",
        )
        running.gateways[0].process.kill()
        running.gateways[0].process.start()
        agent.send("traces", spans([Sent(trace, 2, failed=True) for trace in traces]))
        running.wait_for(traces, spans=1)
        own = running.of(0, traces)
        running.wait_for(sorted(set(traces) - set(own)), spans=2)
        came = running.total()

    assert own
    assert {1} == {came[trace_id(trace)] for trace in own}


def test_counts_survive_a_gateway_that_is_killed(tmp_path: Path, otelcol: Path) -> None:
    """Deltas that are sent while it is away are in its new totals, each once."""
    flows = [f"flow-{number}" for number in range(30)]
    given = {"service.name": "etl"}
    with tiers(otelcol, tmp_path) as running:
        running.agents[0].send("metrics", orders(flows, given))
        wait_until(lambda: totals(running).total() == len(flows), within=60, what="all")
        own = set(by(running.gateways[0], ORDERS, "flow"))
        running.gateways[0].process.kill()
        for agent in running.agents:
            agent.send("metrics", orders(flows, given))
        running.gateways[0].process.start()
        running.gateways[0].process.wait_ready()
        expected = Counter({flow: 2 if flow in own else 3 for flow in flows})
        wait_until(
            lambda: totals(running).total() >= expected.total(), within=60, what="all that was sent"
        )

        assert own
        assert expected == totals(running)


def test_full_queue_brings_nothing_twice(tmp_path: Path, otelcol: Path) -> None:
    """What cannot wait for a gateway that is away is lost; all else comes, and comes once."""
    long = {"input": "x" * 2000}
    traces = range(1, 201)
    with tiers(otelcol, tmp_path, agents=1, QUEUE_BYTES="30000") as running:
        (agent,) = running.agents
        running.gateways[0].process.kill()
        for first in traces[::10]:
            several = range(first, first + 10)
            sent = [Sent(trace, 1, attributes=long) for trace in several]
            failed = [Sent(trace, 2, failed=True) for trace in several]
            assert 200 == agent.send("traces", spans([*sent, *failed]))
        wait_until(
            lambda: agent.own("otelcol_exporter_send_failed_spans") > 0, within=60, what="a loss"
        )
        running.gateways[0].process.start()
        wait_until(lambda: running.came()[0].total() > 0, within=60, what="what had waited")
        wait_until(lambda: settled(running), within=60, what="the rest")
        came = running.came()

    assert {2} == set((came[1] + came[2]).values())
    assert 0 < len(came[0]) < len(traces) - len(came[1]) - len(came[2])


def settled(running: Tiers) -> bool:
    """Tell whether all traces of the two gateways that stay have come."""
    return all(set(each.values()) == {2} for each in running.came()[1:])


def test_agent_that_is_stopped_sends_what_it_holds(tmp_path: Path, otelcol: Path) -> None:
    """Nothing that it has taken is lost by an upgrade."""
    traces = range(1, 2001)
    with tiers(otelcol, tmp_path, agents=1) as running:
        (agent,) = running.agents
        for first in traces[::200]:
            sent = [Sent(trace, failed=True) for trace in range(first, first + 200)]
            assert 200 == agent.send("traces", spans(sent))
        assert 0 == agent.process.stop()
        running.wait_for(traces, spans=1)

        assert {1} == set(running.total().values())
