"""The chart at work on a real node, in the namespace of a real Prefect server.

The cluster has no operators, and its network enforces no NetworkPolicy.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kubernetes.api import eventually
from kubernetes.beside import VALUES, Beside, beside_prefect, metrics
from kubernetes.charts import Release

# What a flow sends, in short: traces of as many spans, to the agent's Service.
_SEND = """
import secrets, time, httpx
for _ in range({traces}):
    trace, now = secrets.token_hex(16), str(time.time_ns())
    times = dict(startTimeUnixNano=now, endTimeUnixNano=now)
    spans = [
        dict(traceId=trace, spanId=secrets.token_hex(8), name="a", **times) for _ in range({spans})
    ]
    httpx.post(
        "http://obs-prefect-observability-agent:4318/v1/traces",
        json=dict(resourceSpans=[dict(scopeSpans=[dict(spans=spans)])]),
    ).raise_for_status()
"""
_EXPORTER = "obs-prefect-observability-exporter-0"


@pytest.fixture(name="beside", scope="module")
def _beside() -> Iterator[Beside]:
    """The chart, which has just come up beside Prefect."""
    with beside_prefect() as beside:
        yield beside


def test_missing_operator_is_named(beside: Beside) -> None:
    """Say what the cluster lacks, and what to do, before anything is made."""
    other = Release(beside.release.cluster, "prefect", "other")

    with pytest.raises(AssertionError, match=r"monitors\.as: .* monitoring\.coreos\.com/v1"):
        other.helm("install")


def test_release_passes_its_tests(beside: Beside) -> None:
    """Pass `helm test`: the exporter reads Prefect, and the collector takes spans."""
    said = beside.release.test()

    assert "ok: exporter: " in said
    assert "ok: collector: " in said


def test_exporter_has_no_rights(beside: Beside) -> None:
    """Run as nobody in particular, with no capability, on files that it cannot change."""
    lines = _python(beside, "print(open('/proc/self/status').read())").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    assert ["65532"] * 4 == status["Uid"].split()
    assert 0 == int(status["CapEff"], 16) == int(status["CapBnd"], 16)
    assert ("1", "2") == (status["NoNewPrivs"], status["Seccomp"])
    with pytest.raises(AssertionError, match="Read-only file system"):
        _python(beside, "open('/opt/x', 'w')")
    with pytest.raises(AssertionError, match="No such file"):
        _python(beside, "open('/var/run/secrets/kubernetes.io/serviceaccount/token')")


def test_eviction_loses_no_count(beside: Beside) -> None:
    """Go on counting on the same volume where a drained node's exporter had stopped."""
    for _ in range(3):
        beside.finish_run("counted")
    _wait_for_count(beside, 3)
    before = _uid(beside)

    beside.release.cluster.api.evict(_EXPORTER, "prefect")
    beside.finish_run("counted")

    _wait_for_count(beside, 4)
    assert before != _uid(beside)
    claims = [claim["metadata"]["name"] for claim in beside.release.list("PersistentVolumeClaim")]
    assert [f"state-{_EXPORTER}"] == [name for name in claims if name.startswith("state-")]


def test_changed_targets_arrive_without_a_restart(beside: Beside) -> None:
    """Bring a target that the values have gained to the pod that runs."""
    before = _uid(beside)
    url = "http://prefect-server:4200/api"
    targets = [{"name": "default", "url": url}, {"name": "second", "url": url}]

    beside.release.helm("upgrade", "--wait", values=VALUES | {"targets": targets})

    eventually(
        lambda: _lines(beside, 'prefect_server_up{target="second"'),
        what="the second target",
        within=120,
    )
    assert before == _uid(beside)


def test_backup_is_made_and_restored_as_a_test(beside: Beside) -> None:
    """Back up PostgreSQL, restore it into one that the drill starts, and tell both as metrics."""
    beside.finish_run("backed-up")

    beside.backup_job("run", "run")
    beside.backup_job("drill", "drill")

    def told() -> bool:
        (address,) = beside.addresses("backup")
        good = [line for line in metrics(address, 9878) if line.endswith(" 1.0")]
        names = {line.split("{")[0] for line in good if 'kind="database"' in line}
        return {"prefect_backup_last_run_success", "prefect_backup_last_restore_success"} <= names

    eventually(told, what="both successes")


def test_agent_shares_traces_among_gateways(beside: Beside) -> None:
    """Take spans on their node, and have each trace whole in one of the gateways that DNS names."""
    values = VALUES | {"agent": {"enabled": True}, "gateway": {"replicas": 2}}
    beside.release.helm("upgrade", "--wait", "--timeout=3m", values=values)

    before = _taken(beside)

    _python(beside, _SEND.format(traces=40, spans=3))

    eventually(lambda: sum(before) + 120 == sum(_taken(beside)), what="all spans in the gateways")
    gained = [after - then for then, after in zip(before, _taken(beside), strict=True)]
    assert 2 == len(gained)
    assert all(number > 0 and number % 3 == 0 for number in gained)


def _wait_for_count(beside: Beside, number: int) -> None:
    name = "prefect_flow_runs_finished_total"

    def counted() -> bool:
        lines = [line for line in _lines(beside, name) if 'flow="counted"' in line]
        return number in {float(line.rsplit(" ", 1)[1]) for line in lines}

    eventually(counted, what=f"{number} runs in {_lines(beside, name)}")


def _uid(beside: Beside) -> str:
    pod = beside.release.cluster.api.get("Pod", _EXPORTER, "prefect")
    return str(pod["metadata"]["uid"])


def _taken(beside: Beside) -> list[float]:
    """Return how many spans each gateway has taken."""
    return [
        sum(
            float(line.rsplit(" ", 1)[1])
            for line in metrics(address, 8888)
            if line.startswith("otelcol_receiver_accepted_spans{")
        )
        for address in beside.addresses("gateway")
    ]


def _lines(beside: Beside, start: str) -> list[str]:
    found = [line for each in beside.addresses("exporter") for line in metrics(each, 9877)]
    return [line for line in found if line.startswith(start)]


def _python(beside: Beside, code: str) -> str:
    return beside.release.kubectl("exec", _EXPORTER, "--", "python", "-c", code)
