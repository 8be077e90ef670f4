"""The HTTP interface as its description says: a real exporter, asked whatever a client may send."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import Case
from schemathesis.checks import not_a_server_error

from demo.processes import free_port
from fronts import FakeService
from prefect_exporter.server import Auth, create_app

DEADLINE_SECONDS = 60
TOKEN = "token-1"  # noqa: S105 - a sample
AUTH = Auth(basic=SecretStr("me:password"), bearer=SecretStr(TOKEN))
BEARER = {"Authorization": f"Bearer {TOKEN}"}
GUARDED = (
    "/",
    "/metrics",
    "/status.json",
    "/runbooks",
    "/api/failures",
    "/report",
    "/report.md",
    "/report.json",
)
ROUTES = (*GUARDED, "/healthz", "/readyz")
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DESCRIPTION = create_app(FakeService(), auth=AUTH).openapi()
schema = schemathesis.openapi.from_dict(DESCRIPTION)


@pytest.fixture(name="address", scope="module")
def _address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an exporter that reaches no Prefect, and yield its host and port."""
    folder = tmp_path_factory.mktemp("exporter")
    address = f"127.0.0.1:{free_port()}"
    clean = {name: text for name, text in os.environ.items() if "PREFECT" not in name}
    env = clean | {
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_EXPORTER_LISTEN_ADDRESS": address,
        "PREFECT_EXPORTER_STATE_PATH": str(folder / "ledger"),
        "PREFECT_EXPORTER_BASIC_AUTH": "me:password",
        "PREFECT_EXPORTER_BEARER_TOKEN": TOKEN,
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "prefect_exporter", "serve"]
        process = subprocess.Popen(command, env=env, stderr=log)
    try:
        _await(address, process)
        yield address
        assert process.poll() is None
        log_text = (folder / "log").read_text()
        assert "Traceback" not in log_text
        assert "exception" not in log_text
    finally:
        process.kill()
        process.wait()


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://{address}/healthz", trust_env=False)
            return
        time.sleep(0.05)
    pytest.fail("the exporter does not answer")


@schema.parametrize()
@FUZZ
def test_answer_is_as_described(case: Case[Any], address: str) -> None:
    """No request that follows or breaks the description gets a 5xx or an answer not in it."""
    # A 503 is what /readyz describes; any other server error is in no description.
    case.call_and_validate(
        base_url=f"http://{address}", headers=BEARER, excluded_checks=[not_a_server_error]
    )


HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
# Sent as they are; percent signs too, so that bad escapes come.
SENT = '%/=&;+:@[]"<>|'
METHOD = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"])


TARGET = st.tuples(
    st.sampled_from(ROUTES) | st.text(st.characters(codec="ascii"), max_size=40),
    st.text(max_size=200),
)
HEADERS = st.fixed_dictionaries(
    {"Accept": HEADER, "Accept-Encoding": HEADER, "Authorization": HEADER}
)


@FUZZ
@given(method=METHOD, target=TARGET, headers=HEADERS)
@example("GET", ("/metrics", ""), {"Accept": "*/*;q=nan", "Accept-Encoding": "gzip;q=inf"})
@example("GET", ("/readyz", "target=%00%ff%ed%a0%80&target=b"), {})
@example("GET", ("/%2e%2e/%2e%2e/etc/passwd", ""), {})
@example("GET", ("//metrics", ""), {})
@example("POST", ("/metrics", ""), {"Authorization": "Basic \xff"})
@example("GET", ("/metrics", ""), {"Authorization": "Bearer " + "x" * 60_000})
def test_hostile_request_gets_a_known_status(
    address: str, method: str, target: tuple[str, str], headers: dict[str, str]
) -> None:
    """Whatever stands in a request, its answer is one of the few statuses there are."""
    path, query = (quote(part, safe=SENT) for part in target)
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
    try:
        connection.putrequest(method, f"/{path.lstrip('/')}?{query}", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.strip().encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()

    # 400 is the HTTP parser's, for what is no request; 503 is of those who need a Prefect.
    assert answer.status in {200, 400, 401, 404, 405, 503}
    assert (answer.status == 503) <= path.startswith(("/readyz", "/api/failures"))


def test_description_names_every_route_and_who_may_read_it() -> None:
    """The description has each route by GET and HEAD, and both schemes where one is asked for."""
    found = {
        (path, method): operation.get("security", [])
        for path, operations in DESCRIPTION["paths"].items()
        for method, operation in operations.items()
    }

    both: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]
    expected = {
        (path, method): both if path in GUARDED else []
        for path in ROUTES
        for method in ("get", "head")
    }
    assert expected == found


def test_description_without_credentials_asks_for_none() -> None:
    """Where everyone may read, no 401 and no scheme is described."""
    described = create_app(FakeService(), auth=Auth()).openapi()

    assert "components" not in described
    assert "401" not in described["paths"]["/metrics"]["get"]["responses"]


def test_description_itself_is_not_served() -> None:
    """The description is for tests and tools that hold the code; no request gets it."""

    async def ask() -> int:
        transport = httpx.ASGITransport(create_app(FakeService(), auth=Auth()))
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return (await client.get("/openapi.json")).status_code

    assert 404 == asyncio.run(ask())
