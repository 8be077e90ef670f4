"""A flow that puts secrets into all that it says, run by `python -m secretive_flows FILE`.

What is planted is written into the file: none of it may be anywhere else.
"""

# ruff: noqa: D103 - the name of a place says what it is

from __future__ import annotations

import logging
import os
import string
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prefect import flow, get_run_logger, task
from prefect.blocks.system import Secret
from pydantic import SecretStr

from prefect_instrumentation import annotate, error_context, traced

EXAMPLES = int(os.environ.get("EXAMPLES", "80"))

CORES = st.lists(
    st.sampled_from(string.ascii_letters + string.digits), min_size=16, max_size=40, unique=True
).map("".join)
"""What is looked for afterwards: part of a secret that every output writes as it is."""

AROUND = st.text("$%{}\"'\\/<>é☃=+-", max_size=4)

SHAPES: dict[str, Callable[[str], str]] = {
    "dsn": lambda core: f"postgresql://shop:{core}@db.internal:5432/orders",
    "url": lambda core: f"https://user:{core}@example.test/path?page=2",
    "query": lambda core: f"https://example.test/path?page=2&api_key={core}",
    "bearer": lambda core: f"Bearer {core}",
    "header": lambda core: f"Authorization: Bearer {core}",
    "assignment": lambda core: f"password={core}",
    "json": lambda core: f'{{"token": "{core}"}}',
    "pattern": lambda core: f"cust-{core}-end",
}
"""Texts whose secret is known by how it looks."""

KEYS = (
    "password",
    "db_password",
    "API_KEY",
    "token",
    "authorization",
    "client-secret",
    "pin_of_mine",
)
"""Names whose values are secret; the last is the user's own."""


@task
def raises(message: str, given: object) -> None:  # noqa: ARG001 - it is in what is told of the run
    with error_context(said=message):
        raise RuntimeError(f"refused: {message}") from ValueError(message)


def in_a_message(text: str) -> None:
    get_run_logger().info("said %s", text)


def in_a_format(text: str) -> None:
    logging.getLogger("shop").warning(f"said {text}")  # noqa: G004 - as people do


def in_extra(text: str) -> None:
    logging.getLogger("shop").info("extra", extra={"order": {"items": [1, {"note": text}]}})


def in_a_key(text: str) -> None:
    logging.getLogger("shop").info("key", extra={"order": {text: 1}})


def in_structlog(text: str) -> None:
    structlog.get_logger("shop").info(f"said {text}", note=text, order=[{"note": text}])


def in_bound_values(text: str) -> None:
    structlog.get_logger("shop").bind(note=text).warning("bound")


def in_print(text: str) -> None:
    print("printed", text)


def in_an_exception(text: str) -> None:
    try:
        _refuse(text)
    except ValueError:
        get_run_logger().exception("handled %s", text)


def _refuse(text: str) -> None:
    cause = KeyError(text)
    cause.add_note(text)
    raise ValueError(f"no {text}") from cause


def in_a_failed_task(text: str) -> None:
    raises(text, {"note": text}, return_state=True)


@traced
def in_a_span(text: str) -> None:
    annotate(note=text)


PLACES: dict[str, Callable[[str], None]] = {
    name: place for name, place in list(globals().items()) if name.startswith("in_")
}


def named_in_extra(name: str, value: str) -> None:
    logging.getLogger("shop").info("named", extra={name: value, "order": [{name: [value]}]})


def named_in_structlog(name: str, value: str) -> None:
    structlog.get_logger("shop").info("named", **{name: value, "order": {name: {"is": value}}})


def named_in_facts(name: str, value: str) -> None:
    try:
        with error_context(**{name: value}):
            _refuse("order")
    except ValueError:
        get_run_logger().exception("handled")


def named_in_parameters(name: str, value: str) -> None:
    raises("nothing", {name: value}, return_state=True)


@traced
def named_in_a_span(name: str, value: str) -> None:
    annotate(**{name: value})


NAMED: dict[str, Callable[[str, str], None]] = {
    name: place for name, place in list(globals().items()) if name.startswith("named_")
}

_planted: list[str] = []

_quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@_quick
@given(st.sampled_from(sorted(SHAPES)), st.sampled_from(sorted(PLACES)), CORES)
def plant_by_shape(shape: str, place: str, core: str) -> None:
    _planted.append(core)
    PLACES[place](SHAPES[shape](core))


@_quick
@given(st.sampled_from(sorted(PLACES)), CORES, AROUND, AROUND)
def plant_of_blocks(place: str, core: str, before: str, after: str) -> None:
    _planted.append(core)
    secret: Secret[str] = Secret(value=SecretStr(f"{before}{core}{after}"))
    PLACES[place](f"<{secret.get()}>")


@_quick
@given(st.sampled_from(KEYS), st.sampled_from(sorted(NAMED)), CORES)
def plant_by_name(name: str, place: str, core: str) -> None:
    _planted.append(core)
    NAMED[place](name, core)


@flow(log_prints=True)
def secretive() -> None:
    """Plant secrets, and after each kind of them something that is none."""
    for plant in (plant_by_shape, plant_of_blocks, plant_by_name):
        plant()
        get_run_logger().info("planted %d", len(_planted))
    raise RuntimeError(SHAPES["dsn"](_planted[0]))


if __name__ == "__main__":
    with suppress(RuntimeError):
        secretive()
    Path(sys.argv[1]).write_text("\n".join(_planted))
