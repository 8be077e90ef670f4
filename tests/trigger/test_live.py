"""The whole way: a request to the service, a run on a worker, jobs elsewhere, and back."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import stamina
from hypothesis import HealthCheck, settings
from prefect.utilities.callables import parameter_schema
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

import traced_scene
import trigger
from demo.api import ask
from demo.processes import Program, answers_at, free_port, wait_until
from demo.worker import start_worker
from otlp_receiver import ReceivedSpan
from traced_scene import Scene
from trigger.app import create_app
from trigger.jobs.flows import remote_jobs
from trigger.settings import Settings

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

EXAMPLES = Path(trigger.__file__).parents[1]
KEY = "shop-key-0123456789abcdef0123456789abcdef"
TRACE = "0af7651916cd43dd8448eb211c80319c"
JOBS = "/deployments/remote-jobs/nightly/runs"
IDLE = "/deployments/shop/idle/runs"
"""Of a deployment that no worker has."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Two replicas of the service, a worker, and the systems that its runs drive."""

    scene: Scene
    clients: tuple[httpx.Client, httpx.Client]
    pretend: httpx.Client

    def start(self, connection: str, **headers: str) -> str:
        """Ask for a run that syncs a connection, and return its id."""
        body = {"parameters": {"connection": connection, "job": 1, "patience": 200}}
        # However often it has to be asked, it starts one run.
        once = {"Idempotency-Key": connection, **headers}
        answer = _post(self.clients[0], JOBS, json=body, headers=once)
        return str(answer.raise_for_status().json()["id"])

    def status(self, run: str) -> dict[str, Any]:
        """Return what the other replica says of a run."""
        found: dict[str, Any] = self.clients[1].get(f"/runs/{run}").raise_for_status().json()
        return found

    def wait_for(self, run: str, state: str) -> None:
        """Return once a run is in a state."""
        wait_until(lambda: self.status(run)["state"] == state, within=120, what=f"{state} of {run}")

    def phases(self, system: str, name: str) -> list[str]:
        """Return how far each job of a system is."""
        jobs = self.pretend.get("/pretend/jobs").raise_for_status().json()
        return [each["phase"] for each in jobs if (each["system"], each["name"]) == (system, name)]

    def spans(self, trace: str) -> list[ReceivedSpan]:
        """Return what has arrived of a trace."""
        return [each for each in self.scene.receiver.spans() if each.trace_id == trace]


def _busy(error: Exception) -> bool:
    return (
        isinstance(error, httpx.HTTPStatusError)
        and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    )


@stamina.retry(on=_busy, attempts=None, timeout=120.0)
def _post(client: httpx.Client, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
    """Ask the service, and again where it says that Prefect, whose SQLite is locked, is busy."""
    answer = client.post(path, **request)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        answer.raise_for_status()
    return answer


@pytest.fixture(name="stage", scope="module")
def _stage() -> Iterator[Stage]:
    with traced_scene.scene() as scene:
        with scene.server.client() as api:
            _deploy(api)
        pretend = _start_pretend(scene)
        keys = scene.sandbox.subfolder("keys") / "keys"
        keys.write_text(f"shop:{KEY}\n")
        with ThreadPoolExecutor(3) as pool:
            worker = pool.submit(_start_worker, scene, pretend)
            at, there = pool.map(lambda name: _start_replica(scene, keys, name), "ab")
            worker.result()
        headers = {"X-API-Key": KEY}
        with (
            httpx.Client(base_url=at, headers=headers, timeout=60, trust_env=False) as first,
            httpx.Client(base_url=there, headers=headers, timeout=60, trust_env=False) as second,
            httpx.Client(base_url=pretend, timeout=60, trust_env=False) as client,
        ):
            yield Stage(scene, (first, second), client)


def _deploy(api: httpx.Client) -> None:
    ask(api, "/work_pools/", name="pool", type="process")
    schema = parameter_schema(remote_jobs).model_dump_for_openapi()
    for flow, name, body in (
        (
            "remote-jobs",
            "nightly",
            {
                "entrypoint": "trigger.jobs.flows.remote_jobs",
                "work_pool_name": "pool",
                "pull_steps": [],
                "parameter_openapi_schema": schema,
            },
        ),
        (
            "shop",
            "idle",
            {"parameter_openapi_schema": {"properties": {"day": {"type": "string"}}}},
        ),
    ):
        flow_id = ask(api, "/flows/", name=flow)["id"]
        shared = {"name": name, "flow_id": flow_id, "enforce_parameter_schema": True}
        ask(api, "/deployments/", **shared, **body)


def _telemetry(scene: Scene, name: str) -> dict[str, str]:
    return {
        "PREFECT_PLUGINS_ENABLED": "1",
        "OTEL_SERVICE_NAME": name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": scene.receiver.http_endpoint,
        # Each look at a job would be a span of its own.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx",
        # Where a machine is busy, the usual second may be too short to send what is left.
        "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30s",
    }


def _start_pretend(scene: Scene) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "trigger.jobs.pretend", "--port", str(port)]
    env = scene.sandbox.environment(PYTHONPATH=str(EXAMPLES))
    scene.start("pretend", argv, env, answers_at(f"{url}/pretend/jobs"))
    return url


def _start_worker(scene: Scene, pretend: str) -> None:
    start_worker(
        scene.sandbox,
        scene.server,
        pool="pool",
        limit=3,
        **_telemetry(scene, "worker")
        | {
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "JOBS_AIRBYTE_URL": pretend,
            "JOBS_DBT_URL": pretend,
            "JOBS_FIRST_PAUSE_SECONDS": "0.1",
            "JOBS_LONGEST_PAUSE_SECONDS": "0.5",
        },
    )


def _start_replica(scene: Scene, keys: Path, name: str) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = scene.sandbox.prefect_environment(
        f"trigger-{name}",
        PYTHONPATH=str(EXAMPLES),
        TRIGGER_API_KEYS_FILE=str(keys),
        TRIGGER_DEPLOYMENTS="remote-jobs/nightly,shop/idle",
        TRIGGER_RATE_LIMIT="100000/minute",
        TRIGGER_READ_LIMIT="100000/minute",
        TRIGGER_WRONG_KEY_LIMIT="100000/minute",
        **scene.server.client_environment,
        **_telemetry(scene, "trigger"),
    )
    program = Program(
        name=f"trigger-{name}",
        argv=[sys.executable, "-m", "uvicorn", "trigger.app:app", "--port", str(port)],
        env=env,
        ready=answers_at(f"{url}/readyz"),
        ready_within=120,
    )
    scene.sandbox.start(program)
    return url


def test_request_run_and_remote_jobs_are_one_trace(stage: Stage) -> None:
    """From the request to the last job elsewhere all is one trace, with one correlation id."""
    connection = "traced"
    stage.pretend.put(f"/pretend/airbyte/{connection}", json={"seconds": 0.5})
    stage.pretend.put("/pretend/dbt-cloud/1", json={"seconds": 0.5})
    traceparent = f"00-{TRACE}-b7ad6b7169203331-01"

    run = stage.start(connection, traceparent=traceparent, **{"X-Correlation-ID": "ord-42"})

    stage.wait_for(run, "COMPLETED")
    wanted = {
        "POST /deployments/{flow}/{deployment}/runs": 1,
        "flow remote-jobs": 1,
        "task sync": 1,
        "task build": 1,
        "remote job": 2,
    }

    def arrived() -> dict[str, int]:
        names = Counter(each.name for each in stage.spans(TRACE))
        return {each: names[each] for each in wanted}

    wait_until(lambda: arrived() == wanted, within=120, what="the whole trace")
    told = [each for each in stage.spans(TRACE) if each.name in wanted]
    by_id = {each.span_id: each for each in told}
    jobs = {
        str(each.attributes["remote.system"]): by_id[each.parent_id].name
        for each in told
        if each.name == "remote job"
    }
    assert {"airbyte": "task sync", "dbt-cloud": "task build"} == jobs
    assert {"ord-42"} == {each.attributes.get("correlation_id") for each in told}
    assert ("ord-42", ["succeeded"]) == (
        stage.status(run)["correlation_id"],
        stage.phases("airbyte", connection),
    )


def test_cancelled_run_leaves_no_job_behind(stage: Stage) -> None:
    """When a run is cancelled, so is the job that it follows, and no other is started."""
    connection = "cancelled"
    stage.pretend.put(f"/pretend/airbyte/{connection}", json={"seconds": 3600})
    before = len(stage.phases("dbt-cloud", "1"))
    run = stage.start(connection)
    wait_until(
        lambda: (
            stage.phases("airbyte", connection) == ["running"]
            or stage.phases("airbyte", connection) == ["queued"]
        ),
        within=120,
        what="the sync",
    )

    answer = _post(stage.clients[0], f"/runs/{run}/cancel")

    assert answer.status_code in {200, 202}
    stage.wait_for(run, "CANCELLED")
    assert (["cancelled"], before) == (
        stage.phases("airbyte", connection),
        len(stage.phases("dbt-cloud", "1")),
    )


def test_replicas_start_one_run_of_a_key(stage: Stage) -> None:
    """However often, at the same moment, at two replicas that share no memory: one run a key."""

    def start(number: int) -> httpx.Response:
        return _post(
            stage.clients[number % 2],
            IDLE,
            json={"parameters": {"day": "x"}},
            headers={"Idempotency-Key": "night-7"},
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(8)))

    assert {202: 1, 200: 7} == Counter(each.status_code for each in answers)
    assert 1 == len({each.json()["id"] for each in answers})


def test_parameters_are_checked_by_the_deployment(stage: Stage) -> None:
    """Prefect's refusal of a parameter is told of in plain words, and nothing is started."""
    answer = _post(stage.clients[0], IDLE, json={"parameters": {"day": 5}})

    assert (422, True) == (
        answer.status_code,
        answer.json()["detail"].startswith("field 'day': 5 is not"),
    )


def _description() -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(f"shop:{KEY}\n")
        file.flush()
        return create_app(Settings.model_validate({"api_keys_file": file.name})).openapi()


schema = schemathesis.openapi.from_dict(_description())


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answer_is_as_described(case: Case[Any], stage: Stage) -> None:
    """No request that follows or breaks the description gets a 5xx or an answer not in it."""
    if "flow" in case.path_parameters:
        case.path_parameters |= {"flow": "shop", "deployment": "idle"}

    # A deployment takes fewer parameters than the description of all requests can say.
    case.call_and_validate(
        base_url=str(stage.clients[1].base_url),
        headers={"X-API-Key": KEY},
        timeout=60,
        excluded_checks=[positive_data_acceptance],
    )
