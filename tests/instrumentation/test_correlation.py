"""The correlation id: what is accepted from outside, and which context has which."""

from __future__ import annotations

import asyncio
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_instrumentation import _correlation


@pytest.mark.parametrize(
    "value",
    ["ord-42", "a", "A" * 128, "0af7651916cd43dd8448eb211c80319c", "urn:x/y+z=@host.example_1"],
)
def test_ordinary_ids_are_accepted_unchanged(value: str) -> None:
    """An id of letters, digits and the usual marks passes as it is."""
    assert value == _correlation.accept(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "A" * 129,
        "two words",
        "tab\t",
        "line\r\nSet-Cookie: stolen=1",
        "ord-42\n",
        "nul\x00",
        "a,b",
        "<script>",
        '"quoted"',
        "%0d%0a",
        "ärger",
        "\u0661\u0662",  # digits, but not ASCII ones
    ],
)
def test_what_could_inject_is_refused(value: str) -> None:
    """An id that is empty, too long or could end a header, a log line or a quote is refused."""
    assert _correlation.accept(value) is None


@given(st.text(max_size=200))
def test_an_accepted_id_is_printable_ascii_and_bounded(value: str) -> None:
    """Whatever comes, what is accepted is short, printable ASCII without blanks."""
    accepted = _correlation.accept(value)

    assert accepted is None or (
        accepted == value
        and 1 <= len(accepted) <= 128
        and all("!" <= character <= "~" for character in accepted)
    )


def test_a_new_id_is_made_of_the_randomness_given() -> None:
    """A new id is the 32 hex digits of a UUID, which `accept` lets pass."""
    made = _correlation.new(lambda: uuid.UUID(int=0xABC))

    assert f"{0xABC:032x}" == made == _correlation.accept(made)


def test_new_ids_differ() -> None:
    """Two new ids are not the same."""
    assert _correlation.new() != _correlation.new()


def test_bound_id_is_current_until_it_is_unbound() -> None:
    """Binding nests: each unbinding brings back what was there before."""
    assert _correlation.current() is None
    outer = _correlation.bind("outer")
    inner = _correlation.bind("inner")
    assert _correlation.current() == "inner"

    _correlation.unbind(inner)
    assert _correlation.current() == "outer"

    _correlation.unbind(outer)
    assert _correlation.current() is None


def test_concurrent_tasks_do_not_see_each_others_id() -> None:
    """Each asyncio task has its own id, and a bare thread has none."""

    async def handle(name: str) -> str | None:
        _correlation.bind(name)
        await asyncio.sleep(0)
        return _correlation.current()

    async def both() -> list[str | None]:
        return list(await asyncio.gather(handle("one"), handle("two")))

    in_thread: list[str | None] = []
    token = _correlation.bind("mine")
    thread = threading.Thread(target=lambda: in_thread.append(_correlation.current()))
    thread.start()
    thread.join()
    _correlation.unbind(token)

    assert ["one", "two"] == asyncio.run(both())
    assert [None] == in_thread
