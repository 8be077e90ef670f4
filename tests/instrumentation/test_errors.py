"""What an error is called, which errors are the same, and whose they are."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_instrumentation import _errors
from prefect_instrumentation._runs import StateChange

FAILED = StateChange("FAILED", "Failed", "Flow run encountered an exception.")

SHOP = """
class Refused(Exception):
    pass

def load(message, fail):
    fail(message)

def save(message, fail):
    fail(message)

def refuse(message):
    raise Refused(message)

def deny(message):
    raise Refused(message)

def miss(message):
    raise LookupError(message)

def recurse(depth):
    if depth:
        recurse(depth - 1)
    refuse("")
"""


def shop(
    path: str = "/srv/shop/flows.py", *, above: str = "", name: str = "shop"
) -> dict[str, Any]:
    """Return the names of a user's module, as if its file were at the path."""
    module = ModuleType(name)
    exec(compile(above + SHOP, path, "exec"), vars(module))  # noqa: S102 - a file of our own
    return vars(module)


def caught(function: Callable[..., object], *args: object) -> Exception:
    """Return what a function raises."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whichever it is
        function(*args)
    return raised.value


def error_of(module: object, base: type[Exception] = Exception, /, **members: object) -> Exception:
    """Return an error of a class of the module."""
    error: Exception = type("Error", (base,), {"__module__": module, **members})()
    return error


def failure(code: Mapping[str, Any], outer: str, inner: str, message: str = "no") -> str:
    """Return the fingerprint of what a function raises when it is called by another."""
    return _errors.fingerprint(caught(code[outer], message, code[inner]))


@settings(deadline=None)
@given(st.text(), st.text())
def test_message_makes_no_difference(one: str, other: str) -> None:
    """The same failure has the same fingerprint whatever its text, which often holds ids."""
    code = shop()

    assert failure(code, "load", "refuse", one) == failure(code, "load", "refuse", other)


@pytest.mark.parametrize(
    "moved",
    [
        shop(above="# a comment\n" * 40),
        shop("/tmp/prefect_a1b2c3/flows.py"),  # noqa: S108 - where a worker clones code to
        shop("flows.py"),
    ],
    ids=["lines", "folder", "relative"],
)
def test_place_of_the_file_makes_no_difference(moved: Mapping[str, Any]) -> None:
    """Neither lines above nor the folder count: workers clone code into ever new ones."""
    assert failure(shop(), "load", "refuse") == failure(moved, "load", "refuse")


@pytest.mark.parametrize(
    ("code", "outer", "inner"),
    [
        (shop(), "load", "miss"),
        (shop(), "load", "deny"),
        (shop(), "save", "refuse"),
        (shop("/srv/shop/other.py"), "load", "refuse"),
    ],
    ids=["type", "innermost", "caller", "file"],
)
def test_another_failure_has_another_fingerprint(
    code: Mapping[str, Any], outer: str, inner: str
) -> None:
    """The type, the functions around the failure and their file's name tell failures apart."""
    assert failure(shop(), "load", "refuse") != failure(code, outer, inner)


@pytest.mark.parametrize("path", ["/opt/prefect/flows.py", "/home/me/prefect/etl/flows.py"])
def test_code_in_a_folder_named_prefect_is_the_users(path: str) -> None:
    """Prefect's own image works in `/opt/prefect`: what is there is no part of Prefect."""
    code = shop(path)

    assert failure(code, "load", "refuse") != failure(code, "load", "deny")


def test_frames_of_the_engine_make_no_difference() -> None:
    """The same failure is the same in a task and in the flow around it, whose frames are more."""
    import prefect.utilities.callables as engine  # noqa: PLC0415 - dear, for this test alone

    code = shop()

    def task() -> object:
        return engine.call_with_parameters(code["load"], {"message": "no", "fail": code["refuse"]})

    def flow() -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(task).result()

    in_task, in_flow = caught(task), caught(engine.call_with_parameters, flow, {})

    assert _errors.fingerprint(in_task) == _errors.fingerprint(in_flow)


def test_fingerprint_is_short_hexadecimal() -> None:
    """It is 16 hex digits, with or without a traceback, and the same in every process."""
    raised = failure(shop(), "load", "refuse")
    made = _errors.fingerprint(ValueError("never raised"))

    assert {16} == {len(raised), len(made)}
    assert set(raised + made) <= set("0123456789abcdef")
    assert "b0ba55212480fb29" == _errors.fingerprint(ValueError())


def test_depth_of_recursion_makes_no_difference() -> None:
    """Frames that repeat count once, and 10,000 of them cost next to nothing."""
    code = shop()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(12_000)
    try:
        deep = caught(code["recurse"], 10_000)
    finally:
        sys.setrecursionlimit(limit)
    start = time.process_time()
    found = _errors.fingerprint(deep)
    seconds = time.process_time() - start

    assert _errors.fingerprint(caught(code["recurse"], 20)) == found
    assert _errors.fingerprint(caught(code["recurse"], 1)) == found
    assert _errors.fingerprint(caught(code["refuse"], "")) != found
    assert seconds < 0.5


def test_endless_causes_and_groups_cost_next_to_nothing() -> None:
    """Of 10,000 causes and 1,000,000 members few are looked at."""
    error: Exception = ValueError()
    for _ in range(10_000):
        error, error.__cause__ = KeyError(), error
    members: list[Exception] = [ConnectionError()] * 1000
    group = ExceptionGroup("many", [ExceptionGroup("many", members)] * 1000)
    start = time.process_time()
    found = [_errors.describe(each) for each in (error, group)]
    seconds = time.process_time() - start

    assert ["KeyError", "ExceptionGroup"] == [each["error.type"] for each in found]
    assert ["user_code", "upstream"] == [each["prefect.error.category"] for each in found]
    assert seconds < 0.5


def test_deep_tracebacks_of_many_members_cost_little() -> None:
    """The frames of a whole group are bounded too."""
    code = shop()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(12_000)
    try:
        members = [caught(code["recurse"], 10_000) for _ in range(32)]
    finally:
        sys.setrecursionlimit(limit)
    start = time.process_time()
    _errors.describe(ExceptionGroup("deep", members))

    assert time.process_time() - start < 2


def test_cause_that_is_its_own_cause_does_no_harm() -> None:
    """A loop of causes ends."""
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    itself = LookupError()
    itself.__context__ = itself

    assert "ValueError" == _errors.describe(one)["error.type"]
    assert "LookupError" == _errors.describe(itself)["error.type"]


def chained(error: Exception, cause: Exception) -> Exception:
    """Return the error, raised from the cause."""
    error.__cause__ = cause
    return error


def in_handling(error: Exception, handled: Exception, *, hidden: bool = False) -> Exception:
    """Return the error, raised in the handling of another."""
    error.__context__ = handled
    error.__suppress_context__ = hidden
    return error


def test_cause_makes_another_failure() -> None:
    """What was raised from, or in the handling of, another root is another failure."""
    alone = _errors.fingerprint(RuntimeError())
    by_value = _errors.fingerprint(chained(RuntimeError(), ValueError("7")))
    by_key = _errors.fingerprint(chained(RuntimeError(), KeyError()))

    assert 3 == len({alone, by_value, by_key})
    assert by_value == _errors.fingerprint(chained(RuntimeError(), ValueError("8")))
    assert by_value == _errors.fingerprint(in_handling(RuntimeError(), ValueError()))
    assert alone == _errors.fingerprint(in_handling(RuntimeError(), ValueError(), hidden=True))


def test_order_and_number_of_members_make_no_difference() -> None:
    """A group is the same if the same kinds of failures are in it."""

    def group(*members: Exception) -> str:
        return _errors.fingerprint(ExceptionGroup("some", members))

    assert group(KeyError(), ValueError()) == group(ValueError(), KeyError(), ValueError())
    assert group(KeyError(), ValueError()) != group(ValueError())
    assert group(ValueError()) != _errors.fingerprint(ValueError())


def error_with(status: object) -> Exception:
    """Return an error of a client that has got a response."""
    return error_of("httpx", response=SimpleNamespace(status_code=status))


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (error_with(401), "configuration"),
        (error_with(HTTPStatus.FORBIDDEN), "configuration"),
        (error_with(408), "timeout"),
        (error_with(404), "upstream"),
        (error_with("503"), "upstream"),
        (chained(RuntimeError(), error_with(504)), "timeout"),
        (ValueError("504 Server Error: Gateway Timeout for url"), "timeout"),
        (ValueError("our 504 Server Error"), "user_code"),
    ],
)
def test_status_of_a_response_decides(error: Exception, category: str) -> None:
    """A status says more than the package that has got it."""
    assert category == _errors.category(error, None)


@pytest.mark.parametrize("name", ["status_code", "status", "code"])
def test_status_is_found_on_the_error_too(name: str) -> None:
    """Each client has its own name for it; what is no failing status is none."""
    found = [
        _errors.category(error_of("shop", Exception, **{name: value}), None)
        for value in (503, 200, "503", lambda _: 503)
    ]

    assert ["upstream", "user_code", "user_code", "user_code"] == found


def test_status_in_botocores_dictionary_is_found() -> None:
    """Its response is a dictionary."""
    refused = error_of("shop", response={"ResponseMetadata": {"HTTPStatusCode": 403}})

    assert "configuration" == _errors.category(refused, None)
    assert "user_code" == _errors.category(error_of("shop", response={}), None)


def test_order_of_members_decides_nothing() -> None:
    """Of a group's members the one counts that the first rule is about."""
    members = [ConnectionError(), ValueError(), MemoryError()]

    for order in itertools.permutations(members):
        assert "infrastructure" == _errors.category(ExceptionGroup("some", order), None)


def test_where_is_the_users_line() -> None:
    """A person is told the file, line and function of his own code, not of what it called."""

    def load() -> object:
        return json.loads("{")

    error = caught(load)
    line = load.__code__.co_firstlineno + 1

    assert f"test_errors.py:{line} in load" == _errors.where(error)
    assert "" == _errors.where(ValueError("never raised"))


class _Nested(Exception):
    class Inner(Exception):
        pass


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (_Nested.Inner(), f"{__name__}._Nested.Inner"),
    ],
)
def test_type_is_the_full_name(error: BaseException, name: str) -> None:
    """An error of Python's own has no module in its name, any other has."""
    assert name == _errors.type_name(error)


@pytest.mark.parametrize(
    ("error", "state", "category"),
    [
        (ValueError(), FAILED, "user_code"),
        (None, FAILED, "user_code"),
        (ValueError(), None, "user_code"),
        (None, None, "user_code"),
        (ValueError(), StateChange("CRASHED", "Crashed", ""), "infrastructure"),
        (error_of("httpx"), StateChange("CRASHED", "Crashed", ""), "infrastructure"),
        (ValueError(), StateChange("CANCELLED", "Cancelled", ""), "cancelled"),
        (ConnectionError(), StateChange("CANCELLING", "Cancelling", ""), "cancelled"),
        (ValueError(), StateChange("FAILED", "TimedOut", ""), "timeout"),
        (None, StateChange("FAILED", "TimedOut", ""), "timeout"),
        (ValueError(), StateChange("PENDING", "NotReady", ""), "upstream"),
        (ValueError(), StateChange("FAILED", "Rotten", ""), "user_code"),
        (asyncio.CancelledError(), None, "cancelled"),
        (asyncio.CancelledError(), FAILED, "cancelled"),
        (TimeoutError(), FAILED, "timeout"),
        (TimeoutError(), None, "timeout"),
        (MemoryError(), FAILED, "infrastructure"),
        (SystemExit(1), FAILED, "user_code"),
        (KeyboardInterrupt(), None, "cancelled"),
        (KeyboardInterrupt(), StateChange("CRASHED", "Crashed", ""), "cancelled"),
        (ConnectionRefusedError(), FAILED, "upstream"),
        (BrokenPipeError(), None, "upstream"),
        (OSError(), FAILED, "user_code"),
        (error_of("httpx._exceptions"), FAILED, "upstream"),
        (error_of("grpc"), None, "upstream"),
        (error_of("shop.errors", type(error_of("sqlalchemy.exc"))), FAILED, "upstream"),
        (error_of("httpxtra.errors"), FAILED, "user_code"),
        (error_of("shop.httpx"), FAILED, "user_code"),
    ],
)
def test_category_says_whose_the_failure_is(
    error: BaseException | None, state: StateChange | None, category: str
) -> None:
    """The state decides where it can, then the type of the error or of a base of it."""
    assert category == _errors.category(error, state)


def test_failed_state_without_error_is_described() -> None:
    """A state that was returned is told by its name and by the function that returned it."""
    found = _errors.describe_state(StateChange("FAILED", "Rotten", "egg 7"), "shop.flows.load")
    message = _errors.describe_state(StateChange("FAILED", "Rotten", "egg 8"), "shop.flows.load")
    function = _errors.describe_state(StateChange("FAILED", "Rotten", "egg 7"), "shop.flows.save")
    name = _errors.describe_state(StateChange("FAILED", "Bad", "egg 7"), "shop.flows.load")
    key = "prefect.error.fingerprint"

    assert {"error.type", key, "prefect.error.category"} == set(found)
    assert "prefect.Rotten" == found["error.type"]
    assert "user_code" == found["prefect.error.category"]
    assert found == message
    assert 3 == len({each[key] for each in (found, function, name)})


class _Sly(type):
    """Makes classes that do not tell what they are."""

    def __getattribute__(cls, name: str) -> Any:  # noqa: ANN401 - as `object` has it
        if name == super().__getattribute__("hidden"):
            raise LookupError(name)
        return super().__getattribute__(name)


def sly(hidden: str) -> Exception:
    """Return an error whose class raises when it is asked for something."""
    error: Exception = _Sly("Sly", (Exception,), {"hidden": hidden})()
    return error


def _refuse(_error: Exception) -> object:
    raise LookupError


def _refuse_name(_error: Exception, _name: str) -> object:
    raise LookupError


HOSTILE: dict[str, Callable[[], Exception]] = {
    "no-module": lambda: error_of(None),
    "odd-module": lambda: error_of(3),
    "module": lambda: sly("__module__"),
    "qualname": lambda: sly("__qualname__"),
    "mro": lambda: sly("__mro__"),
    "class": lambda: error_of("shop", __class__=property(_refuse)),
    "traceback": lambda: error_of("shop", __traceback__=property(_refuse)),
    "cause": lambda: error_of("shop", __cause__=property(_refuse)),
    "context": lambda: error_of("shop", __context__=property(_refuse)),
    "dictionary": lambda: error_of("shop", __dict__=property(_refuse)),
    "text": lambda: error_of("shop", __str__=_refuse),
    "attributes": lambda: error_of("shop", __getattr__=_refuse_name),
    "response": lambda: error_of("shop", response=property(_refuse)),
    "members": lambda: error_of("shop", exceptions=property(_refuse)),
    "equality": lambda: error_of("shop", __eq__=_refuse_name, __hash__=None),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("state", [FAILED, None], ids=["failed", "none"])
def test_hostile_class_is_described(
    make: Callable[[], Exception], state: StateChange | None
) -> None:
    """Whatever a class does when it is looked at, its errors are described and none is raised."""
    found = _errors.describe(make(), state)

    assert {"error.type", "prefect.error.fingerprint", "prefect.error.category"} == set(found)
    assert {str} == {type(value) for value in found.values()}


def test_type_is_bounded() -> None:
    """A name of 100,000 characters does not go into every span."""
    assert len(_errors.type_name(error_of("m" * 100_000))) <= 1024
