"""What is made of an answer, however it is meant."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from prefect_exporter.answers import ROW_LIMIT
from prefect_exporter.api import EventFilter, Interval, RunFilter
from prefect_exporter.errors import ApiError, Malformed, Redirected, Throttled
from scripted import ROW, Scripted, answer, raw, read_flow_runs, run


def test_next_page_without_token_is_malformed() -> None:
    """An address that cannot be followed fails the page instead of ending it."""
    server = Scripted([answer({"events": [], "next_page": "http://[::1"})])

    async def ask() -> None:
        async with server.client() as client:
            await client.events(EventFilter("prefect.", Interval()))

    with pytest.raises(Malformed, match="no token"):
        run(ask())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("99999999999", 600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600),
        ("-5", 0),
        ("soon", 0),
        ("Sat, 99 Nov 2026 12:00:00 GMT", 0),
        ("9" * 5000, 0),
    ],
    ids=["ages", "year_9999", "negative", "words", "no_such_day", "digits"],
)
def test_pause_is_bounded(value: str, expected: float) -> None:
    """No header can silence the exporter for long, or break it."""
    server = Scripted([lambda _: answer({}, 429, {"Retry-After": value})])

    with pytest.raises(Throttled) as caught:
        run(read_flow_runs(server))

    assert expected == caught.value.retry_after


def test_one_bad_row_fails_the_page() -> None:
    """A row that cannot be read is never dropped in silence."""
    server = Scripted([answer([ROW, {**ROW, "run_count": "hunter2"}])])

    with pytest.raises(Malformed, match="run_count") as caught:
        run(read_flow_runs(server))

    assert "hunter2" not in str(caught.value)


def test_new_fields_are_ignored() -> None:
    """A newer Prefect may say more."""
    server = Scripted([answer([{**ROW, "brand_new": {"x": [1]}}])])

    assert 1 == run(read_flow_runs(server))


@pytest.mark.parametrize(
    "body",
    [b'[{"id":"\xff"}]', b"-1", b'"' + b"x" * 99 + b'"', b"null"],
    ids=["not_utf8", "negative", "string", "null"],
)
def test_hostile_json_is_malformed(body: bytes) -> None:
    """Whatever the bytes are, the error is the same and holds none of them."""
    server = Scripted([raw(body)])

    async def ask() -> None:
        async with server.client() as client:
            await client.count_flow_runs(RunFilter())

    with pytest.raises(Malformed) as caught:
        run(ask())

    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("opened", [b'[{"new":' + b"[" * 200_000, b"[" * 200_000])
def test_deep_nesting_is_malformed(opened: bytes) -> None:
    """Brackets without end break neither the stack nor the process, read or skipped."""
    server = Scripted([lambda _: raw(opened)])

    async def ask() -> None:
        async with server.client() as client:
            with pytest.raises(Malformed):
                await client.flow_runs(RunFilter(), "ID_DESC")
            with pytest.raises(Malformed):
                await client.ready()

    run(ask())


def test_bomb_is_never_unpacked_whole() -> None:
    """A small answer that unpacks to 256 MiB takes no more memory than twice a row's limit."""
    deflate = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(256)) + deflate.flush()
    server = Scripted([lambda _: raw(bomb, headers={"Content-Encoding": "gzip"})])
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="more than"):
            run(read_flow_runs(server))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * ROW_LIMIT


def test_version_of_unbounded_length_is_malformed() -> None:
    """A version becomes a label, so it is short or it is refused."""
    server = Scripted([answer("3" * 65)])

    async def ask() -> None:
        async with server.client() as client:
            await client.version()

    with pytest.raises(Malformed):
        run(ask())


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate"])
def test_encoding_that_was_not_asked_for_is_malformed(encoding: str) -> None:
    """Nested encodings, which unpack a thousandfold each, are not unpacked."""
    body = gzip.compress(gzip.compress(b"[]"))
    server = Scripted([raw(body, headers={"Content-Encoding": encoding})])

    with pytest.raises(Malformed, match="encoding"):
        run(read_flow_runs(server))


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://user:hunter2@login.test/x?token=hunter2", "https://login.test;"),
        ("/login?next=hunter2", "http://prefect.test;"),
        ("javascript:hunter2()", "nowhere"),
    ],
    ids=["elsewhere", "same_host", "no_http"],
)
def test_redirect_names_the_host_alone(location: str, told: str) -> None:
    """The reason says where to, without path, query or credentials."""
    server = Scripted([answer({}, 307, {"Location": location})])

    with pytest.raises(Redirected, match="points") as caught:
        run(read_flow_runs(server))

    assert told in caught.value.reason
    assert "hunter2" not in caught.value.reason
    assert 1 == len(server.requests)


@pytest.mark.parametrize("location", ["http://[", "http://a\x00b", "", "http://" + "a" * 70_000])
def test_bad_redirect_is_an_error_like_any_other(location: str) -> None:
    """An address that cannot be read raises nothing but our own errors."""
    server = Scripted([lambda _: answer({}, 302, {"Location": location})])

    with pytest.raises(ApiError):
        run(read_flow_runs(server))
