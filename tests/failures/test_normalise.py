"""Messages without their variable parts: what goes, what stays, and in no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.failures.normalise import MAX_PATTERN, normalise

EXAMPLES = {
    "to joe.doe+x@example.com failed": "to <email> failed",
    "GET https://api.shop.com/v1/orders/7?x=1 failed": "GET <url> failed",
    "s3://bucket/key not found": "<url> not found",
    "host db-1.prod.internal:5432 down": "host <hostname> down",
    "at 10.0.0.17:5432, then ::1 and fe80::1ff:fe23:4567:890a": "at <ip>, then <ip> and <ip>",
    "in 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "in <traceparent>",
    "run 0190a3c2-8f4e-7c1a-b0d9-2f5e6a7b8c9d": "run <uuid>",
    "sum da39a3ee5e6b4b0d3255bfef95601890afd80709": "sum <sha1>",
    "sum d41d8cd98f00b204e9800998ecf8427e": "sum <md5>",
    "since 2026-11-22T14:51:03.216041Z": "since <date>",
    "since 2026-11-22 14:51:03,216 +01:00": "since <date>",
    "on 2026-11-22 or 2026/11/22 at 14:51:03": "on <date> or <date> at <date>",
    "Sun, 22 Nov 2026 14:51:03 GMT": "<date>",
    "took 30s, 12.5 ms or 3 hours": "took <duration>, <duration> or <duration>",
    "object at 0x7f3a2b": "object at <hex>",
    "layer 9f86d081884c7d65": "layer <hex>",
    "commit a1b2c3d": "commit <git_sha>",
    "pod etl-7d9f8b6c4d-xk2zp gone": "pod etl-<hex>-<suffix> gone",
    "no scratch/tmpab12cd34/x.csv": "no scratch/<tmp>/x.csv",
    "is -1.5e-7 or 3.11.7": "is <float> or <float>",
    "order -7 of 12,000 in part_0001": "order <int> of <int> in part_<int>",
    "customer-42": "customer-<int>",
    "name='Joe Doe' path=\"/a b\"": "name=<quoted> path=<quoted>",
    "strict=True lazy=false": "strict=<bool> lazy=<bool>",
}

KEPT = [
    "KeyError: 'customer_id'",
    "no module named shop.orders",
    "utf8 x86 base64 sha256",
    "a deadbeef of a cafe",
    "invalid literal for int() with base: 'abc'",
    "[Errno] Connection refused",
    "is not True",
]


@pytest.mark.parametrize("message", EXAMPLES)
def test_variable_part_is_replaced(message: str) -> None:
    """By the name of what it is."""
    assert EXAMPLES[message] == normalise(message)


@pytest.mark.parametrize("message", KEPT)
def test_words_stay(message: str) -> None:
    """What tells one failure from another is not taken for an id."""
    assert message == normalise(message)


def test_lines_below_the_second_do_not_count() -> None:
    """They often hold what was sent; and white space is one."""
    assert "no order a b" == normalise("\n no  order\n\n\ta\tb\nc")


@given(st.text(max_size=1024))
def test_pattern_is_its_own_pattern_and_bounded(message: str) -> None:
    """To normalise again changes nothing, so a shown pattern may be searched for."""
    pattern = normalise(message)

    assert len(pattern) <= MAX_PATTERN
    assert len(pattern) == MAX_PATTERN or pattern == normalise(pattern)


@given(st.integers(0, 10**40), st.uuids(), st.datetimes().map(lambda at: at.isoformat(" ")))
def test_whatever_the_values_are_the_pattern_is_one(number: int, key: object, at: str) -> None:
    """Numbers of any length, ids and times of any kind."""
    pattern = normalise(f"order {number} of {key} was late by {number}.5 at {at}")

    assert "order <int> of <uuid> was late by <float> at <date>" == pattern


ALPHABET = st.sampled_from(
    [*"aA0-.:/@=' \"_<>,xXTZ+%", "::", "00", "0x", "://", "ab", "tmp", "Mon"]
)


@given(st.lists(ALPHABET, min_size=1, max_size=8).map("".join))
def test_hostile_message_takes_no_time(piece: str) -> None:
    """What a message repeats up to its 1,024 characters does not matter: some milliseconds."""
    message = (piece * 1024)[:1024]
    began = time.process_time()
    normalise(message)

    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    "piece", ["a", "1", "a.", "1.", "1,", "a@", ":", "1:", "a-", "f", "='", "a:", "1-", "ab1", "٣"]
)
def test_time_grows_with_the_message_and_not_faster(piece: str) -> None:
    """Of 32 times the text at most some 32 times the work."""
    began = time.process_time()
    normalise((piece * 65_536)[:65_536])

    assert time.process_time() - began < 2.0
