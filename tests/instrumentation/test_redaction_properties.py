"""A planted secret never shows, whatever is around it, and time grows with the text at most."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_instrumentation._secrets.redaction import MAX_TEXT, Redactor

PLAIN = Redactor()

WORD = st.text("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=8, max_size=40)
SECRETS = WORD.map(lambda word: f"Zq{word}9")
"""Secrets that no other text here holds by chance."""

AROUND = st.text(max_size=60)
KNOWN = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=60).filter(
    lambda text: text not in "[redacted]" and "redacted" not in text and len(set(text)) > 2
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | AROUND | st.binary(max_size=20)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(AROUND, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["password", "db_password", "apiKey", "X-Auth-Token", "client_secret"])

FORMS = [
    lambda s: f"password={s}",
    lambda s: f'{{"token": "{s}", "a": 1}}',
    lambda s: f"{{'api_key': '{s}'}}",
    lambda s: json.dumps(json.dumps({"client_secret": s})),
    lambda s: repr({"headers": [("Authorization", f"Bearer {s}")]}),
    lambda s: f"Authorization: Bearer {s}",
    lambda s: f"sent with bearer {s}",
    lambda s: "Basic " + base64.b64encode(f"joe:{s}".encode()).decode(),
    lambda s: f"postgresql+asyncpg://joe:{s}@host/db",
    lambda s: f"mysql://joe:a@b/{s}@host/db",
    lambda s: f"https://joe:{quote('@' + s)}@host/p",
    lambda s: f"https://host/p?page=1&token={s}&a=b",
    lambda s: f"https://host/p?sig={s}#top",
    lambda s: f"host=h user=u password={s} dbname=d",
    lambda s: f"tool --token {s} --user joe",
    lambda s: f"AccountKey={s};EndpointSuffix=core",
    lambda s: f"-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----",
    lambda s: f"eyJ{s}.{s}.{s}",
    lambda s: f"ghp_{s}{s}{s}",
]


def shown(value: object) -> str:
    """Return all that a value holds, as an exporter or a renderer may write it."""
    return repr(value) + json.dumps(value, default=str, ensure_ascii=False)


def plant(nested: object, secret: object) -> object:
    """Return a value with a secret in its midst."""
    return {"a": [nested, {"b": (secret, nested)}], "c": nested}


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS, before=AROUND, after=AROUND, nested=NESTED)
@settings(max_examples=60)
def test_secret_of_a_known_form_never_shows(
    form: object, secret: str, before: str, after: str, nested: object
) -> None:
    """It is hidden by what stands next to it, in a text as in a value."""
    assert callable(form)
    text = f"{before} {form(secret)} {after}"
    raw = base64.b64encode(f"joe:{secret}".encode()).decode()

    for safe in (PLAIN.text(text), shown(PLAIN.value(plant(nested, text)))):
        assert secret not in safe
        assert raw not in safe
    assert PLAIN.text(text) == PLAIN.text(PLAIN.text(text))


@given(secret=KNOWN, before=AROUND, after=AROUND, nested=NESTED)
@settings(max_examples=300)
def test_known_secret_never_shows(secret: str, before: str, after: str, nested: object) -> None:
    """Whatever it consists of, and also where no break is around it."""
    redactor = Redactor([secret])
    # What is around may be the same by chance, and so may a part of the replacement be.
    whole = f"{before}{secret}{after}"

    assert secret not in redactor.text(whole).replace("[redacted]", "")
    found = redactor.mapping({"text": whole, "nested": plant(nested, secret), secret: 1})
    texts = [found["text"], *found, *found["nested"]["a"][1]["b"][:1]]  # type: ignore[index]
    assert not [text for text in texts if secret in str(text).replace("[redacted]", "")]


@given(name=NAMES, secret=SECRETS, nested=NESTED)
@settings(max_examples=100)
def test_value_of_a_secret_name_never_shows(name: str, secret: str, nested: object) -> None:
    """However it is wrapped."""
    for value in (secret, [secret], {"a": {"b": secret}}, secret.encode()):
        assert secret not in shown(PLAIN.value(plant(nested, {name: value})))


@given(text=st.text(max_size=400) | st.lists(st.sampled_from(
    ["password", "=", ": ", '"', "'", "\\", "[redacted]", "://", "@", "user", "(", ")", "{", "}",
     ",", ";", "&", "\n", " ", "Bearer ", "eyJ", ".", "token", "--token ", "None", "Basic ", "x9"]
), max_size=30).map("".join))  # fmt: skip
@settings(max_examples=1500)
def test_twice_is_once(text: str) -> None:
    """What is redacted already is not redacted again."""
    redactor = Redactor(["hunter2-x9"])
    once = redactor.text(text)

    assert once == redactor.text(once)


@given(value=NESTED)
@settings(max_examples=200)
def test_any_value_is_taken(value: object) -> None:
    """None raises, and none is redacted twice."""
    once = PLAIN.value(value)

    assert shown(once) == shown(PLAIN.value(once))


HOSTILE = [
    "a" * 100_000,
    "password" * 20_000,
    "password=" * 20_000,
    "password='" * 20_000,
    'password="\\' * 20_000,
    "password=\\" * 20_000,
    "password=(" * 20_000,
    "password=,a" * 20_000,
    "token:" + "[" * 100_000,
    "token:" + " " * 100_000,
    "token" + "\\" * 100_000,
    "--" * 50_000 + "token",
    "--token " * 20_000,
    "http://a:" * 20_000,
    "http://a:b@" * 20_000,
    "://" * 30_000 + "@",
    "?&" * 50_000 + "sig=",
    "?a" * 50_000 + "-sig=",
    "bearer " * 20_000,
    "basic " + "A" * 100_000,
    "eyJ" * 30_000,
    "eyJ." * 30_000,
    "eyJa.b." * 20_000,
    "AKIA" * 30_000,
    "ghp_" * 30_000,
    "sk-" * 30_000,
    "-----BEGIN " * 10_000,
    "-----BEGIN PRIVATE KEY-----" * 5_000,
    "'token'," * 20_000,
    "token=A." * 20_000,
    "token=" + "a b " * 30_000,
    "\n \t" * 40_000 + "token=",
    "hunter2-" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_hostile_text_takes_no_time(text: str) -> None:
    """No repetition makes a pattern try again and again."""
    redactor = Redactor(["hunter2-hunter2-long", "aaaaab", "BEGINNING"])
    start = time.thread_time()
    redactor.text(text)
    seconds = time.thread_time() - start

    assert seconds < 0.2
    assert len(text) > MAX_TEXT


def test_ordinary_line_is_quick() -> None:
    """A short line costs microseconds, also where many secrets are known."""
    many = Redactor([f"{number:05}-{hash(str(number)):x}" for number in range(512)])
    line = "Finished in state Completed() after 12 rows from the bucket of customer 42"
    start = time.thread_time()
    for _ in range(1000):
        many.text(line)

    assert (time.thread_time() - start) / 1000 < 100e-6
