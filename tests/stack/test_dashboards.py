"""Every query of every dashboard shows something of the whole stack, or has a reason not to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from demo.api import ask
from live_boards import Reason, missing, needless, refused, settled
from pictures.asking import Answer, Ask, over_http
from pictures.boards import every_board
from stack.asking import eventually
from stack.compose import Stack

pytestmark = pytest.mark.stack

_BOARDS = every_board()
# The windows of hours and days are recorded every two minutes, and lag by three.
_WITHIN_SECONDS = 600
# Three of five are not tried again.
_RUNS = 3
_REASONS: tuple[Reason, ...] = (
    Reason(r"\bprefect_backup_errors_total\b", "no backup failed", always=False),
    Reason(
        r"/ annotation (Prefect version|Deployment) /",
        "marks a change, and the stack has just been started",
        always=False,
    ),
    Reason(r"/ Requests without an answer /", "every request had one", always=False),
    Reason(r"\betl_recoveries_total\b", "no step had to recover", always=False),
)
_LEAN = (
    Reason(r"\bloki_|\bjaeger_", "Jaeger and Loki run in the full form"),
    Reason(r"\botelcol_exporter_sent_(spans|log_records)", "as above", always=False),
    Reason(r"\bprometheus_tsdb_wal_", "an older Prometheus has it not", always=False),
)


@pytest.fixture(name="reasons", scope="module")
def _reasons(*, full: bool) -> Sequence[Reason]:
    return _REASONS if full else (*_REASONS, *_LEAN)


@pytest.fixture(name="retried", scope="module")
def _retried(whole: Stack) -> Stack:
    """The same stack with a task that was tried again, which the demo's flow leaves to chance."""
    with whole.prefect() as client:
        flaky = client.get("/deployments/name/flaky/flaky").raise_for_status().json()["id"]
        eventually(
            lambda: _tried_again(client, flaky), what="a task that is tried again", within=600
        )
    return whole


def _tried_again(client: httpx.Client, deployment: str) -> bool:
    """Run a deployment some times, and return whether one of its tasks was tried again."""
    start = f"/deployments/{deployment}/create_flow_run"
    runs = {"id": {"any_": [ask(client, start)["id"] for _ in range(_RUNS)]}}
    over = {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}

    def ended() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = ask(
            client, "/task_runs/filter", flow_runs=runs, task_runs=over
        )
        return rows if len(rows) >= _RUNS else []

    tasks = eventually(ended, what="the ends of their tasks", within=240)
    return any(task["run_count"] > 1 for task in tasks)


@pytest.fixture(name="answers", scope="module")
def _answers(retried: Stack, reasons: Sequence[Reason], *, full: bool) -> Sequence[Answer]:
    """What all dashboards show when they are opened, once the demo has gone on for a while."""
    whole = retried
    sources = {"prometheus": over_http(whole.url("PROMETHEUS_PORT"))}
    if full:
        jaeger = over_http(whole.url("JAEGER_PORT"))
        sources |= {"jaeger": jaeger, "loki": _in_container(whole, "loki", 3100)}
    return settled(_BOARDS, sources, reasons, _WITHIN_SECONDS)


def _in_container(stack: Stack, service: str, port: int) -> Ask:
    """Return what asks a program that has no published port."""

    def ask(route: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON of any shape
        url = f"http://127.0.0.1:{port}{route}?{urlencode(parameters)}"
        return json.loads(
            stack.compose("exec", "--no-TTY", service, "/probe/wget", "-q", "-O", "-", url)
        )

    return ask


def test_every_query_has_data(answers: Sequence[Answer], reasons: Sequence[Reason]) -> None:
    """No panel and no annotation is empty, but for what the table of reasons names."""
    empty = missing(answers, reasons)

    assert [] == empty, "\n".join(empty)


def test_every_query_is_understood(answers: Sequence[Answer]) -> None:
    """Each is taken by the program that it goes to."""
    assert {} == refused(answers)


def test_every_reason_is_needed(answers: Sequence[Answer], reasons: Sequence[Reason]) -> None:
    """What has data by now is no longer excused."""
    assert [] == needless(answers, reasons)
