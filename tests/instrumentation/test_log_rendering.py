"""How events look as lines, and what cannot get out of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_instrumentation._log_settings import Format
from prefect_instrumentation._logs.rendering import renderer

FRAME = {"filename": "/flows/etl.py", "lineno": 7, "name": "load"}
ERROR = {"exc_type": "ValueError", "exc_value": "no eggs", "is_cause": False, "frames": [FRAME]}
CAUSE = {"exc_type": "KeyError", "exc_value": "'eggs'", "is_cause": True, "frames": [FRAME]}
GROUP = {
    "exc_type": "ExceptionGroup",
    "exc_value": "both",
    "frames": [],
    "is_group": True,
    "exceptions": [[ERROR], [CAUSE]],
}
EVENT: Mapping[str, object] = {
    "time": "2026-11-22T00:00:00.000000Z",
    "level": "error",
    "event": "order taken",
    "logger": "shop",
    "order": 7,
    "paid": True,
    "lines": [{"sku": "egg"}],
    "note": "two\nlines",
}
ESCAPES = "\x1b[2J\x07\r\x9b31m\x7f\u202e\u2028\x85"


def line(format_: Format, values: Mapping[str, object] | None = None) -> str:
    """Return the line of an event with these values."""
    return renderer(format_)({**EVENT, **(values or {})})


def test_json_has_all_in_order() -> None:
    """A JSON line is the event, key by key, as it is."""
    found = json.loads(line("json"))

    assert EVENT == found
    assert list(EVENT) == list(found)


def test_json_is_the_default() -> None:
    """Nothing said means JSON."""
    assert renderer("json")(EVENT) == renderer(None)(EVENT)


def test_json_keeps_letters_as_they_are() -> None:
    """Text is readable in any language, but for what other programs take for a line's end."""
    found = line("json", {"note": "größer \u2028\u2029\x85"})

    assert "größer" in found
    assert 1 == len(found.splitlines())
    assert "größer \u2028\u2029\x85" == json.loads(found)["note"]


def test_logfmt_is_one_line_of_pairs() -> None:
    """Nested values are JSON; a line's end is escaped."""
    assert (
        "time=2026-11-22T00:00:00.000000Z level=error"
        ' event="order taken" logger=shop order=7 paid=true'
        ' lines="[{\\"sku\\":\\"egg\\"}]" note=two\\nlines'
    ) == line("logfmt")


def test_logfmt_takes_any_key() -> None:
    """What cannot be in a key is replaced, where the renderer would refuse the line."""
    found = line("logfmt", {"a key": 1, 'b="': 2, "\x1b": 3})

    assert found.endswith("a_key=1 b__=2 _=3")


@pytest.mark.parametrize("format_", ["json", "logfmt", "console"])
def test_terminal_hears_no_commands(format_: Format) -> None:
    """Control characters of a value, a key or an error do not reach a terminal."""
    error = {**ERROR, "exc_value": ESCAPES, "frames": [{**FRAME, "name": ESCAPES}]}
    values = dict.fromkeys(("event", "stack", f"k{ESCAPES}"), ESCAPES)
    found = line(format_, {**values, "exception": [error]})

    assert set() == (set(ESCAPES) - set("[2J31m")) & set(found)


def test_console_is_for_people() -> None:
    """The level, the event, the logger and the pairs, without colour."""
    found = line("console")

    assert "2026-11-22T00:00:00.000000Z [error    ] order taken" in found
    assert "order=7" in found
    assert "two\\nlines" in found
    assert "\x1b" not in found
    assert 1 == len(found.splitlines())


def test_console_has_colours_where_asked() -> None:
    """A terminal gets them."""
    assert "\x1b[" in renderer("console", colours=True)(EVENT)
    assert line("json") == renderer("json", colours=True)(EVENT)
    assert line("logfmt") == renderer("logfmt", colours=True)(EVENT)


def test_console_shows_errors_as_python_does() -> None:
    """The cause first, each with its frames, and a group with its members."""
    found = line("console", {"exception": [ERROR, CAUSE]}).splitlines()
    group = line("console", {"exception": [GROUP]}).splitlines()

    assert [
        "Traceback (most recent call last):",
        '  File "/flows/etl.py", line 7, in load',
        "KeyError: 'eggs'",
        "",
        "Traceback (most recent call last):",
        '  File "/flows/etl.py", line 7, in load',
        "ValueError: no eggs",
    ] == found[1:]
    assert "ExceptionGroup: both" == group[1]
    assert "  | ValueError: no eggs" in group


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.lists(st.text())))
def test_logfmt_is_one_line_whatever_it_is(values: dict[str, object]) -> None:
    """No value and no key ends the line before its end."""
    values = {
        each.encode("utf-8", "replace").decode(): json.loads(
            json.dumps(value).encode("utf-8", "replace")
        )
        for each, value in values.items()
    }
    assert 1 == len(renderer("logfmt")({"event": "x", **values}).splitlines())
