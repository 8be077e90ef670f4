"""What is hidden of texts and values, and what is not."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretStr

from prefect_instrumentation._secrets.redaction import MAX_DEPTH, MAX_ITEMS, MAX_TEXT, Redactor

PLAIN = Redactor()

SENSITIVE = """
    password passwd pwd PASSWORD db_password dbPassword DBPassword dbpassword passwords pw
    user-passwd passphrase db_pass smtpPass secret client_secret clientSecret SecretString token
    access_token accessToken X-Auth-Token csrftoken refresh_tokens id_token token2 authorization
    Authorization Proxy-Authorization HTTP_AUTHORIZATION auth basic_auth auth_string api_key
    apikey api-key API_KEY APIKey X-API-Key openai_api_key apiKeys access_key
    AWS_SECRET_ACCESS_KEY accessKeyId private_key privateKey private_key_pem account_key
    signing-key credential credentials googleCredentials creds cookie Cookie Set-Cookie cookies
    session_id sessionid SessionId sessionKey connection_string ConnectionString connStr dsn
    SENTRY_DSN jwt otp password_hash old_password password_old PREFECT_API_KEY
    PREFECT_API_AUTH_STRING prefect.parameter.value.token http.request.header.authorization
    X-Amz-Security-Token
"""

OTHER_NAMES = """
    tokens_used token_count max_tokens total_tokens input_tokens tokenizer token_type tokenize
    password_changed_at password_length author authors authority authored_by authenticated
    primary_key partition_key foreign_key sort_key key keys monkey turkey keyboard
    idempotency_key secretary secret_name secrets_manager_enabled cookies_enabled cookie_policy
    passenger bypass pass passed compass credited sacred hotpot session sessions session_count
    connection connections host user username flow_run_id task_run_id correlation_id trace_id
    deployment work_pool event sha256 checksum address oauth_provider dns dsn_count
"""

TEXTS = {
    "password=hunter2 and more": "password=[redacted] and more",
    "login(user='joe', password='hun\\'ter2', n=1)": (
        "login(user='joe', password='[redacted]', n=1)"
    ),
    '{"token": "hunter2", "a": 1}': '{"token": "[redacted]", "a": 1}',
    '{"token":"hunter2","a":1}': '{"token":"[redacted]","a":1}',
    "{'api_key': 'hunter2', 'a': 1}": "{'api_key': '[redacted]', 'a': 1}",
    "{'api_key': b'hunter2'}": "{'api_key': '[redacted]'}",
    r"body: {\"token\": \"hun ter2\", \"a\": 1}": r"body: {\"token\": \"[redacted]\", \"a\": 1}",
    "DB_PASSWORD=hunter2\nUSER=joe": "DB_PASSWORD=[redacted]\nUSER=joe",
    "password: hunter2": "password: [redacted]",
    "password => hunter2": "password => [redacted]",
    "psql --password hunter2 --user joe": "psql --password [redacted] --user joe",
    "password=hun,ter2;x; user=joe": "password=[redacted]; user=joe",
    "user=joe,password=hunter2,host=db": "user=joe,password=[redacted],host=db",
    "credentials={'a': {'b': 1}, 'c': ['hunter2']} done": "credentials=[redacted] done",
    "password=SecretStr('hunter2') x": "password=[redacted] x",
    'token="hunter2': "token=[redacted]",
    'token="hun ter2 hunter2\nnext': "token=[redacted]\nnext",
    "('x-api-key', 'hunter2')": "('x-api-key', '[redacted]')",
    "Authorization: Bearer hunter2hunter2": "Authorization: [redacted]",
    'curl -H "Authorization: Token hunter2" https://host/p': (
        'curl -H "Authorization: [redacted]" https://host/p'
    ),
    "Cookie: a=hunter2; b=hunter2\nHost: h": "Cookie: [redacted]\nHost: h",
    "sent Bearer hunter2.hunter2 to host": "sent Bearer [redacted] to host",
    "sent basic am9lOmh1bnRlcjI= to host": "sent basic [redacted] to host",
    "postgresql+asyncpg://joe:hunter2@db:5432/shop": (
        "postgresql+asyncpg://joe:[redacted]@db:5432/shop"
    ),
    "postgresql://joe:hun@ter/2%40@db/shop failed": "postgresql://joe:[redacted]@db/shop failed",
    "redis://:hunter2@cache:6379/0": "redis://:[redacted]@cache:6379/0",
    "redis://joe:12345@cache": "redis://joe:[redacted]@cache",
    "amqp://a:hunter2@x,amqp://b:hunter2@y": "amqp://a:[redacted]@x,amqp://b:[redacted]@y",
    "host=db user=joe password='hun ter2' dbname=shop": (
        "host=db user=joe password='[redacted]' dbname=shop"
    ),
    "Server=db;Password=hun;ter2;Connect Timeout=3": (
        "Server=db;Password=[redacted];Connect Timeout=3"
    ),
    "GET https://host/p?token=hunter2&page=2#top": "GET https://host/p?token=[redacted]&page=2#top",
    "https://host/p?page=2&sig=hunter2%3D": "https://host/p?page=2&sig=[redacted]",
    "https://s3/p?X-Amz-Date=1&X-Amz-Signature=hunter2": (
        "https://s3/p?X-Amz-Date=1&X-Amz-Signature=[redacted]"
    ),
    "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end": "jwt [redacted] end",
    "key AKIAIOSFODNN7EXAMPLE end": "key [redacted] end",
    "key ASIAIOSFODNN7EXAMPLE end": "key [redacted] end",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a pushes": "[redacted] pushes",
    "github_pat_11ABCDEFG0123456789_abc pushes": "[redacted] pushes",
    "xoxb-1234-5678-abcdef posts": "[redacted] posts",
    "pnu_0123456789abcdef0123456789abcdef0123 calls": "[redacted] calls",
    "pnb_0123456789abcdef0123456789abcdef0123 calls": "[redacted] calls",
    "sk_live_0123456789abcdef pays": "[redacted] pays",
    "AIzaSyA0123456789abcdefghijklmnopqrstuvw maps": "[redacted] maps",
    "x -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY----- y": (
        "x [redacted] y"
    ),
    "x -----BEGIN PRIVATE KEY-----\nMIIE": "x [redacted]",
    "[{'name': 'DB_PASSWORD', 'value': 'hunter2'}]": (
        "[{'name': 'DB_PASSWORD', 'value': '[redacted]'}]"
    ),
    r"{\"name\": \"DB_PASSWORD\", \"value\": \"hunter2\"}": (
        r"{\"name\": \"DB_PASSWORD\", \"value\": \"[redacted]\"}"
    ),
    "env:\n- name: DB_PASSWORD\n  value: hunter2\n- name: HOST": (
        "env:\n- name: DB_PASSWORD\n  value: [redacted]\n- name: HOST"
    ),
    "a.password\n  Input should be an integer [type=x, input_value='hunter2', input_type=str]": (
        "a.password\n  Input should be an integer [type=x,"
        " input_value='[redacted]', input_type=str]"
    ),
    'password = """hun"ter2""" # x': 'password = """[redacted]""" # x',
    "private_key: |\n  hunter2\n  hunter3\nuser: joe": "private_key: [redacted]\nuser: joe",
    "<user>joe</user><db:Password>hunter2</db:Password>": (
        "<user>joe</user><db:Password>[redacted]</db:Password>"
    ),
    "ALTER USER joe PASSWORD 'hunter2'; SELECT 1": "ALTER USER joe PASSWORD '[redacted]'; SELECT 1",
    "create user joe identified by 'hunter2'": "create user joe identified by '[redacted]'",
    "https://hunter2hunter2hunter2@dev.example/o/r.git": "https://[redacted]@dev.example/o/r.git",
    "https://h/?next=https%3A%2F%2Fx%2F%3Ftoken%3Dhunter2": (
        "https://h/?next=https%3A%2F%2Fx%2F%3Ftoken%3D[redacted]"
    ),
}

ORDINARY = [
    "",
    "Finished in state Completed()",
    "Created task run 'extract-4f2' for task 'extract'",
    "loaded 12 rows in 0.3 s from s3://shop/orders/2026-01-01.parquet",
    "tokenizer=bert tokens_used=512 token_count: 7",
    "https://host/path https://host:8443/a/b?page=2&size=10#top",
    "https://registry.npmjs.org:443/@babel/core",
    "git@github.com:owner/repo.git",
    "joe@example.org wrote: see user@host:/var/log",
    "flow_run_id=0f8fad5b-d9cb-469f-a165-70867728950e",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "primary_key=id partition_key: day author: joe",
    "Basic understanding of basic authentication, bearer token expired",
    "ValueError: could not convert string to float: 'x'",
    "Bearer authentication failed",
    "http://[::1]:80/a@b https://a-reader@host/p https://registry.example-1234567890.org/@a/b",
    "usage: login <token> [options] <host> </dev/null",
    "orders\n  Input should be an integer [type=x, input_value='7', input_type=str]",
    "- name: HOST\n  value: db",
    "{'name': 'HOST', 'value': 'db'}",
    "syntax error near 'FROM' (password authentication is off)",
    '{"level": "info", "event": "order.shipped", "order": 42}',
    "password=None token: null secret=False",
    "task-run-of-customer-orders-daily-report-2026",
    "2026-01-01T00:00:00.000000Z | INFO | key=value other: 1",
]


@pytest.mark.parametrize("name", SENSITIVE.split())
def test_value_of_a_secret_name_is_hidden(name: str) -> None:
    """In whatever case and spelling the name is, and whatever the value."""
    assert {name: "[redacted]"} == PLAIN.mapping({name: ["hunter2"]})
    assert f"{name}=[redacted]" == PLAIN.text(f"{name}=hunter2")


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_value_of_another_name_stays(name: str) -> None:
    """A name that holds such a word does not stand for a secret by that alone."""
    assert {name: "hunter2"} == PLAIN.mapping({name: "hunter2"})
    assert f"{name}=hunter2" == PLAIN.text(f"{name}=hunter2")


@pytest.mark.parametrize(("text", "safe"), TEXTS.items())
def test_secret_in_a_text_is_hidden(text: str, safe: str) -> None:
    """What is around it stays, so that the line still tells something; once is enough."""
    assert safe == PLAIN.text(text)
    assert safe == PLAIN.text(safe)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    """Nothing is hidden where there is no secret."""
    assert text == PLAIN.text(text)
    assert text == PLAIN.end_of(text)


def test_own_names_count() -> None:
    """In all their spellings, and beside those that are known."""
    redactor = Redactor(keys=["iban", "tax-id"])

    assert {"customerIban": "[redacted]", "taxId": "[redacted]", "ibans": 2} == redactor.mapping(
        {"customerIban": "DE1", "taxId": 7, "ibans": 2}
    )
    assert "customer_iban=[redacted] TAX_ID: [redacted] password=[redacted]" == redactor.text(
        "customer_iban=DE1 TAX_ID: 7 password=x"
    )


def test_own_patterns_count() -> None:
    """All of a match is hidden, or its first group."""
    redactor = Redactor(patterns=[re.compile(r"\bC-\d+"), re.compile(r"pin (\d+)(x?)")])

    assert "[redacted] has pin [redacted]x" == redactor.text("C-123 has pin 4711x")


@pytest.mark.parametrize(
    "text",
    [
        "is hunter2's!",
        repr("is hunter2's!"),
        "is hunter2%27s%21",
        base64.b64encode(b"joe:hunter2's!").decode(),
        base64.b64encode(b"joey:hunter2's!").decode(),
        base64.b64encode(b"joeys:hunter2's!").decode(),
        quote(quote("is hunter2's!")),
    ],
)
def test_known_secret_is_hidden(text: str) -> None:
    """However it is spelled."""
    safe = Redactor(["hunter2's!"]).text(f"before {text} after")

    assert "[redacted]" in safe
    assert "hunter2" not in safe
    assert safe.startswith("before ")
    assert safe.endswith(" after")


@pytest.mark.parametrize(
    "spell",
    [
        quote,
        lambda secret: quote(secret, safe=""),
        quote_plus,
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
    ids=["path", "query", "form", "base64", "base64url"],
)
def test_known_secret_is_hidden_whole(spell: Callable[[str], str]) -> None:
    """Spelled in each of the ways that differ for what is in it."""
    known = "a/b ~?>~?>cd"  # of twelve bytes, that no character of Base64 is shared

    assert "x [redacted] y" == Redactor([known]).text(f"x {spell(known)} y")


def test_known_secret_is_hidden_in_json() -> None:
    """With whatever JSON escapes."""
    known = 'qu"ote\n\xfc'

    for text in (json.dumps([known]), json.dumps([known], ensure_ascii=False)):
        assert '["[redacted]"]' == Redactor([known]).text(text)
        for within in (json.dumps(text), repr(text), json.dumps(repr([known]))):
            assert "ote" not in Redactor([known]).text(within)


def test_lines_of_a_known_secret_are_hidden() -> None:
    """Each by itself, since a stack or a block of YAML indents it; short ones tell nothing."""
    redactor = Redactor(["user: joe\nclient-key: hunter2hunter2\n  other: hunter3hunter3"])

    assert "  | [redacted]\n  | [redacted]\nuser: joe" == redactor.text(
        "  | client-key: hunter2hunter2\n  | other: hunter3hunter3\nuser: joe"
    )


@pytest.mark.parametrize("length", [6, 1023, 1024, 1027, 2047, 2048, 5000])
def test_secret_of_any_length_is_hidden_to_its_end(length: int) -> None:
    """Though a long one is looked for in pieces."""
    known = "".join(Random(length).choices("abcdefghijkl", k=length))
    safe = Redactor([known]).text(f"X {known} Y")

    assert "X  Y" == safe.replace("[redacted]", "")


def test_longer_secret_is_hidden_before_a_shorter() -> None:
    """Else a part of it would remain."""
    assert "x [redacted] y" == Redactor(["hunter2", "hunter2-long"]).text("x hunter2-long y")


def test_known_number_is_hidden() -> None:
    """A secret of digits may be logged as a number."""
    assert [42, 1234567, "[redacted]"] == Redactor(["12345678"]).value([42, 1234567, 12345678])


@pytest.mark.parametrize("length", [12, 300, 3000])
@pytest.mark.parametrize("at", [MAX_TEXT - 2000, MAX_TEXT - 5, MAX_TEXT - 1, MAX_TEXT + 4090])
def test_no_half_of_a_secret_stays_at_the_cut(length: int, at: int) -> None:
    """A secret that begins before the end of what is kept is hidden whole."""
    secret = "".join(chr(97 + (7 * n + n // 26) % 26) for n in range(length))
    redactor = Redactor([secret])

    beginning = redactor.text("-" * at + secret + "-" * MAX_TEXT)
    end = redactor.end_of("-" * MAX_TEXT + secret + "-" * at)

    for text in (beginning, end):
        assert set(text) <= set("-[redacted]")
        assert len(text) <= MAX_TEXT
        assert text == redactor.text(text)


def test_hiding_brings_no_half_into_view() -> None:
    """What is hidden makes a text shorter, and the cut at its end does not move in."""
    redactor = Redactor(["hunter2"])
    long = "password=" + "x" * 8000 + " "

    safe = redactor.text(long + "-" * (MAX_TEXT + 4096 - len(long) - 4) + "hunter2" * 9)

    assert "hun" not in safe


def test_nested_values_are_redacted() -> None:
    """A value keeps its shape, and its scalars."""
    when, identity = datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1)

    assert {
        "headers": [("host", "h"), ("authorization", "[redacted]")],
        "raw": [("x-api-key", "[redacted]")],
        "deep": {"list": [1, 2.5, None, True, "token=[redacted]", {"token": "[redacted]"}]},
        "when": when,
        "id": identity,
        "password": None,
        "secret": False,
        "[redacted]": "key",
    } == Redactor(["hunter2"]).mapping(
        {
            "headers": [("host", "h"), ("authorization", "hunter2")],
            "raw": [(b"x-api-key", b"other")],
            "deep": {"list": [1, 2.5, None, True, "token=other", {"token": {"a": "other"}}]},
            "when": when,
            "id": identity,
            "password": None,
            "secret": False,
            "hunter2": "key",
        }
    )


@dataclass
class Login:
    """As users have them."""

    user: str
    password: str


class Account(BaseModel):
    """Likewise."""

    name: str
    token: SecretStr
    api_key: str


class Hostile:
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("hunter2")

    def __len__(self) -> int:
        """Raise."""
        raise RuntimeError("hunter2")


class HostileList(list[str]):
    """Raises when it is looked at."""

    def __iter__(self) -> object:  # type: ignore[override]  # that is the point
        """Raise."""
        raise RuntimeError("hunter2")


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        (Login("joe", "hunter2"), "Login(user='joe', password='[redacted]')"),
        (
            Account(name="joe", token=SecretStr("hunter2"), api_key="hunter2"),
            "name='joe' token=[redacted] api_key='[redacted]'",
        ),
        (SecretStr("hunter2"), "**********"),
        (ValueError("password=hunter2"), "password=[redacted]"),
        (b"password=hunter2", "password=[redacted]"),
        (memoryview(b"password=hunter2"), "password=[redacted]"),
        (Hostile(), "<Hostile>"),
        (HostileList(["hunter2"]), "<HostileList>"),
        (10**1000, "<int>"),
        ({"password=hunter2"}, ["password=[redacted]"]),
    ],
)
def test_anything_else_is_its_text(value: object, safe: object) -> None:
    """Objects write themselves out, as an exporter or a renderer would have them do."""
    assert safe == PLAIN.value(value)


def test_what_follows_its_name_in_a_list_is_hidden() -> None:
    """After an option, and as a variable of a container; other lists are only lists."""
    assert {
        "command": ["psql", "--password", "[redacted]", "--host", "db"],
        "env": [{"name": "DB_PASSWORD", "value": "[redacted]"}, {"name": "HOST", "value": "db"}],
        "columns": ["id", "token", "name"],
        "none": {"name": "DB_PASSWORD", "value": None},
    } == PLAIN.mapping(
        {
            "command": ["psql", "--password", "hunter2", "--host", "db"],
            "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "HOST", "value": "db"}],
            "columns": ["id", "token", "name"],
            "none": {"name": "DB_PASSWORD", "value": None},
        }
    )


def test_large_values_are_bounded() -> None:
    """In depth, in width, in length, and in all."""
    deep: list[object] = []
    deep.append(deep)
    row = [str(number) for number in range(1000)]
    wide = {str(number): [row] * 1000 for number in range(1000)}

    assert repr(PLAIN.value(deep)).count("[") == MAX_DEPTH
    assert len(PLAIN.mapping({str(i): i for i in range(1000)})) == MAX_ITEMS
    assert len(repr(PLAIN.value(wide))) < 100_000
    assert len(str(PLAIN.value("x" * 10**6))) == MAX_TEXT
    assert len(next(iter(PLAIN.mapping({"x" * 10**6: 1})))) <= 256
