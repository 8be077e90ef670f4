"""The process around the routes: real sockets, TLS, and an end on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from logging import WARNING
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from certificates import certificate
from demo.processes import free_port
from fronts import STARTING, FakeService, exposition, status
from prefect_exporter.errors import LedgerInUse
from prefect_exporter.listener import CannotListen, Limits, bind, serve
from prefect_exporter.settings import Settings
from prefect_exporter.values import Address

DEADLINE = 5.0
PATIENCE = 30.0


def settings_for(port: int, **others: str) -> Settings:
    """Return settings that listen on *port* of 127.0.0.1."""
    given = {"LISTEN_ADDRESS": f"127.0.0.1:{port}", **others}
    return Settings.model_validate(
        {f"PREFECT_EXPORTER_{name}": text for name, text in given.items()}
    )


async def visit(
    settings: Settings,
    service: FakeService,
    act: Callable[[], Awaitable[None]],
    limits: Limits | None = None,
) -> float:
    """Serve, act once the port answers, send SIGTERM; return the seconds that the end took."""
    serving = asyncio.create_task(serve(settings, service, limits))
    async with asyncio.timeout(PATIENCE):
        while not serving.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", settings.listen_address.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
    if not serving.done():
        await act()
        os.kill(os.getpid(), signal.SIGTERM)
    asked = time.monotonic()
    await asyncio.wait_for(serving, PATIENCE)
    return time.monotonic() - asked


async def healthy(port: int) -> bool:
    """Return whether a new connection gets an answer from ``/healthz``."""
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            return (await client.get("/healthz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_signal_ends_the_polls_before_the_service_closes() -> None:
    """SIGTERM cancels the polls, then closes the service, then returns as asked."""
    service = FakeService()
    port = free_port()

    async def act() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert "ok\n" == (await client.get("/healthz")).text

    took = asyncio.run(visit(settings_for(port), service, act))

    assert ["opened", "polls", "polls ended", "closed"] == service.story
    assert took < DEADLINE


def test_answers_before_the_first_poll_has_ended() -> None:
    """Health and page answer at once; readiness says what it waits for."""
    service = FakeService(now=status(STARTING))
    port = free_port()
    answers: list[int] = []

    async def act() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            paths = ("/healthz", "/", "/readyz")
            answers.extend([(await client.get(path)).status_code for path in paths])

    asyncio.run(visit(settings_for(port), service, act))

    assert [200, 200, 503] == answers


def test_answer_names_no_software() -> None:
    """No header tells which server and version answers."""
    port = free_port()
    headers: list[httpx.Headers] = []

    async def act() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers.append((await client.get("/")).headers)

    asyncio.run(visit(settings_for(port), FakeService(), act))

    assert "server" not in headers[0]


def test_https_with_the_given_certificate(tmp_path: Path) -> None:
    """With a certificate the same port answers by HTTPS, to a client that trusts it."""
    cert, key = certificate(tmp_path)
    port = free_port()
    settings = settings_for(port, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key))
    trusting = ssl.create_default_context(cafile=cert)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    answers: list[str] = []

    async def act() -> None:
        url = f"https://127.0.0.1:{port}/metrics"
        async with httpx.AsyncClient(verify=trusting) as client:
            answers.append((await client.get(url)).text)
        async with httpx.AsyncClient(verify=ssl.create_default_context()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)

    asyncio.run(visit(settings, FakeService(), act))

    assert ["up 1\n"] == answers


def test_scraper_that_stops_reading_neither_counts_nor_holds_up_the_end() -> None:
    """A scraper that stops in mid-answer is not reported, and SIGTERM still ends."""
    service = FakeService(published=exposition(os.urandom(8_000_000)))
    port = free_port()
    writers: list[asyncio.StreamWriter] = []

    async def act() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writers.append(writer)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        await reader.readexactly(1_024)

    async def watch() -> float:
        took = await visit(settings_for(port), service, act)
        writers[0].close()
        return took

    assert asyncio.run(watch()) < DEADLINE
    assert [] == service.scrapes


def test_whole_answer_over_a_socket_is_reported() -> None:
    """A scraper that reads a large answer to its end is reported."""
    service = FakeService(published=exposition(os.urandom(8_000_000)))
    port = free_port()

    async def act() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"Accept-Encoding": "identity"}
            answer = await client.get("/metrics", headers=headers)
            assert b"".join(service.published.text.pieces()) == answer.content

    asyncio.run(visit(settings_for(port), service, act))

    assert [7] == service.scrapes


def test_taken_port_is_told_before_the_ledger_is_opened() -> None:
    """A port in use is one line that names the setting; the service is never entered."""
    service = FakeService()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            asyncio.run(serve(settings_for(port), service))

    expected = (
        f"cannot listen on 127.0.0.1:{port}: address already in use; "
        "give PREFECT_EXPORTER_LISTEN_ADDRESS an address that is free on this machine"
    )
    assert expected == str(caught.value)
    assert [] == service.story


def test_metrics_answer_at_an_address_of_their_own(tmp_path: Path) -> None:
    """With two addresses each has its part and the health answers, under one TLS and one auth."""
    cert, key = certificate(tmp_path)
    pages, scrapes = free_port(), free_port()
    settings = settings_for(
        pages,
        METRICS_ADDRESS=f"127.0.0.1:{scrapes}",
        BEARER_TOKEN="token-1",  # noqa: S106 - a sample
        TLS_CERT_FILE=str(cert),
        TLS_KEY_FILE=str(key),
    )
    found: dict[str, list[int]] = {}

    async def act() -> None:
        trusting = ssl.create_default_context(cafile=cert)
        async with httpx.AsyncClient(verify=trusting) as client:
            for path in ("/", "/metrics", "/healthz", "/readyz"):
                found[path] = [
                    (
                        await client.get(f"https://127.0.0.1:{port}{path}", headers=headers)
                    ).status_code
                    for port in (pages, scrapes)
                    for headers in ({}, {"Authorization": "Bearer token-1"})
                ]

    service = FakeService()
    took = asyncio.run(visit(settings, service, act))

    assert {
        "/": [401, 200, 404, 404],
        "/metrics": [404, 404, 401, 200],
        "/healthz": [200, 200, 200, 200],
        "/readyz": [200, 200, 200, 200],
    } == found
    assert ["opened", "polls", "polls ended", "closed"] == service.story
    assert took < DEADLINE
    for port in (pages, scrapes):
        bind(Address("127.0.0.1", port)).close()


def test_taken_metrics_port_is_told_before_the_ledger_is_opened() -> None:
    """The line names the setting whose address is taken, and the other port is free again."""
    service = FakeService()
    pages = free_port()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        settings = settings_for(pages, METRICS_ADDRESS=f"127.0.0.1:{port}")
        with pytest.raises(CannotListen, match=r"give PREFECT_EXPORTER_METRICS_ADDRESS an"):
            asyncio.run(serve(settings, service))

    assert [] == service.story
    bind(Address("127.0.0.1", pages)).close()


def test_one_address_by_two_names_is_told() -> None:
    """An address that is another's in other words is found when it is bound."""
    port = free_port()
    settings = settings_for(port, METRICS_ADDRESS=f"localhost:{port}")

    with pytest.raises(CannotListen, match=r"METRICS_ADDRESS an address that is free"):
        asyncio.run(serve(settings, FakeService()))


def test_same_address_twice_is_a_bad_setting() -> None:
    """The same address for both is one line that names both settings, before anything is bound."""
    with pytest.raises(ValidationError) as caught:
        settings_for(9877, METRICS_ADDRESS="127.0.0.1:9877")

    assert (
        "PREFECT_EXPORTER_METRICS_ADDRESS is PREFECT_EXPORTER_LISTEN_ADDRESS (127.0.0.1:9877); "
        "give another port, or leave it out to have both there"
    ) == str(caught.value.errors()[0]["ctx"]["error"])


def test_second_listener_on_a_port_is_refused() -> None:
    """A port is taken from the moment that it is bound, not only once it is served."""
    port = free_port()
    with bind(Address("127.0.0.1", port)), pytest.raises(CannotListen):
        bind(Address("127.0.0.1", port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_foreign_address_is_told(host: str) -> None:
    """An address that is not this machine's, or no address at all, is one plain line."""
    with pytest.raises(CannotListen, match=f"^cannot listen on {host}:9877: .*LISTEN_ADDRESS"):
        bind(Address(host, 9877))


def test_ledger_that_cannot_be_opened_ends_the_start() -> None:
    """What the service raises when it is entered comes out, and the port is free again."""
    port = free_port()
    service = FakeService(enter=LedgerInUse("the ledger is held"))

    with pytest.raises(LedgerInUse):
        asyncio.run(serve(settings_for(port), service))

    bind(Address("127.0.0.1", port)).close()


def test_crash_of_the_polls_ends_the_process() -> None:
    """An error that nobody expected in the polls closes the service and comes out."""
    service = FakeService(crash=ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        asyncio.run(serve(settings_for(free_port()), service))

    assert ["opened", "polls", "closed"] == service.story


def test_idle_connections_keep_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    """Of 200 connections without a request the last 63 stay beside one that asks, untold."""
    port = free_port()
    closed: list[bool] = []

    async def act() -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        assert await healthy(port)
        await asyncio.gather(*(reader.read() for reader, _ in idle[:137]))
        closed.extend(reader.at_eof() for reader, _ in idle)
        for _, writer in idle:
            writer.close()

    asyncio.run(visit(settings_for(port), FakeService(), act))

    assert [True] * 137 + [False] * 63 == closed
    assert [] == [record.message for record in caplog.records if record.levelno >= WARNING]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: exp",
        b"GET /healthz HTTP/1.1\r\nHost: exporter\r\n\r\nGET /",
        b"GET /healthz HTTP/1.1\r\nHost: exporter\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "half a request", "half a second request", "no body"],
)
def test_connection_that_asks_nothing_is_closed(sent: bytes) -> None:
    """Whoever does not send a whole request in time is hung up on, bytes in between or not."""
    port = free_port()
    limits = Limits(request_seconds=0.3)
    took: list[float] = []

    async def act() -> None:
        # Before the server's own clock begins, so that no pause in between shortens its wait.
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(100), 0.1)
                writer.write(b"x" if sent else b"")
        took.append(time.monotonic() - begun)
        writer.close()

    asyncio.run(visit(settings_for(port), FakeService(), act, limits))

    assert 0.2 < took[0] < 2.0


def test_scraper_keeps_its_connection() -> None:
    """Requests one after another go over one connection, longer than one request is waited for."""
    port = free_port()
    request = b"GET /healthz HTTP/1.1\r\nHost: exporter\r\n\r\n"
    answers: list[bytes] = []

    async def act() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            writer.write(request)
            answers.append(await reader.readuntil(b"ok\n"))
            await asyncio.sleep(0.05)
        writer.close()

    asyncio.run(visit(settings_for(port), FakeService(), act, Limits(request_seconds=1.5)))

    assert len(answers) > 5
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_scraper_that_stops_reading_loses_its_place_in_time() -> None:
    """A connection at work is never closed for another, but not waited for without end either."""
    service = FakeService(published=exposition(os.urandom(8_000_000)))
    port = free_port()
    health: list[bool] = []

    async def act() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        await reader.readexactly(1_024)
        async with asyncio.timeout(PATIENCE):
            while not health or not health[-1]:
                health.append(await healthy(port))
                await asyncio.sleep(0.02)
        writer.close()

    # Long enough that a busy machine asks for its health before the place is lost.
    limits = Limits(connections=1, request_seconds=0.2, answer_seconds=2.0)
    asyncio.run(visit(settings_for(port), service, act, limits))

    assert health[0] is False
    assert [] == service.scrapes


def test_handshakes_count_and_end(tmp_path: Path) -> None:
    """Connections without a TLS handshake are few, and closed in time."""
    cert, key = certificate(tmp_path)
    port = free_port()
    settings = settings_for(port, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key))
    took: list[float] = []

    async def act() -> None:
        begun = time.monotonic()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for reader, writer in reversed(idle):
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), PATIENCE)
            took.append(time.monotonic() - begun)
            writer.close()
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=cert)) as client:
            assert "ok\n" == (await client.get(f"https://127.0.0.1:{port}/healthz")).text

    asyncio.run(visit(settings, FakeService(), act, Limits(connections=2, request_seconds=2.0)))

    assert took[0] < 1.0
    assert 2.0 <= took[-1] < 4.0
