"""Airbyte-like and dbt-Cloud-like jobs over HTTP, at a server that misbehaves as it is told."""

from __future__ import annotations

import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.processes import Program, answers_at, free_port
from demo.sandbox import Sandbox
from prefect_instrumentation import _errors
from prefect_instrumentation.testing import record_spans
from trigger.jobs import errors
from trigger.jobs.airbyte import Airbyte
from trigger.jobs.asking import MAX_BYTES, Asking, connected, retry_after
from trigger.jobs.dbt_cloud import DbtCloud
from trigger.jobs.errors import (
    JobCancelled,
    JobCodeWrong,
    JobDataWrong,
    JobError,
    JobFailed,
    JobLate,
    JobMisconfigured,
    Refused,
    StartUnknown,
    Unavailable,
)
from trigger.jobs.model import Job, Patience, System
from trigger.jobs.running import Clock, run_job

TOKEN = "a-token-that-nobody-may-see"  # noqa: S105 - a sample
EXAMPLES = Path(errors.__file__).parents[2]
QUICK = Patience(total=60, first=0.05, longest=0.2, settle=30, cancel=10)
SYSTEMS = pytest.mark.parametrize("system", ["airbyte", "dbt-cloud"])

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """The pretend server, and the files that open it or do not."""

    url: str
    token: Path
    wrong_token: Path

    def script(self, system: str, **script: object) -> str:
        """Say how the jobs of a new connection or dbt job go, and return its name."""
        name = str(next(_numbers))
        url = f"{self.url}/pretend/{system}/{name}"
        httpx.put(url, json={"seconds": 0.2, **script}).raise_for_status()
        return name

    def phases(self, system: str, name: str) -> list[str]:
        """Return how far each of its jobs is."""
        jobs = httpx.get(f"{self.url}/pretend/jobs").raise_for_status().json()
        return [each["phase"] for each in jobs if (each["system"], each["name"]) == (system, name)]

    @contextmanager
    def connect(
        self, system: str, name: str, *, token: Path | None = None, seconds: float = 10
    ) -> Iterator[System]:
        """Yield the client of a connection or dbt job."""
        with connected(self.url, token or self.token, scheme="Bearer") as http:
            asking = Asking(system, http, seconds=seconds)
            yield Airbyte(asking, name) if system == "airbyte" else DbtCloud(asking, 1, int(name))

    def run(self, system: str, name: str, patience: Patience = QUICK, **options: Any) -> Job:  # noqa: ANN401 - of connect
        """Have a job done there."""
        with self.connect(system, name, **options) as client:
            return run_job(client, f"prefect run {name}", patience)


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[Server]:
    with Sandbox() as sandbox:
        folder = sandbox.subfolder("tokens")
        token, wrong = folder / "token", folder / "wrong"
        token.write_text(f"{TOKEN}\n")
        wrong.write_text("another\n")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        sandbox.start(
            Program(
                name="pretend",
                argv=[
                    *(sys.executable, "-m", "trigger.jobs.pretend", "--port", str(port)),
                    *("--token-file", str(token)),
                ],
                env=sandbox.environment(PYTHONPATH=str(EXAMPLES)),
                ready=answers_at(f"{url}/pretend/jobs"),
            )
        )
        yield Server(url, token, wrong)


@SYSTEMS
def test_good_job_comes_back(server: Server, system: str) -> None:
    """A job that goes well is done once."""
    name = server.script(system)

    server.run(system, name)

    assert ["succeeded"] == server.phases(system, name)


def test_records_and_bytes_of_a_sync_are_known(server: Server) -> None:
    """What Airbyte says of the amount goes on."""
    job = server.run("airbyte", server.script("airbyte"))

    assert (1_000, 64_000) == (job.records, job.bytes)


@SYSTEMS
@pytest.mark.parametrize(
    "trouble",
    [{"busy": 2, "retry_after": 0}, {"broken": 6}],
    ids=["429", "storm of 500"],
)
def test_trouble_that_passes_costs_no_second_job(
    server: Server, system: str, trouble: Mapping[str, object]
) -> None:
    """A system that is busy or broken for a while is asked until it works, and does one job."""
    name = server.script(system, **trouble)

    server.run(system, name)

    assert ["succeeded"] == server.phases(system, name)


@SYSTEMS
def test_lost_answer_to_the_start_costs_no_second_job(server: Server, system: str) -> None:
    """A job whose start was never answered is found, and followed."""
    name = server.script(system, lost_starts=1)

    server.run(system, name, seconds=0.5)

    assert ["succeeded"] == server.phases(system, name)


@SYSTEMS
def test_hanging_look_is_given_up_and_repeated(server: Server, system: str) -> None:
    """An answer that does not come in time is asked for again."""
    name = server.script(system, hangs=1)

    server.run(system, name, seconds=0.5)

    assert ["succeeded"] == server.phases(system, name)


@SYSTEMS
def test_job_that_takes_too_long_is_cancelled(server: Server, system: str) -> None:
    """When the patience ends, so does the job over there."""
    name = server.script(system, seconds=3600)
    time = iter(range(0, 100_000, 10))

    with pytest.raises(JobLate), server.connect(system, name) as client:
        run_job(
            client,
            f"prefect run {name}",
            Patience(total=100),
            Clock(now=lambda: next(time), sleep=lambda _seconds: None),
        )

    assert ["cancelled"] == server.phases(system, name)


def test_busy_connection_is_joined(server: Server) -> None:
    """Where Airbyte already syncs the connection, that sync is waited for, and no other begun."""
    name = server.script("airbyte", seconds=3600)
    body = {"connectionId": name, "jobType": "sync"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{server.url}/v1/jobs", json=body, headers=headers).raise_for_status()
    job = f"{server.url}/v1/jobs/{answer.json()['jobId']}"

    def somebody_else_stops_it(_seconds: float) -> None:
        httpx.delete(job, headers=headers).raise_for_status()

    with pytest.raises(JobCancelled), server.connect("airbyte", name) as client:
        run_job(client, "another", QUICK, Clock(sleep=somebody_else_stops_it))

    assert ["cancelled"] == server.phases("airbyte", name)


@pytest.mark.parametrize(
    ("system", "script", "kind", "category"),
    [
        ("airbyte", {}, JobFailed, "upstream"),
        ("airbyte", {"failure_type": "config_error"}, JobMisconfigured, "configuration"),
        ("dbt-cloud", {"message": "Database Error in model x"}, JobFailed, "upstream"),
        ("dbt-cloud", {"message": "Compilation Error in model x"}, JobCodeWrong, "user_code"),
        ("dbt-cloud", {"message": "Failure in test not_null_x"}, JobDataWrong, "data"),
        ("dbt-cloud", {"message": "Env var required: X"}, JobMisconfigured, "configuration"),
        ("airbyte", {"outcome": "cancelled"}, JobCancelled, "cancelled"),
        ("dbt-cloud", {"outcome": "cancelled"}, JobCancelled, "cancelled"),
    ],
)
@pytest.mark.usefixtures("own_rules")
def test_end_says_whose_failure_it_is(
    server: Server,
    system: str,
    script: Mapping[str, object],
    kind: type[JobError],
    category: str,
) -> None:
    """What a job says of its end becomes the category that spans, lines and metrics have."""
    name = server.script(system, **{"outcome": "failed", **script})

    with pytest.raises(JobError) as caught:
        server.run(system, name)

    assert (kind, category) == (type(caught.value), _category(caught.value))


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (JobLate("x", "late"), "timeout"),
        (Unavailable("x", "HTTP 503", status=503), "upstream"),
        (Unavailable("x", "no connection (ConnectError)"), "upstream"),
        (StartUnknown("x", "unknown"), "upstream"),
        (Refused("x", "HTTP 401", status=401), "configuration"),
        (Refused("x", "HTTP 404", status=404), "configuration"),
    ],
    ids=["late", "503", "no connection", "start unknown", "401", "404"],
)
def test_trouble_says_whose_failure_it_is(error: JobError, category: str) -> None:
    """What is wrong with a system itself has its category by the built-in rules."""
    assert category == _category(error)


@SYSTEMS
def test_wrong_token_is_told_of_and_not_shown(server: Server, system: str) -> None:
    """With a wrong token nothing is started, and nothing that is told holds it."""
    name = server.script(system)

    with pytest.raises(Refused) as caught:
        server.run(system, name, token=server.wrong_token)

    told = "".join(traceback.format_exception(caught.value))
    assert (401, [], False) == (
        caught.value.status,
        server.phases(system, name),
        "another" in told,
    )


@SYSTEMS
def test_job_has_one_span_that_says_all(server: Server, system: str) -> None:
    """One span is the remote job: where, which, how it ended; without the token."""
    name = server.script(system, busy=1, retry_after=0)

    with record_spans() as recorded:
        job = server.run(system, name)

    (span,) = (each for each in recorded.spans if each.name == "remote job")
    attributes = dict(span.attributes or {})
    told = {key: attributes[key] for key in attributes if key.startswith("remote.")}
    assert TOKEN not in json.dumps(attributes)
    assert {
        "remote.system": system,
        "remote.job.id": job.id,
        "remote.job.status": "succeeded",
        "remote.cause": f"prefect run {name}",
        "remote.looks": told["remote.looks"],
        "remote.troubles": 1,
        "remote.url": told["remote.url"],
    } == told
    assert str(told["remote.url"]).startswith(server.url)


Answer = Callable[[httpx.Request], httpx.Response]


def _asking(answer: Answer, url: str = "http://jobs.test") -> Asking:
    return Asking("jobs", httpx.Client(transport=httpx.MockTransport(answer), base_url=url))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no json", b'{"data": 1}', b"[" * 100_000, b"\xff", b" " * (MAX_BYTES + 1)],
    ids=["none", "a list", "text", "another type", "deep", "bytes", "large"],
)
def test_odd_answer_is_one_to_ask_for_again(body: bytes) -> None:
    """Whatever a system answers, nothing but `Unavailable` comes of it."""
    asking = _asking(lambda _request: httpx.Response(200, content=body))

    with pytest.raises(Unavailable):
        DbtCloud(asking, 1, 1).look("1")


@pytest.mark.parametrize("status", ["41", "exploded"])
def test_unknown_status_is_no_end(status: str) -> None:
    """A status that nobody knows is asked for again, not taken for good or bad."""
    answer = {"data": {"id": 1, "status": 41}, "jobId": 1, "status": status}
    asking = _asking(lambda _request: httpx.Response(200, json=answer))

    for look in (DbtCloud(asking, 1, 1).look, Airbyte(asking, "c").look):
        with pytest.raises(Unavailable, match="unknown status"):
            look("1")


@SYSTEMS
def test_unknown_status_of_a_new_job_starts_no_second_one(system: str) -> None:
    """The job is there, whatever its status means."""
    starts, time = [], iter(range(0, 100_000, 10))

    def answer(request: httpx.Request) -> httpx.Response:
        job = {"id": 1, "jobId": 1, "status": 41 if system == "dbt-cloud" else "exploded"}
        if request.method == "POST" and not request.url.path.endswith("cancel/"):
            starts.append(request)
            return httpx.Response(200, json={"data": job, **job})
        return httpx.Response(200, json={"data": [job] if starts else []})

    asking = _asking(answer)
    client = Airbyte(asking, "c") if system == "airbyte" else DbtCloud(asking, 1, 1)
    with pytest.raises(JobError):
        run_job(client, "a cause", QUICK, Clock(lambda: next(time), lambda _seconds: None))

    assert 1 == len(starts)


def test_long_message_is_cut() -> None:
    """What a system says goes on as one line of bounded length."""
    asking = _asking(lambda _request: httpx.Response(404, text="no\n" * 100_000))

    with pytest.raises(Refused) as caught:
        Airbyte(asking, "c").look("1")

    assert (True, False) == (len(str(caught.value)) < 600, "\n" in str(caught.value))


def test_page_shows_no_credentials() -> None:
    """Where jobs are looked at is told without a user, a password or a query."""
    asking = _asking(lambda _request: httpx.Response(200), url="http://me:secret@jobs.test/api")

    assert "http://jobs.test/connections/c" == Airbyte(asking, "c").page


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("1e999", 0.0),
        ("nan", 0.0),
        ("99999999", 300.0),
        ("Sun, 22 Nov 2026 12:00:10 GMT", 10.0),
        ("Sun, 22 Nov 2026 11:00:10 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_read_and_bounded(header: str, seconds: float) -> None:
    """Seconds and dates are understood; nonsense asks for nothing, and nobody for ever."""
    assert seconds == retry_after(header, datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC))


@pytest.fixture(name="own_rules")
def _own_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the package read the file of rules that comes with the example, and forget it again."""
    rules = EXAMPLES / "trigger" / "jobs" / "errors.toml"
    monkeypatch.setenv("PREFECT_INSTRUMENTATION_ERROR_RULES", str(rules))
    _errors._rules.cache_clear()  # noqa: SLF001 - the file is read once a process
    yield
    _errors._rules.cache_clear()  # noqa: SLF001 - as above


def _category(error: BaseException) -> str:
    return _errors.category(error, None)
