"""What a process knows to be secret, and how it comes to know."""

from __future__ import annotations

import logging
import os
import threading
import time
from random import Random

import pytest

from prefect_instrumentation import _secrets
from prefect_instrumentation._secrets import MAX_LEARNED, Secrets

KEYS = "PREFECT_INSTRUMENTATION_REDACT_KEYS"
PATTERNS = "PREFECT_INSTRUMENTATION_REDACT_PATTERNS"


@pytest.mark.parametrize(
    ("name", "value", "text", "safe"),
    [
        ("PREFECT_API_KEY", "hunter2", "x hunter2 y", "x [redacted] y"),
        ("PREFECT_API_AUTH_STRING", "admin:hunter2", "x admin:hunter2 y", "x [redacted] y"),
        ("SHOP_DB_PASSWORD", "hunter2", "x hunter2 y", "x [redacted] y"),
        ("DATABASE_URL", "postgresql://joe:hun%40ter2@db/x", "x hun@ter2 y", "x [redacted] y"),
        ("DATABASE_URL", "postgresql://joe:hunter2@db/x", "x db y", "x db y"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=Basic hunter2", "hunter2", "[redacted]"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://me:hunter2@h", "hunter2", "[redacted]"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hunter2@h", "hunter2", "[redacted]"),
        ("SHOP_NAME", "hunter2", "x hunter2 y", "x hunter2 y"),
        ("PWD", "/home/joe", "/home/joe/flow.py", "/home/joe/flow.py"),
        ("SHOP_TOKEN", "test", "a test", "a test"),
        ("POSTGRES_PASSWORD", "postgres", "postgres is up", "postgres is up"),
        ("SHOP_TOKEN", "********", "********", "********"),
        ("SHOP_TOKEN", "redacted", "a [redacted] b", "a [redacted] b"),
        (KEYS, "iban, TaxId", "iban=DE1 tax_id=2 n=3", "iban=[redacted] tax_id=[redacted] n=3"),
        (PATTERNS, r"\bC-\d+" + "\npin (.)", "C-12 pin 4", "[redacted] pin [redacted]"),
    ],
)
def test_environment_is_known(name: str, value: str, text: str, safe: str) -> None:
    """By the names of its variables, by credentials in addresses, and by our own settings."""
    assert safe == Secrets({name: value}).redactor().text(text)


@pytest.mark.parametrize(
    ("pattern", "why"), [("hunter2(", "is no regular expression"), ("x*", "matches the empty text")]
)
def test_pattern_of_no_use_is_told_of(
    pattern: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line without the pattern itself; the others hold."""
    number = {"hunter2(": 801, "x*": 802}[pattern]  # each line of a variable is told of once
    lines = "\n" * (number - 1) + f"{pattern}\n\nC-\\d+"
    with caplog.at_level(logging.WARNING, "prefect_instrumentation"):
        safe = Secrets({PATTERNS: lines}).redactor().text("xx C-12")

    assert "xx [redacted]" == safe
    assert [f"{PATTERNS}: line {number} {why} and is left out."] == caplog.messages


def test_learned_value_is_hidden_from_then_on() -> None:
    """And the password of a URL by itself; what was made before does not change."""
    secrets = Secrets({})
    before = secrets.redactor()
    secrets.learn("hunter2", "mysql://joe:hun%2Fter3@db")

    assert "hunter2" == before.text("hunter2")
    assert "[redacted] [redacted] [redacted]" == secrets.redactor().text(
        "hunter2 hun/ter3 hun%2Fter3"
    )


def test_nothing_new_changes_nothing() -> None:
    """A redactor is made anew where something was learned, and only there."""
    secrets = Secrets({})
    secrets.learn("hunter2")
    known = secrets.redactor()
    secrets.learn("hunter2", "abc", "", "password")

    assert known is secrets.redactor()


def test_oldest_values_are_forgotten() -> None:
    """A value that is learned again is a new one."""
    secrets = Secrets({"SHOP_TOKEN": "hunter-env"})
    secrets.learn("hunter-first", "hunter-second")
    secrets.learn(*(f"value-{number:06}" for number in range(MAX_LEARNED - 2)))
    secrets.learn("hunter-first")
    secrets.learn("hunter-last")

    assert "[redacted] hunter-second [redacted] [redacted]" == secrets.redactor().text(
        "hunter-first hunter-second hunter-last hunter-env"
    )


def test_long_values_leave_room_for_few() -> None:
    """The oldest are forgotten, so that all that is remembered is bounded."""
    values = ["".join(Random(seed).choices("abcdefghijkl", k=60_000)) for seed in range(20)]
    secrets = Secrets({})
    secrets.learn(*values)
    redactor = secrets.redactor()

    assert values[0][:2000] == redactor.text(values[0][:2000])
    assert "[redacted]" == redactor.text(values[-1][:1024])


def test_hostile_value_is_learned_at_once() -> None:
    """A value that begins many URLs and ends none takes no longer for each than for one."""
    began = time.process_time()
    Secrets({}).learn("://a:" * 13_000)

    assert time.process_time() - began < 2


def test_environment_is_read_anew_on_request() -> None:
    """A program may set what it needs after the first line is logged."""
    environ: dict[str, str] = {}
    secrets = Secrets(environ)
    secrets.redactor()
    environ.update({"SHOP_TOKEN": "hunter2"})

    assert "hunter2" == secrets.redactor().text("hunter2")
    secrets.refresh()
    assert "[redacted]" == secrets.redactor().text("hunter2")


def test_threads_learn_at_once() -> None:
    """What one has learned is hidden when it is done, whatever the others do."""
    secrets = Secrets({})
    shown: list[str] = []

    def learn(start: int) -> None:
        for number in range(start, start + 40):
            secrets.learn(f"hunter-{number:05}")
            text = secrets.redactor().text(f"hunter-{number:05}")
            shown.extend([text] if text != "[redacted]" else [])

    threads = [threading.Thread(target=learn, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == shown


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_knows_and_learns() -> None:
    """What its parent knew, and more, also where a thread of the parent was learning."""
    _secrets.learn("hunter-parent")
    reading, writing = os.pipe()
    with _secrets._process._lock:  # noqa: SLF001 - as a thread that is learning has it
        child = os.fork()
        if not child:
            _secrets.learn("hunter-child")
            text = _secrets.redactor().text("hunter-parent hunter-child")
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)

    with os.fdopen(reading) as told:
        assert "[redacted] [redacted]" == told.read()


@pytest.mark.parametrize(
    ("value", "limit", "safe"),
    [
        ("password=hunter2", 9, "password="),
        ({"password": "hunter2", "n": [1]}, 99, "{'n': [1], 'password': '[redacted]'}"),
        (b"token=hunter2 \xff", 99, r"b'token=[redacted] \xff'"),
        (["x" * 1000], 99, "['" + "x" * 29 + "..." + "x" * 30 + "']"),
        (3, 99, "3"),
        (None, 99, "None"),
    ],
)
def test_value_is_shown_without_secrets(value: object, limit: int, safe: str) -> None:
    """Bounded, as any text of ours."""
    shown = _secrets.shown(value, limit)

    assert "hunter2" not in shown
    assert sorted(safe) == sorted(shown)
