"""Secrets in texts of failures: hidden as the instrumentation hides them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.failures.redaction import redact
from prefect_instrumentation._secrets.redaction import Redactor

SECRET = "hunter2-Zx9"  # noqa: S105 - the example
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN"

HIDDEN = {
    f"connect postgresql+asyncpg://joe:{SECRET}@db:5432/shop": "connect postgresql+asyncpg://joe:[redacted]@db:5432/shop",
    f"{{'user': 'joe', 'api_key': '{SECRET}'}}": "{'user': 'joe', 'api_key': '[redacted]'}",
    f"GET https://host/p?page=2&token={SECRET}": "GET https://host/p?page=2&token=[redacted]",
    f"Authorization: Bearer {JWT}": "Authorization: [redacted]",
    f"authorization={SECRET} and more": "authorization=[redacted]",
    f"sent Bearer {SECRET}": "sent Bearer [redacted]",
    f"password={SECRET}, user=joe": "password=[redacted], user=joe",
    f'{{"dbPassword": "{SECRET}", "n": 1}}': '{"dbPassword": "[redacted]", "n": 1}',
    f'{{\\"token\\": \\"{SECRET}\\"}}': '{\\"token\\": \\"[redacted]\\"}',
    f"run --password {SECRET} --user joe": "run --password [redacted] --user joe",
    f"bad token {JWT} here": "bad token [redacted] here",
    "key AKIAIOSFODNN7EXAMPLE denied": "key [redacted] denied",
    "ghp_abcdefghijklmnopqrstuvwxyz0123": "[redacted]",
    "https://x.blob/y?sv=2&sig=abc%2Fdef&se=1": "https://x.blob/y?sv=2&sig=[redacted]&se=1",
    f"ALTER USER joe PASSWORD '{SECRET}'": "ALTER USER joe PASSWORD '[redacted]'",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "[redacted]",
    f"secret='{SECRET} of several words' left": "secret='[redacted]' left",
}

CUT = {
    f"postgresql://joe:{SECRET}": "postgresql://joe:[redacted]",
    "bad eyJhbGciOiJIUzI1NiJ9": "bad [redacted]",
    f'password="{SECRET} and': "password=[redacted]",
    f"IDENTIFIED BY '{SECRET}": "IDENTIFIED BY '[redacted]'",
}

KEPT = [
    "token_count=7 author=joe primary_key=4",
    "https://host:8443/a@b and http://127.0.0.1:4200/api",
    "KeyError: 'customer_id'",
    "password=None secret=True",
    "Flow run encountered an exception: ValueError: no",
    "could not connect to redis://cache:6379",
    "expected a basic type, found int",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_secret_is_hidden_and_what_is_around_it_stays(text: str) -> None:
    """By its form, or by the name that it has."""
    assert HIDDEN[text] == redact(text)


@pytest.mark.parametrize("text", CUT)
def test_half_of_a_secret_at_the_end_is_hidden(text: str) -> None:
    """A message that was cut at its greatest length may have been cut in a secret."""
    assert CUT[text] == redact(text)


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    """Names that only look like it, ports, and words."""
    assert text == redact(text)


@pytest.mark.parametrize("text", [*HIDDEN, *KEPT])
def test_instrumentation_hides_the_same(text: str) -> None:
    """What is hidden in a process' logs is hidden in the report of its failure too."""
    assert (SECRET in Redactor().text(text)) == (SECRET in redact(text))


PIECES = st.sampled_from(
    [
        *("password", "token", "=", ":", "://", "@", "'", '"', "\\", "Bearer ", "eyJ", ".", "sig="),
        *("?", "&", "-----BEGIN PRIVATE KEY-----", "--secret ", "(", "]", "\n", " ", "abcdef7"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_to_redact_twice_is_to_redact_once(text: str) -> None:
    """What was hidden is not taken for a value again; no text raises."""
    once = redact(text)

    assert once == redact(once)


@pytest.mark.parametrize(
    "piece",
    [
        "a:",
        "password=",
        "token='",
        'x="\\',
        "://a:b",
        "eyJa.",
        "Bearer a",
        "&sig=",
        "--a ",
        "('a',",
    ],
)
def test_hostile_text_takes_no_time(piece: str) -> None:
    """A text of the greatest length, whatever it repeats: some milliseconds."""
    text = (piece * 16_384)[:16_384]
    began = time.process_time()
    redact(text)

    assert time.process_time() - began < 0.5
