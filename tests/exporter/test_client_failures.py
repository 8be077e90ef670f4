"""The client against a server that misbehaves, over real sockets."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace

import pytest
import stamina
from pydantic import SecretStr

from faults import FAULTS, Expected
from misbehaving import Fault, MisbehavingPrefect
from prefect_exporter.api import RunFilter
from prefect_exporter.client import Connection, Exchange, PrefectClient
from prefect_exporter.errors import ApiError, Redirected, Unreachable
from prefect_exporter.transport import unreachable
from scripted import CONNECTION

SECRETS = ("s3cret-passphrase", "b2JzZXJ2ZXI6czNjcmV0", "s3cret-header", "hunter2")
"""The password, the start of the basic header that holds it, a header, and what the server says."""


def connection(url: str, deadline_seconds: float) -> Connection:
    """Return a connection that tries once and carries secrets."""
    return replace(
        CONNECTION,
        url=url,
        auth_string=SecretStr("observer:s3cret-passphrase"),
        headers={"X-Proxy-Auth": SecretStr("s3cret-header")},
        request_timeout_seconds=deadline_seconds,
        attempts=1,
    )


@pytest.mark.parametrize("fault", list(Fault), ids=str)
def test_fault_ends_in_its_own_error_and_passes(fault: Fault) -> None:
    """Each fault raises its kind within the deadline, tells no secret, and leaves no trace."""
    asyncio.run(_suffer(fault, FAULTS[fault]))


async def _suffer(fault: Fault, expected: Expected) -> None:
    exchanges: list[Exchange] = []
    loop = asyncio.get_running_loop()
    async with MisbehavingPrefect() as server:
        server.prefect.add_flow_run()
        reachable = connection(server.url, expected.deadline_seconds)
        async with PrefectClient(reachable, observe=exchanges.append) as client:
            await server.misbehave(fault)
            began = loop.time()
            with pytest.raises(ApiError) as caught:
                await client.flow_runs(RunFilter(), "END_TIME_DESC")
            took = loop.time() - began
            told = "".join(traceback.format_exception(caught.value)) + repr(exchanges)
            failed = exchanges[-1]
            await server.behave()
            page = await client.flow_runs(RunFilter(), "END_TIME_DESC")

    assert isinstance(caught.value, expected.error)
    assert expected.kind == caught.value.kind
    assert expected.reason in caught.value.reason
    assert "flow_runs/filter" == caught.value.route
    assert (expected.status or expected.kind, expected.kind) == (failed.status, failed.error_kind)
    # A second for a machine that is busy with other tests.
    assert took < expected.deadline_seconds + 1
    assert [] == [secret for secret in SECRETS if secret in told]
    assert 1 == len(page.rows)
    assert None is exchanges[-1].error_kind


def test_credentials_do_not_follow_a_redirect() -> None:
    """The host that a redirect names hears nothing at all."""

    async def redirected() -> MisbehavingPrefect:
        async with MisbehavingPrefect() as server:
            await server.misbehave(Fault.REDIRECT)
            async with PrefectClient(connection(server.url, 5), observe=_ignore) as client:
                with pytest.raises(Redirected):
                    await client.version()
        return server

    server = asyncio.run(redirected())

    assert [] == server.seen_elsewhere
    assert 1 == len(server.requests)


def test_retries_end_at_the_first_good_answer() -> None:
    """A restart of the server within a request's attempts is not seen by the caller."""

    async def retried() -> tuple[str, MisbehavingPrefect]:
        async with MisbehavingPrefect() as server:
            server.script(Fault.BAD_GATEWAY, Fault.RESET_MID_BODY, None)
            with stamina.set_testing(True, attempts=3):
                async with PrefectClient(connection(server.url, 5), observe=_ignore) as client:
                    return await client.version(), server

    version, server = asyncio.run(retried())

    assert "3.8.8" == version
    assert 3 == len(server.requests)


def test_connection_is_kept_between_requests() -> None:
    """Two requests use one connection; the second finds it open."""

    async def twice() -> int:
        async with (
            MisbehavingPrefect() as server,
            PrefectClient(connection(server.url, 5), observe=_ignore) as client,
        ):
            await client.version()
            await client.version()
            return server.connections

    assert 1 == asyncio.run(twice())


def test_unknown_host_is_named_so() -> None:
    """A host that cannot be resolved ends in plain words."""

    async def ask() -> None:
        unknown = connection("http://prefect.invalid/api", 10)
        async with PrefectClient(unknown, observe=_ignore) as client:
            await client.version()

    with pytest.raises(Unreachable, match="no such host"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("host.docker.internal:4200", True),
        ("prefect.example.com", True),
        ("[2001:db8::1]:4200", True),
        ("127.0.0.1:4200", False),
        ("localhost:4200", False),
        ("[::1]:4200", False),
    ],
)
def test_refusal_from_elsewhere_tells_of_servers_that_are_local_only(
    host: str, *, told: bool
) -> None:
    """A refused connection names the usual cause and its mend, where it can be the cause."""
    url = f"http://{host}/api"

    refusal = str(unreachable("admin/version", url, ConnectionRefusedError()))
    reset = str(unreachable("admin/version", url, ConnectionResetError()))

    assert told is ("prefect server start --host 0.0.0.0" in refusal)
    assert "admin/version: connection reset" == reset


def _ignore(_: Exchange) -> None:
    pass
