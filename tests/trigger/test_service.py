"""The routes of the service, with a Prefect that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from demo.processes import free_port
from demo.redis_server import start_redis_server
from demo.sandbox import Sandbox
from prefect_instrumentation.testing import record_spans
from trigger import app as trigger_app
from trigger import limiting
from trigger.app import create_app
from trigger.bodies import MAX_BYTES
from trigger.limiting import BUCKETS, Limits, bucket
from trigger.problems import TooMany
from trigger.settings import Settings

KEY = "shop-key-0123456789abcdef0123456789abcdef"
OTHER = "crm-key-0123456789abcdef0123456789abcdef"
EXAMPLES = Path(trigger_app.__file__).parents[1]
RUNS = "/deployments/orders/nightly/runs"
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}}

Answers = Callable[[httpx.Request], httpx.Response]


@dataclass
class Prefect:
    """As much of Prefect's API as the service asks, in memory.

    Args:
        fault: Answers in its place, where it is not None.
    """

    fault: Callable[[httpx.Request], httpx.Response] | None = None
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one a route
        """Answer a request."""
        path = request.url.path.removeprefix("/api")
        if path == "/csrf-token":  # Prefect's client asks for one before it changes anything
            return httpx.Response(404)
        self.asked.append(path)
        if self.fault is not None:
            return self.fault(request)
        match path.split("/")[1:]:
            case ["deployments", "name", "orders", "nightly" | "hourly"]:
                return httpx.Response(200, json=_deployment())
            case ["deployments", _, "create_flow_run"]:
                return httpx.Response(201, json=self._create(json.loads(request.content)))
            case ["deployments", "count"]:
                return httpx.Response(200, json=1)
            case ["flow_runs", run, "set_state"]:
                self.runs[run]["state"] = _state("CANCELLING", "Cancelling")
                return httpx.Response(200, json={"status": "ACCEPT", "details": {}, "state": None})
            case ["flow_runs", run] if run in self.runs:
                return httpx.Response(200, json=self.runs[run])
        return httpx.Response(404, json={"detail": "Not found"})

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        for run in self.runs.values():
            if run["idempotency_key"] == asked["idempotency_key"]:
                return run
        run = asked | {
            "id": str(uuid.uuid4()),
            "flow_id": str(uuid.uuid4()),
            "name": "a-run",
            "state": _state("SCHEDULED", "Scheduled"),
        }
        self.runs[run["id"]] = run
        return run


def _deployment() -> dict[str, object]:
    ids = {"id": str(uuid.uuid4()), "flow_id": str(uuid.uuid4())}
    return ids | {"name": "nightly", "parameter_openapi_schema": SCHEMA}


def _state(kind: str, name: str, message: str | None = None) -> dict[str, object]:
    return {"type": kind, "name": name, "message": message, "data": None, "state_details": {}}


@dataclass(frozen=True, slots=True)
class Service:
    """The application with its Prefect."""

    settings: Settings
    prefect: Prefect

    def ask(
        self, *requests: tuple[str, str, Mapping[str, Any]], key: str | None = KEY
    ) -> list[httpx.Response]:
        """Return the answers to requests, each its method, path and what httpx takes."""

        async def asked() -> list[httpx.Response]:
            app = create_app(self.settings, self._connect)
            headers = {} if key is None else {"X-API-Key": key}
            async with app.router.lifespan_context(app), _asker(app, headers) as client:
                return [await client.request(*each[:2], **each[2]) for each in requests]

        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            return asyncio.run(asked())

    def start(self, **options: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
        """Return the answer to a request to start a run."""
        return self.ask(("POST", RUNS, options))[0]

    def _connect(self) -> AbstractAsyncContextManager[PrefectClient]:
        transport = httpx.MockTransport(self.prefect)
        return PrefectClient("http://prefect.test/api", httpx_settings={"transport": transport})


@asynccontextmanager
async def _asker(app: Any, headers: Mapping[str, str]) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ANN401 - any ASGI app
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://trigger.test", headers=headers
    ) as client:
        yield client


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trigger") / "keys"
    path.write_text(f"shop:{KEY}\ncrm:{OTHER}\n")
    return path


@pytest.fixture(name="settings")
def _settings(keys: Path) -> Settings:
    return Settings.model_validate({"api_keys_file": keys, "deployments": "orders/nightly, a/b"})


@pytest.fixture(name="service")
def _service(settings: Settings) -> Service:
    return Service(settings, Prefect())


def _told(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert "application/problem+json" == answer.headers["content-type"]
    assert {"type", "title", "status", "detail"} == set(body)
    assert answer.status_code == body["status"]
    return answer.status_code, body["detail"]


def test_run_is_started_with_its_caller_and_its_id(service: Service) -> None:
    """A start is one run, with the name of the key and the id of the request on it."""
    with record_spans():
        answer = service.start(
            json={"parameters": {"day": "monday"}}, headers={"X-Correlation-ID": "ord-1"}
        )

    (run,) = service.prefect.runs.values()
    assert (202, run["id"], "ord-1", f"/runs/{run['id']}", f"/runs/{run['id']}") == (
        answer.status_code,
        answer.json()["id"],
        answer.json()["correlation_id"],
        answer.json()["status_url"],
        answer.headers["location"],
    )
    assert ({"day": "monday"}, ["started-by:shop"], "shop", "ord-1") == (
        run["parameters"],
        run["tags"],
        run["labels"]["trigger.caller"],
        run["labels"]["__CORRELATION_ID"],
    )


def test_same_key_and_body_is_the_same_run(service: Service) -> None:
    """A request that is sent again, in whatever order it is written, starts no second run."""
    first = {"content": b'{"parameters": {"day": "x"}}', "headers": {"Idempotency-Key": "k"}}
    again = {"content": b'{"parameters":{"day":"x"} }', "headers": {"Idempotency-Key": "k"}}

    one, two = service.ask(("POST", RUNS, first), ("POST", RUNS, again))

    assert (202, 200, one.json(), 1) == (
        one.status_code,
        two.status_code,
        two.json(),
        len(service.prefect.runs),
    )


def test_same_key_and_another_body_is_refused(service: Service) -> None:
    """A key that stands for one request does not stand for another one."""
    requests = (
        ("POST", RUNS, {"json": {"parameters": {"day": day}}, "headers": {"Idempotency-Key": "k"}})
        for day in ("monday", "tuesday")
    )

    answer = service.ask(*requests)[1]

    reason = "this Idempotency-Key was used for another request; take a new one"
    assert ((409, reason), 1) == (_told(answer), len(service.prefect.runs))


def test_callers_do_not_share_keys(service: Service) -> None:
    """The same Idempotency-Key of two callers is two runs."""
    options = {"headers": {"Idempotency-Key": "k"}}
    one = service.ask(("POST", RUNS, options))[0]

    two = service.ask(("POST", RUNS, options), key=OTHER)[0]

    assert (202, 202, True) == (
        one.status_code,
        two.status_code,
        one.json()["id"] != two.json()["id"],
    )


def test_requests_without_a_key_are_runs_of_their_own(service: Service) -> None:
    """Without an Idempotency-Key every request starts a run, and Prefect has a key for each."""
    service.ask(("POST", RUNS, {}), ("POST", RUNS, {}))

    assert 2 == len({run["idempotency_key"] for run in service.prefect.runs.values()})


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY.upper()])
def test_whoever_has_no_key_gets_no_further(service: Service, key: str | None) -> None:
    """Without a known key nothing is read, and Prefect is not asked."""
    paths = (("POST", RUNS), ("GET", f"/runs/{uuid.uuid4()}"), ("POST", "/runs/nonsense/cancel"))

    answers = service.ask(
        *((method, path, {"content": b"no json"}) for method, path in paths), key=key
    )

    assert ({(401, "send a key that is known here as X-API-Key")}, []) == (
        {_told(each) for each in answers},
        service.prefect.asked,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/deployments/orders/hourly/runs",
        "/deployments/a/b/runs",
        "/deployments/orders/nightly%20/runs",
    ],
    ids=["not allowed", "allowed, and not there", "odd"],
)
def test_deployment_that_may_not_be_started_is_unknown(service: Service, path: str) -> None:
    """Nobody learns which deployments there are beside those that may be started."""
    status, detail = _told(service.ask(("POST", path, {}))[0])

    assert (404, True) == (status, detail.endswith("that this key may start"))


@pytest.mark.parametrize(
    ("options", "status", "detail"),
    [
        ({"content": b"{"}, 400, "the body is no JSON: Invalid JSON: EOF while parsing"),
        ({"json": {"parameters": {"dya": 1}}}, 422, "the flow has no parameter 'dya'"),
        ({"content": b" " * (MAX_BYTES + 1)}, 413, "send at most 65536 bytes"),
        ({"data": {"day": "x"}}, 415, "send the body with Content-Type: application/json"),
        ({"headers": {"Idempotency-Key": "a b"}}, 422, "header idempotency-key: String should"),
        ({"headers": {"Idempotency-Key": "k" * 129}}, 422, "header idempotency-key: String should"),
    ],
)
def test_bad_request_is_told_of(
    service: Service, options: Mapping[str, Any], status: int, detail: str
) -> None:
    """What is wrong with a request is said in plain words, and nothing is started."""
    told = _told(service.start(**options))

    assert (status, True, {}) == (told[0], told[1].startswith(detail), service.prefect.runs)


DOWN = "Prefect does not answer; ask again, with the same Idempotency-Key"
SHUT = "Prefect does not let this service in; tell who runs it"
SECRET = "http://me:secret@prefect.internal"  # noqa: S105 - a sample


def _raise(error: httpx.TransportError) -> Answers:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def _say(status: int, detail: object) -> Answers:
    # Prefect's client waits before it sees that it is not to try again.
    headers = {"Retry-After": "0"}
    return lambda _request: httpx.Response(status, json={"detail": detail}, headers=headers)


@pytest.mark.parametrize(
    ("fault", "status", "detail"),
    [
        (_raise(httpx.ConnectError(SECRET)), 503, DOWN),
        (_raise(httpx.ReadTimeout(SECRET)), 503, DOWN),
        (_say(500, SECRET), 503, DOWN),
        (_say(503, SECRET), 503, DOWN),
        (_say(429, SECRET), 503, DOWN),
        (_say(401, SECRET), 502, SHUT),
        (_say(403, SECRET), 502, SHUT),
        (_say(418, SECRET), 502, "Prefect answers 418; tell who runs this service"),
        (
            _say(
                409, "Error creating flow run: Validation failed for field 'a'. Failure reason: b"
            ),
            422,
            "field 'a': b",
        ),
        (_say(409, "Error creating flow run: Validation failed. Failure reason: b"), 422, "b"),
        (_say(422, [{"loc": SECRET}]), 422, "Prefect does not take these parameters"),
        (_say(409, "x" * 10_000), 422, "x" * 500 + "..."),
    ],
)
def test_trouble_with_prefect_is_told_of_without_its_secrets(
    service: Service, fault: Answers, status: int, detail: str
) -> None:
    """Whatever Prefect answers, the caller learns what to do, and nothing of the inside."""
    service.prefect.fault = fault

    answer = service.start()

    assert ((status, detail), status == 503) == (_told(answer), "retry-after" in answer.headers)


def test_run_shows_how_it_is(service: Service) -> None:
    """A look at a run says how it is doing, with a message of bounded length."""
    run = service.start().json()["id"]
    service.prefect.runs[run]["state"] = _state("FAILED", "TimedOut", "x" * 1000)

    status = service.ask(("GET", f"/runs/{run}", {}))[0].json()

    assert ("orders", "nightly", "FAILED", "TimedOut", 500, f"/runs/{run}/cancel") == (
        status["flow"],
        status["deployment"],
        status["state"],
        status["state_name"],
        len(status["message"]),
        status["links"]["cancel"],
    )


def test_run_of_somebody_else_is_unknown(service: Service) -> None:
    """A run that another key has started, or nobody, is neither shown nor cancelled."""
    run = service.start().json()["id"]
    foreign = str(uuid.uuid4())
    service.prefect.runs[foreign] = service.prefect.runs[run] | {"id": foreign, "labels": {}}

    answers = [
        *service.ask(("GET", f"/runs/{run}", {}), ("POST", f"/runs/{run}/cancel", {}), key=OTHER),
        *service.ask(("GET", f"/runs/{foreign}", {}), ("POST", f"/runs/{foreign}/cancel", {})),
    ]

    assert (4 * [404], "SCHEDULED") == (
        [each.status_code for each in answers],
        service.prefect.runs[run]["state"]["type"],
    )


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (("RUNNING", "Running"), "CANCELLING", 202),
        (("CANCELLING", "Cancelling"), "CANCELLING", 202),
        (("COMPLETED", "Completed"), "COMPLETED", 200),
        (("CANCELLED", "Cancelled"), "CANCELLED", 200),
    ],
)
def test_cancel_may_be_asked_for_twice(
    service: Service, before: tuple[str, str], after: str, status: int
) -> None:
    """A run under way is cancelled, one that has ended stays as it is; the answer says which."""
    run = service.start().json()["id"]
    service.prefect.runs[run]["state"] = _state(*before)

    answer = service.ask(("POST", f"/runs/{run}/cancel", {}))[0]

    assert (status, after) == (answer.status_code, answer.json()["state"])


def test_too_many_starts_have_to_wait(service: Service) -> None:
    """Beyond its rate a key is told to wait, and for how long; another key is not."""
    slow = Service(service.settings.model_copy(update={"rate_limit": "2/minute"}), service.prefect)

    answers = slow.ask(*3 * [("POST", RUNS, {})])
    others = slow.ask(("POST", RUNS, {}), key=OTHER)

    assert [202, 202, 429, 202] == [each.status_code for each in (*answers, *others)]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert (429, "This key has asked too often; the limit is 2 per 1 minute") == _told(answers[2])


def test_looks_have_a_rate_of_their_own(service: Service) -> None:
    """Whoever looks often may still start, and the other way round."""
    limits = {"rate_limit": "1/minute", "read_limit": "2/minute"}
    slow = Service(service.settings.model_copy(update=limits), service.prefect)
    look: tuple[str, str, dict[str, Any]] = ("GET", f"/runs/{uuid.uuid4()}", {})

    answers = slow.ask(look, look, look, ("POST", RUNS, {}), ("POST", RUNS, {}))

    assert [404, 404, 429, 202, 429] == [each.status_code for each in answers]


def test_wrong_keys_have_to_wait_and_right_ones_do_not(service: Service) -> None:
    """An address that guesses is held up; who has a key there is not."""
    slow = Service(
        service.settings.model_copy(update={"wrong_key_limit": "2/minute"}), service.prefect
    )
    wrong = ("POST", RUNS, {"headers": {"X-API-Key": "wrong"}})

    answers = slow.ask(wrong, wrong, wrong, ("POST", RUNS, {}))

    assert [401, 401, 429, 202] == [each.status_code for each in answers]


def test_addresses_share_a_bounded_number_of_counters() -> None:
    """However many addresses guess, the counters stay few, and a network of IPv6 has one."""
    found = {bucket(f"10.0.{each >> 8}.{each & 255}") for each in range(5_000)}

    assert (BUCKETS, bucket("2001:db8::1")) == (len(found), bucket("2001:db8::ffff:1"))


@pytest.mark.parametrize("address", ["", "unix", "fe80::1%eth0", "::ffff:10.0.0.1", "a" * 999])
def test_odd_address_has_a_counter_too(address: str) -> None:
    """Whatever the server calls the other side, it is counted."""
    assert 0 <= int(bucket(address)) < BUCKETS


@pytest.mark.real
def test_replicas_share_their_limits_and_outlive_their_redis(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replicas count together; while their Redis is away, each counts for itself."""
    # On a busy machine a Redis that is there may take its time; one that is gone refuses at once.
    monkeypatch.setattr(limiting, "ANSWER_SECONDS", 30)
    with Sandbox() as sandbox:
        redis = start_redis_server(sandbox, durable=False)
        shared = settings.model_validate(
            {
                "api_keys_file": settings.api_keys_file,
                "limits_url": redis.url,
                "rate_limit": "2/hour",
            }
        )

        async def counted() -> list[bool]:
            one, two = Limits(shared), Limits(shared)
            together = [await _within(each) for each in (one, two, one, two)]
            await asyncio.to_thread(redis.process.kill)
            alone = [await _within(one) for _ in range(3)]
            await one.close()
            await two.close()
            return together + alone

        assert [True, True, False, False, True, True, False] == asyncio.run(counted())


async def _within(limits: Limits) -> bool:
    try:
        await limits.write("shop")
    except TooMany:
        return False
    return True


def test_health_asks_nobody(service: Service) -> None:
    """The process is alive whatever Prefect does, and needs no key to say so."""
    service.prefect.fault = _say(500, "")

    answer = service.ask(("GET", "/healthz", {}), key=None)[0]

    assert (200, []) == (answer.status_code, service.prefect.asked)


@pytest.mark.parametrize(
    ("fault", "status"),
    [(None, 200), (_say(401, ""), 503), (_raise(httpx.ConnectError("")), 503)],
    ids=["well", "refused", "down"],
)
def test_readiness_asks_prefect_once_in_a_while(
    service: Service, fault: Answers | None, status: int
) -> None:
    """Whether it can start runs is what Prefect said last, which is not asked each time."""
    service.prefect.fault = fault

    answers = service.ask(*5 * [("GET", "/readyz", {})], key=None)

    assert ({status}, 1) == ({each.status_code for each in answers}, len(service.prefect.asked))


def test_span_of_a_request_names_the_caller(service: Service) -> None:
    """The trace of a start begins at the caller's, and says whose key it was."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    with record_spans() as recorded:
        service.start(headers=headers)

    (run,) = service.prefect.runs.values()
    callers = {(span.attributes or {}).get("caller") for span in recorded.spans}
    assert (True, trace) == ("shop" in callers, run["labels"]["__OTEL_TRACEPARENT"].split("-")[1])


def test_description_has_every_answer(settings: Settings) -> None:
    """Whoever reads the description knows each status that a route may answer with."""
    paths = create_app(settings).openapi()["paths"]
    found = {path: sorted(next(iter(each.values()))["responses"]) for path, each in paths.items()}

    read = ["401", "404", "422", "429", "502", "503"]
    start = ["200", "202", "400", "401", "404", "408", "409", "413", "415", "422", "429", "502"]
    assert {
        "/deployments/{flow}/{deployment}/runs": [*start, "503"],
        "/runs/{run_id}": ["200", *read],
        "/runs/{run_id}/cancel": ["200", "202", *read],
        "/healthz": ["200"],
        "/readyz": ["200", "503"],
    } == found


def test_module_is_imported_without_settings() -> None:
    """Only a server that asks for the application needs the settings."""
    with pytest.raises(AttributeError, match="has no attribute 'application'"):
        trigger_app.application  # noqa: B018 - to look is all


def test_server_without_settings_ends_with_one_line() -> None:
    """A setting that is missing is the last line, without a traceback."""
    with Sandbox() as sandbox:
        ended = subprocess.run(
            [sys.executable, "-m", "uvicorn", "trigger.app:app", "--port", str(free_port())],
            env=sandbox.prefect_environment(
                "trigger", PYTHONPATH=str(EXAMPLES), PREFECT_API_URL="http://127.0.0.1:1/api"
            ),
            check=False,
            capture_output=True,
            text=True,
        )

    assert (1, "TRIGGER_API_KEYS_FILE Field required", False) == (
        ended.returncode,
        ended.stderr.splitlines()[-1],
        "Traceback" in ended.stderr,
    )
