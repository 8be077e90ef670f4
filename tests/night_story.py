"""One night: a request starts it, and three of its clients have bad luck, each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import httpx
import stamina

from demo.api import ask, change
from demo.processes import wait_until
from nights import (
    BAD_DATA,
    CLIENTS,
    FINAL,
    GOOD,
    HANGING,
    KILLED,
    QUIET,
    Request,
    child_runs,
    runs,
)

ORDERS = 300
"""Of each client; of those of `BAD_DATA` about a third are bad, of the others none is."""

PATIENCE_SECONDS = 120.0
"""How long the night waits for a client: more than a busy machine needs for one that is well."""

TIMEOUT_SECONDS = 25
"""How long the batch may take of the client for which the service of rates hangs."""

_WITHIN_SECONDS = 300


class Stage(Protocol):
    """Where a night can be played: a service, workers, and orders in the streams."""

    @property
    def trigger_url(self) -> str:
        """The service that starts runs, without a slash at the end."""
        ...

    @property
    def api_key(self) -> str:
        """A key that it knows."""
        ...

    @property
    def rates_url(self) -> str:
        """The pretend service of rates, as workers reach it."""
        ...

    def prefect(self) -> httpx.Client:
        """Return a client of Prefect's API; the caller closes it."""
        ...

    def at_work(self) -> set[str]:
        """Return the ids of the flow runs that have a process."""
        ...

    def kill_worker_of(self, run_id: str) -> None:
        """Kill a flow run's process and its worker, as a machine that is lost."""
        ...


def play(stage: Stage) -> tuple[Request, Request]:
    """Let the night happen beside another run; return who asked for each, once both have ended."""
    with stage.prefect() as client:
        # What these two suffer is not to open the breaker that all share.
        hanging = {
            "ETL_RATES_URL": f"{stage.rates_url}/faulty/hang",
            "ETL_BREAKER_FAILURES": "100",
        }
        _tell(client, "wholesale", **hanging, ETL_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS))
        # It is there until it is killed: its next attempt is later than anybody waits for it.
        _tell(client, "logistics", **hanging, ETL_RETRY_SECONDS=str(PATIENCE_SECONDS))
        neighbour = _ask(stage, "replay-dead-letters/by-hand", client=QUIET)
        night = _ask(stage, "nightly-orders/nightly", clients=CLIENTS, patience=PATIENCE_SECONDS)
        _wait(client, night, BAD_DATA, "Failed")
        _wait(client, night, GOOD, "Completed")
        _wait(client, night, HANGING, "TimedOut")
        killed = _wait(client, night, KILLED, "Running")
        # Its second start finds the service well.
        _tell(client, "logistics")
        alone = {night.run_id, killed}
        _until(lambda: stage.at_work() == alone, "that the others have sent what they have")
        stage.kill_worker_of(killed)
        _until(lambda: _states(client, night, neighbour) <= FINAL, "the end of the night")
        _until(lambda: not stage.at_work(), "the end of the last process")
        _tell(client, "wholesale")
    return night, neighbour


def _tell(client: httpx.Client, deployment: str, **env: str) -> None:
    """Give the runs of a deployment of `client-batch` these variables, and no other."""
    of = {"flows": {"name": {"any_": ["client-batch"]}}}
    mine = {"deployments": {"name": {"any_": [deployment]}}}
    (found,) = ask(client, "/deployments/filter", **of, **mine)
    variables = {**found["job_variables"], "env": env}
    change(client, f"/deployments/{found['id']}", job_variables=variables)


def _ask(stage: Stage, deployment: str, **parameters: object) -> Request:
    """Have the service start a run, as somebody with a correlation id and a trace of their own."""
    sent = Request.new()
    url = f"{stage.trigger_url}/deployments/{deployment}/runs"
    # However often it has to be asked, it starts one run.
    once = {"X-API-Key": stage.api_key, "Idempotency-Key": sent.correlation_id}
    answer = _post(url, {"parameters": parameters}, {**once, **sent.headers})
    return sent.answered(answer.json()["id"])


def _busy(error: Exception) -> bool:
    return (
        isinstance(error, httpx.HTTPStatusError)
        and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    )


@stamina.retry(on=_busy, attempts=None, timeout=120.0)
def _post(url: str, body: object, headers: Mapping[str, str]) -> httpx.Response:
    answer = httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)
    return answer.raise_for_status()


def _wait(client: httpx.Client, night: Request, name: str, state: str) -> str:
    """Return the id of a client's run, once that is in a state; it is the client's only one."""

    def found() -> Mapping[str, str]:
        return {
            row["id"]: row["state_name"]
            for row in child_runs(client, night.run_id)
            if row["parameters"].get("client") == name
        }

    _until(lambda: list(found().values()) == [state], f"a run of {name} that is {state}")
    return next(iter(found()))


def _until(check: Callable[[], bool], what: str) -> None:
    wait_until(check, within=_WITHIN_SECONDS, what=what)


def _states(client: httpx.Client, *asked: Request) -> set[str]:
    return {run.state_type for run in runs(client, *(each.run_id for each in asked))}
