"""Rates of a day: what is taken for them, and when nobody is asked any more."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from redis import Redis

from demo.processes import wait_until
from etl import rates
from etl.errors import EtlError
from etl.nightly import ClientsFailed
from etl.pretend_rates import CURRENCIES, Fault, Misbehaviour, make_app, rates_on
from etl.rates import (
    RatesClosed,
    RatesMalformed,
    RatesRefused,
    RatesUnavailable,
    make_breaker,
    rates_of,
    read_rates,
)
from etl.settings import Settings
from prefect_instrumentation._errors import facts
from prefect_instrumentation._errors.facts import Facts
from prefect_instrumentation._errors.rule_file import read as read_rules
from prefect_instrumentation._errors.rule_table import BUILT_IN
from prefect_instrumentation._errors.rules import classify
from web_apps import ask as ask_app

DAY = date(2026, 11, 22)
GOOD = {"base": "EUR", "day": "2026-11-22", "rates": {"USD": 1.25, "JPY": 160}}
RULES = Path(rates.__file__).with_name("errors.toml")

Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer) -> httpx.Client:
    """Return a client whose requests are answered here."""
    return httpx.Client(base_url="http://rates.test", transport=httpx.MockTransport(answer))


def settings(seconds: float = 3600) -> Settings:
    """Return settings with a breaker that opens after two failures, for so long."""
    return Settings(ETL_BREAKER_FAILURES=2, ETL_BREAKER_SECONDS=seconds)  # type: ignore[call-arg]  # by their variables


def ask(redis: Redis, answer: Answer, *, seconds: float = 3600) -> dict[str, float] | EtlError:
    """Return what a new process is told, or what it is raised."""
    with client(answer) as http:
        try:
            return rates_of(DAY, http, make_breaker(redis, settings(seconds)))
        except EtlError as error:
            return error


def good(_request: httpx.Request) -> httpx.Response:
    """Answer as is right."""
    return httpx.Response(200, json=GOOD)


def status(code: int) -> Answer:
    """Answer with that status."""
    return lambda _request: httpx.Response(code, json={"detail": "no"})


def never(_request: httpx.Request) -> httpx.Response:
    """Fail the test that asks."""
    raise AssertionError("the service was asked")


def test_rates_are_euros_per_unit() -> None:
    """The service says what one euro buys; told is what one unit is worth, the euro included."""
    found = read_rates("2026-11-22", json.dumps(GOOD).encode())

    assert {"EUR": 1.0, "USD": 0.8, "JPY": 1 / 160} == found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(GOOD | {"base": "USD"}).encode(),
        json.dumps(GOOD | {"day": "2026-11-21"}).encode(),
        json.dumps(GOOD | {"rates": {}}).encode(),
        json.dumps(GOOD | {"rates": {f"A{i}": 1 for i in range(1001)}}).encode(),
        *(
            json.dumps(GOOD | {"rates": {name: rate}}).encode()
            for name, rate in [
                ("usd", 1),
                ("USD", 0),
                ("USD", -1),
                ("USD", True),
                ("USD", "1"),
                ("USD", None),
                ("USD", float("nan")),
                ("USD", float("inf")),
                ("USD", 5e-324),
                ("USD", 10**400),
            ]
        ),
    ],
    ids=itertools.count(),
)
def test_anything_else_is_no_rates(body: bytes) -> None:
    """No wrong rate gets through: an amount in euros would be wrong for good."""
    with pytest.raises(RatesMalformed) as raised:
        read_rates("2026-11-22", body)

    assert len(str(raised.value)) < 200


@settings_(max_examples=30)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists))
def test_no_answer_breaks_the_reader(told: object) -> None:
    """Whatever comes is rates or `RatesMalformed`."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    with pytest.raises(RatesMalformed):
        read_rates("2026-11-22", body)


def test_answer_without_an_end_is_cut() -> None:
    """A service that sends for ever does not fill the memory."""
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b" " * 100_000

    endless = client(lambda _request: httpx.Response(200, content=body()))
    with endless as http, pytest.raises(RatesMalformed):
        rates._ask("2026-11-22", http)  # noqa: SLF001 - below the breaker

    assert sent < 20


def test_answer_that_drips_is_given_up() -> None:
    """A service that sends a byte now and then does not hold the worker: that is a timeout."""
    drips = client(lambda _request: httpx.Response(200, content=itertools.repeat(b" ", 1_000)))
    with (
        drips as http,
        http.stream("GET", "/") as response,
        pytest.raises(httpx.ReadTimeout, match="takes too long"),
    ):
        rates._bounded("2026-11-22", response, seconds=0)  # noqa: SLF001 - below the breaker

    assert response.num_bytes_downloaded < 1_000


@pytest.mark.real
@pytest.mark.parametrize("code", [408, 429, 500, 503], ids=str)
def test_failing_service_is_left_in_peace(redis: Redis, code: int) -> None:
    """After as many failures in a row as are set, by whatever worker, nobody is asked."""
    told = [ask(redis, status(code)), ask(redis, status(code)), ask(redis, never)]

    assert [RatesUnavailable, RatesUnavailable, RatesClosed] == [type(each) for each in told]
    assert isinstance(told[0], EtlError)
    assert isinstance(told[0].__cause__, httpx.HTTPStatusError)


@pytest.mark.real
def test_closed_rates_say_until_when(redis: Redis) -> None:
    """The error names the moment from which on the service is asked again."""
    for _ in range(2):
        ask(redis, status(500))
    told = ask(redis, never)

    assert isinstance(told, RatesClosed)
    assert 3500 < (told.until - datetime.now(UTC)).total_seconds() <= 3600
    assert f"{told.until:%H:%M:%S} UTC" in str(told)


@pytest.mark.real
def test_what_is_our_fault_opens_nothing(redis: Redis) -> None:
    """A service that says 403 works."""
    told = [ask(redis, status(403)) for _ in range(5)]

    assert [RatesRefused] * 5 == [type(each) for each in told]
    assert "HTTP 403" in str(told[0])


@pytest.mark.real
def test_good_answer_begins_the_count_anew(redis: Redis) -> None:
    """Only failures in a row open the breaker."""
    told = [ask(redis, each) for each in (status(500), good, status(500), good)]

    assert [RatesUnavailable, dict, RatesUnavailable, dict] == [type(each) for each in told]


@pytest.mark.real
def test_breaker_closes_when_the_service_is_back(redis: Redis) -> None:
    """After its time one call goes through, and its success lets all others."""
    for _ in range(2):
        ask(redis, status(500), seconds=0.1)
    wait_until(
        lambda: isinstance(ask(redis, good, seconds=0.1), dict), within=30, what="a closed breaker"
    )

    assert "closed" == make_breaker(redis, settings()).current_state


@pytest.mark.real
def test_failed_trial_opens_again(redis: Redis) -> None:
    """A service that is not yet back is left in peace for as long again."""
    for _ in range(2):
        ask(redis, status(500), seconds=0.1)
    wait_until(
        lambda: isinstance(ask(redis, status(500), seconds=0.1), RatesUnavailable),
        within=30,
        what="a trial",
    )

    assert isinstance(ask(redis, never), RatesClosed)


@pytest.mark.real
def test_slow_service_says_that_it_was_a_timeout(redis: Redis) -> None:
    """The cause is httpx's, so that the failure is a timeout, not just any."""

    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    told = ask(redis, slow)
    assert isinstance(told, RatesUnavailable)
    assert isinstance(told.__cause__, httpx.ReadTimeout)


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return an error as it is caught."""
    try:
        raise error from cause
    except type(error) as caught:
        return caught


_REQUEST = httpx.Request("GET", "http://rates.test/rates/2026-11-22")


@pytest.mark.parametrize(
    ("category", "error"),
    [
        ("upstream", raised(RatesUnavailable("d"), httpx.ConnectError("refused"))),
        ("timeout", raised(RatesUnavailable("d"), httpx.ReadTimeout("slow"))),
        (
            "upstream",
            raised(
                RatesUnavailable("d"),
                httpx.HTTPStatusError("x", request=_REQUEST, response=httpx.Response(500)),
            ),
        ),
        ("upstream", raised(RatesMalformed("d", "html"))),
        ("upstream", raised(RatesClosed(datetime.now(UTC)))),
        ("configuration", raised(RatesRefused("d", 404))),
        ("upstream", raised(ClientsFailed({"acme": "Failed: x"}, 2))),
    ],
    ids=itertools.count(),
)
def test_category_says_whose_it_is(category: str, error: BaseException) -> None:
    """By the cause, by the class, or by the rules beside the code."""
    lists = (read_rules({"PREFECT_INSTRUMENTATION_ERROR_RULES": str(RULES)}), *BUILT_IN)

    assert category == classify(Facts(facts.read(error), None), lists)


@pytest.mark.parametrize(
    "error",
    [
        RatesUnavailable("d"),
        RatesMalformed("d", "html"),
        RatesRefused("d", 404),
        RatesClosed(datetime(2026, 11, 22, 3, tzinfo=UTC)),
        ClientsFailed({"acme": "Failed: x"}, 2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_another_process(error: EtlError) -> None:
    """With its message and its facts."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (type(error), str(error), error.__dict__) == (type(copy), str(copy), copy.__dict__)


def test_pretend_service_answers_alike_and_as_is_read() -> None:
    """Two runs of a day get the same rates, in every currency that orders come in."""
    service = make_app()
    answers = {ask_app(service, "/rates/2026-11-22").content for _ in range(2)}

    (body,) = answers
    assert set(CURRENCIES) == set(read_rates("2026-11-22", body))
    assert rates_on(DAY) != rates_on(date(2026, 11, 21))


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Fault.ERROR, 500), (Fault.BUSY, 429), (Fault.REFUSED, 403), (Fault.GARBAGE, 200)],
    ids=str,
)
def test_pretend_service_misbehaves_as_often_as_told(kind: Fault, code: int) -> None:
    """Then all is well; whoever asks at an address with a fault has it for ever."""
    service = make_app(Misbehaviour(kind=kind, times=2))
    answers = [ask_app(service, "/rates/2026-11-22") for _ in range(3)]
    always = [ask_app(service, f"/faulty/{kind}/rates/2026-11-22") for _ in range(2)]
    asked = ask_app(service, "/asked").json()

    assert [code, code, 200] == [answer.status_code for answer in answers]
    assert answers[1].content != answers[2].content
    assert [code, code] == [answer.status_code for answer in always]
    assert {"2026-11-22": 5} == asked
