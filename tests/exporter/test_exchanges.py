"""How requests wait, retry, prove themselves and are observed; with no network and no waiting."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from prefect_exporter.api import RunFilter
from prefect_exporter.client import Exchange, PrefectClient
from prefect_exporter.errors import Malformed, Rejected, Throttled, TimedOut
from scripted import CONNECTION, ROW, Scripted, answer, raw, read_flow_runs, run


def test_transient_failures_are_retried_and_then_raised() -> None:
    """The last error is raised once the attempts are used up, and each try is observed."""
    server = Scripted([lambda _: answer({}, 502)])

    with pytest.raises(Rejected):
        run(read_flow_runs(server))

    assert ["502"] * 4 == [exchange.status for exchange in server.exchanges]


def test_refusals_are_not_retried() -> None:
    """Where asking again cannot help, one request is all."""
    server = Scripted([answer({}, 401)])

    with pytest.raises(Rejected):
        run(read_flow_runs(server))

    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "7"},
        {
            "Retry-After": "Sat, 21 Nov 2026 12:00:07 GMT",
            "Date": "Sat, 21 Nov 2026 12:00:00 GMT",
        },
    ],
    ids=["seconds", "date"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_short_pause_is_waited_for(status: int, headers: dict[str, str]) -> None:
    """Retry-After in either form is how long the next try waits."""
    server = Scripted([answer({}, status, headers), answer([])])

    run(read_flow_runs(server))

    assert [0, 7] == server.times


def test_long_pause_is_kept_without_asking() -> None:
    """A long Retry-After fails at once, every call fails until it is over, and then asks again."""
    server = Scripted([answer({}, 429, {"Retry-After": "60"}), answer("3.8.8")])
    refused: list[float] = []

    async def ask() -> str:
        async with server.client() as client:
            for wait in (0, 30, 29):
                await asyncio.sleep(wait)
                with pytest.raises(Throttled) as caught:
                    await client.version()
                refused.append(caught.value.retry_after)
            await asyncio.sleep(1)
            return await client.version()

    assert "3.8.8" == run(ask())
    assert [60, 30, 1] == refused
    assert [0, 60] == server.times


def test_budget_counts_every_request() -> None:
    """No minute sees more requests than the budget, retries included."""
    server = Scripted([lambda _: answer({}, 500)])

    async def ask() -> None:
        async with server.client(requests_per_minute=30) as client:
            for _ in range(25):
                with pytest.raises(Rejected):
                    await client.version()

    run(ask())

    assert 100 == len(server.times)
    most = max(sum(at <= other < at + 60 for other in server.times) for at in server.times)
    assert most <= 30
    assert 27 <= most


def test_csrf_token_is_fetched_and_renewed() -> None:
    """A server with CSRF protection gets its token, and a new one when the old one is over."""
    server = Scripted(
        [
            answer({"detail": "Missing CSRF token."}, 403),
            answer({"token": "first"}),
            answer([]),
            answer({"detail": "Invalid CSRF token or client identifier."}, 403),
            answer({"token": "second"}),
            answer([]),
        ]
    )

    async def ask() -> None:
        async with server.client() as client:
            await client.flow_runs(RunFilter(), "ID_DESC")
            await client.flow_runs(RunFilter(), "ID_DESC")

    run(ask())

    sent = [request.headers.get("Prefect-Csrf-Token") for request in server.requests]
    assert [None, None, "first", "first", "first", "second"] == sent
    client = server.requests[1].url.params["client"]
    assert client == server.requests[4].url.params["client"]
    assert client == server.requests[2].headers["Prefect-Csrf-Client"]
    assert str(UUID(client)) == client


def test_one_csrf_token_serves_concurrent_requests() -> None:
    """Requests that are refused together fetch one token, as a second would void the first."""
    tokens: list[str] = []

    async def guard(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1)
        if request.url.path.endswith("/csrf-token"):
            tokens.append(f"token{len(tokens)}")
            return answer({"token": tokens[-1]})
        if tokens and request.headers.get("Prefect-Csrf-Token") == tokens[-1]:
            return answer("3.8.8")
        return answer({"detail": "Missing CSRF token."}, 403)

    async def ask() -> None:
        transport = httpx.MockTransport(guard)
        async with PrefectClient(CONNECTION, observe=_ignore, transport=transport) as client:
            await asyncio.gather(*(client.version() for _ in range(5)))

    run(ask())

    assert ["token0"] == tokens


def test_csrf_token_that_breaks_a_header_is_malformed() -> None:
    """What the server says does not become a header unchecked."""
    server = Scripted(
        [answer({"detail": "Missing CSRF token."}, 403), answer({"token": "a\r\nX: 1"})]
    )

    with pytest.raises(Malformed):
        run(read_flow_runs(server))


def test_plain_403_fetches_no_token() -> None:
    """A 403 that does not speak of CSRF is a lack of permission."""
    server = Scripted([answer({"detail": "Forbidden"}, 403)])

    with pytest.raises(Rejected) as caught:
        run(read_flow_runs(server))

    assert ("forbidden", ["flow_runs/filter"]) == (caught.value.kind, server.paths)


def test_exchange_counts_bytes_of_the_wire() -> None:
    """The bytes are the compressed ones, the seconds those of the clock, the route a template."""
    body = gzip.compress(json.dumps([ROW] * 50).encode())
    server = Scripted([raw(body, headers={"Content-Encoding": "gzip"})])

    assert 50 == run(read_flow_runs(server))
    assert [Exchange("flow_runs/filter", "200", None, 0.0, len(body))] == server.exchanges


def test_deadline_holds_for_the_whole_answer() -> None:
    """An answer that keeps coming ends all the same, and its exchange says how."""

    async def drip() -> Any:  # noqa: ANN401 - httpx takes any asynchronous iterator
        while True:
            await asyncio.sleep(1)
            yield b" "

    server = Scripted([lambda _: httpx.Response(200, content=drip())])

    with pytest.raises(TimedOut, match="within 30 s"):
        run(read_flow_runs(server, attempts=1))

    assert [Exchange("flow_runs/filter", "200", "timeout", 30.0, 29)] == server.exchanges


def test_cancelled_exchange_is_observed() -> None:
    """A request that nobody waits for any more was sent all the same."""

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    exchanges: list[Exchange] = []

    async def ask() -> None:
        transport = httpx.MockTransport(never)
        async with PrefectClient(
            CONNECTION, observe=exchanges.append, transport=transport
        ) as client:
            async with asyncio.timeout(5):
                await client.version()

    with pytest.raises(TimeoutError):
        run(ask())

    assert [("admin/version", "cancelled", "cancelled")] == [
        (seen.route, seen.status, seen.error_kind) for seen in exchanges
    ]


def _ignore(_: Exchange) -> None:
    pass
