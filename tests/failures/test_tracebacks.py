"""Texts of tracebacks: what Python of any version writes, what users write into it, and bounds."""

from __future__ import annotations

import concurrent.futures.process
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_exporter.failures import digests
from prefect_exporter.failures.facts import ErrorFacts
from prefect_exporter.failures.tracebacks import MAX_DEPTH, MAX_ERRORS, MAX_TEXT, read
from prefect_instrumentation import _errors

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tracebacks.json").read_text())
HEADER = "Traceback (most recent call last):"
FRAME = '  File "/srv/shop/flows.py", line 7, in orders'
CAUSE = "\n\nThe above exception was the direct cause of the following exception:\n\n"


class Refused(Exception):
    """An error of the user's own."""


def fail(message: str = "no") -> None:
    """Fail."""
    raise Refused(message)


def caught(function: Callable[[], object]) -> BaseException:
    """Return what a function raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whichever it is
        return error
    raise AssertionError


def deep(depth: int) -> None:
    """Fail below a recursion."""
    if depth:
        deep(depth - 1)
    fail()


def wrapped() -> None:
    """Fail because of a failure, whose cause was never raised."""
    try:
        raise ValueError("7") from KeyError("order")  # noqa: TRY301 - its traceback is the example
    except ValueError as error:
        raise LookupError("load failed") from error


def handled() -> None:
    """Fail in the handling of a failure of Python's own code."""
    try:
        json.loads("{")
    except ValueError:
        deep(20)


def hidden() -> None:
    """Fail, and say of nothing else."""
    try:
        fail()
    except Refused:
        raise LookupError from None


def grouped() -> None:
    """Fail many times at once."""
    inner = BaseExceptionGroup("inner", [caught(handled), caught(wrapped), Refused()])
    outer = BaseExceptionGroup("outer\nof two lines", [caught(fail), inner])
    try:
        fail()
    except Refused as error:
        raise outer from error


def bad_code() -> None:
    """Fail in code that cannot be compiled."""
    compile("def x(:\n  pass", "made.py", "exec")


def noted() -> None:
    """Fail with notes that look like frames."""
    error = ValueError("7")
    error.add_note(f'{FRAME}\n    code\nKeyError: "x"')
    raise error


def remote() -> None:
    """Fail in another process, whose traceback is hung on as a cause."""
    raise ValueError("7") from concurrent.futures.process._RemoteTraceback(  # noqa: SLF001 - as a pool does
        f'\n"""\n{HEADER}\n{FRAME}\nKeyError: 1{CAUSE}{HEADER}\n{FRAME}\nValueError: 7\n"""'  # type: ignore[arg-type]  # its stub is wrong
    )


def local() -> None:
    """Fail with a class that is made in a function."""

    class Inner(Exception):
        pass

    raise Inner("a: b: c")


CASES = [
    *(fail, lambda: deep(50), wrapped, handled, hidden, grouped, bad_code, noted, remote, local),
    lambda: fail("two\nlines\n\n"),
    lambda: fail(f"{HEADER}\n{FRAME}\nKeyError: 1"),
    lambda: fail("  + Exception Group " + HEADER),
    lambda: fail("Zürich 🚂 \x0c\x1c\u2028 end"),
    lambda: fail(
        "  |   +-+---------------- 1 ----------------\n    +------------------------------------"
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_text_gives_the_fingerprint_that_the_process_has(case: Callable[[], None]) -> None:
    """Whatever is raised, formatted by Python and read again is the same failure."""
    error = caught(case)
    text = "".join(traceback.format_exception(error))

    found = read(f"Encountered exception during execution: {error!r}\n{text}")

    assert found
    assert _errors.type_name(error).rpartition(".")[2] == found.types[0].rpartition(".")[2]
    assert _errors.fingerprint(error) == digests.of_error(found)


@pytest.mark.parametrize("golden", GOLDEN, ids=[each["flow"] for each in GOLDEN])
def test_log_of_a_real_run_gives_the_fingerprint_of_its_span(golden: dict[str, str]) -> None:
    """Prefect 3.8.8's log lines, and what instrumentation said inside of the same runs."""
    found = read(golden["text"])

    assert found
    assert (golden["type"], golden["fingerprint"]) == (found.types[0], digests.of_error(found))


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_every_python_writes_what_can_be_read(version: str, tmp_path: Path) -> None:
    """Newer Pythons mark code otherwise; the fingerprints are those of this one."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = sorted(map(str, folder.glob(f"{version}.*/bin/python{version}")))
    found = own[-1] if own else shutil.which(f"python{version}")
    if found is None:
        pytest.skip(f"no Python {version} here")
    script = tmp_path / "flows.py"
    script.write_text(SCRIPT)
    texts = {
        each: subprocess.run(
            [each, str(script)], capture_output=True, text=True, check=False
        ).stderr
        for each in (found, sys.executable)
    }
    new, old = (read(text) for text in texts.values())

    assert new
    assert old
    assert digests.of_error(old) == digests.of_error(new)
    assert 2 == len(new.members)


SCRIPT = """
import traceback

def fail(number):
    raise ValueError(
        f"order {number}"
        + "\\n  File no"
    )

def caught(number):
    try:
        [fail(each) for each in (number,)]
    except ValueError as error:
        return error

def main():
    some = ExceptionGroup("some", [caught(1), ExceptionGroup("in", [caught(2)])])
    try:
        {}["a"]["b"]
    except KeyError as error:
        raise some from error

try:
    main()
except Exception:
    traceback.print_exc()
"""


def test_no_error_without_its_own_line() -> None:
    """What was cut, or is no traceback, is not guessed."""
    assert read("") is None
    assert read("ValueError: no") is None
    assert read(f"{HEADER}\n{FRAME}\n    code") is None
    assert read(f"{HEADER}\n{FRAME}\nValueError: {'x' * MAX_TEXT}") is None


def test_cause_is_not_hidden_by_a_message_that_speaks_of_one() -> None:
    """What stands between errors counts where Python writes it, after an empty line."""
    found = read(
        f"{HEADER}\n{FRAME}\nValueError: no{CAUSE.replace(chr(10) * 2, chr(10))}KeyError: 1"
    )

    assert found
    assert "ValueError" == found.types[0]
    assert found.cause is None


def test_windows_line_ends_are_none() -> None:
    """A file that was written on Windows says the same."""
    text = f"{HEADER}\n{FRAME}\nValueError: no\n"

    assert read(text) == read(text.replace("\n", "\r\n"))


def test_levels_and_errors_are_bounded() -> None:
    """As in the process: 8 levels of causes, and 256 errors in all."""
    chain = CAUSE.join(f"{HEADER}\n{FRAME}\nValueError: {number}" for number in range(30))
    found = read(chain)

    assert found
    assert "29" == found.message
    assert MAX_DEPTH == levels(found) - 1
    wide = caught(lambda: raise_(many(3)))
    text = "".join(traceback.format_exception(wide))
    bounded = read(text)

    assert bounded
    assert MAX_ERRORS == errors(bounded)
    assert _errors.fingerprint(wide) == digests.of_error(bounded)


def raise_(error: Exception) -> None:
    """Raise an error."""
    raise error


def many(depth: int) -> Exception:
    """Return a group of groups with 8 members each."""
    return ExceptionGroup("x", [many(depth - 1) for _ in range(8)]) if depth else Refused(depth)


def levels(error: ErrorFacts) -> int:
    """Return how many levels an error has."""
    below = [each for each in (error.cause, *error.members) if each]
    return 1 + max(map(levels, below), default=0)


def errors(error: ErrorFacts) -> int:
    """Return how many errors there are in one."""
    return 1 + sum(errors(each) for each in (error.cause, *error.members) if each)


PIECES = st.sampled_from(
    [
        *(
            HEADER,
            FRAME,
            f"  + Exception Group {HEADER}",
            "  | ",
            "    | ValueError: 1",
            "",
            "    x",
        ),
        *("  +-+---------------- 1 ----------------", "    +---------------- 2 ----------------"),
        *(
            "      +-+---------------- 1 ----------------",
            "  | ExceptionGroup: x",
            "KeyError",
            '"""',
        ),
        *("    +------------------------------------", CAUSE.strip(), "x._RemoteTraceback: ", " "),
        *('  File "a", line 9, in ', '  File "', "  [Previous line repeated 9 more times]", "\r"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=40), max_size=60))
def test_any_text_is_read_without_an_error(lines: list[str]) -> None:
    """Whatever somebody writes there, it is facts within bounds, or nothing."""
    found = read("\n".join([*lines, HEADER]))

    if found:
        assert errors(found) <= MAX_ERRORS
        assert levels(found) <= MAX_DEPTH + 1
        assert 16 == len(digests.of_error(found))


@pytest.mark.parametrize(
    "line",
    [
        '  File "' + '", line 1' * 1000 + ", in x",
        "a." * 1000,
        '  File "' + "1" * 2000,
        "  " * 1000 + "| x",
        "  +-" * 500,
        f"{HEADER}\n{FRAME}\nValueError: no{CAUSE}",
        '_RemoteTraceback: \n"""',
    ],
)
def test_hostile_text_takes_no_time(line: str) -> None:
    """As large as a text may be, each of its lines made to be slow: it takes a second at most."""
    text = f"  + Exception Group {HEADER}\n" + f"{line}\n" * (MAX_TEXT // len(line) - 1)
    began = time.process_time()
    read(text[:MAX_TEXT])

    assert time.process_time() - began < 1.0
