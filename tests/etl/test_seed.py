"""The pretend orders that people try the pipeline with."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from random import Random

import polars as pl
import pytest
from redis import Redis

from demo.processes import free_port
from etl import rules
from etl.model import Chunk, Reason, RowId
from etl.seed import add, main, pretend_orders
from etl.source import Source

pytestmark = pytest.mark.real

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def _reasons(orders: list[bytes]) -> list[str | None]:
    rows = [(f"1-{at}", len(raw), raw) for at, raw in enumerate(orders)]
    judged = rules.judge(pl.DataFrame(rows, schema=rules.RAW, orient="row"), NOW)
    return judged["reason"].to_list()


def test_share_of_bad_orders_is_kept_to() -> None:
    """All others are good, and the bad ones are of all kinds."""
    reasons = _reasons(list(islice(pretend_orders(Random(7), NOW, 0.2), 1_000)))

    assert 800 == pytest.approx(reasons.count(None), abs=50)
    assert {None, *Reason} == set(reasons)


def test_no_bad_orders_are_none() -> None:
    """Whoever wants to see a batch without a rejected row can have it."""
    assert [None] * 500 == _reasons(list(islice(pretend_orders(Random(7), NOW, 0.0), 500)))


def test_same_seed_is_the_same_orders() -> None:
    """So that what somebody saw can be seen again."""
    first, second = (list(islice(pretend_orders(Random(7), NOW, 0.5), 50)) for _ in range(2))

    assert first == second


def test_added_orders_are_in_the_stream(redis: Redis) -> None:
    """In their order, under the ids that are returned."""
    orders = [f"{number}".encode() for number in range(2_500)]
    ids = add(redis, "acme", orders)
    chunk = Chunk(RowId.parse(ids[0]), RowId.parse(ids[-1]), len(ids), 0)
    found = [each for page in Source(redis, "acme").pages(chunk) for each in page]

    assert list(zip(ids, orders, strict=True)) == [(str(each.row_id), each.raw) for each in found]


def test_command_says_what_it_did(
    redis: Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As docs/pipeline.md has it."""
    monkeypatch.setenv("ETL_REDIS_URL", redis_url)
    code = main(["--client", "acme", "--orders", "25", "--bad", "0.1"])

    assert (0, 25) == (code, redis.xlen("orders:acme"))
    assert "25 orders added to orders:acme\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "client", "said"),
    [
        ("", "No Good", "'No Good' cannot be a client: "),
        ("nonsense", "acme", "ETL_REDIS_URL is not an address; give redis://host:port or"),
        ("redis://:hunter2@127.0.0.1:0", "acme", "ETL_REDIS_URL is not an address; give"),
        ("redis://:hunter2@127.0.0.1:{port}", "acme", "Redis gave no usable answer to: XADD"),
    ],
)
def test_command_says_what_is_wrong(
    url: str,
    client: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In one line, without the password."""
    monkeypatch.setenv("ETL_REDIS_URL", url.format(port=free_port()))
    code = main(["--client", client, "--orders", "1"])
    told = capsys.readouterr().err

    assert (2, 1) == (code, told.count("\n"))
    assert told.startswith(said)
    assert "hunter2" not in told
