"""Rules: how they decide, and the user's own file of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from prefect_instrumentation import _errors
from prefect_instrumentation._errors.facts import ErrorFacts, Facts
from prefect_instrumentation._errors.rule_file import ERROR_RULES, read
from prefect_instrumentation._errors.rule_table import BUILT_IN
from prefect_instrumentation._errors.rules import Rule, Rules, classify
from prefect_instrumentation._runs import StateChange
from traces import printed

REFUSED = ErrorFacts(("shop.errors.Refused", "Exception"), "order 7 refused", 409)
FAILED = StateChange("FAILED", "Failed", "Flow run failed")


def names(*texts: str) -> frozenset[str]:
    """Return the names of a condition."""
    return frozenset(texts)


def write(folder: Path, text: str) -> dict[str, str]:
    """Return an environment that names a file with the text."""
    file = folder / "rules.toml"
    file.write_text(text)
    return {ERROR_RULES: str(file)}


def one_rule(tmp_path: Path, conditions: str) -> Rules:
    """Return what a file with one rule gives."""
    return read(write(tmp_path, f'[[rule]]\ncategory = "data"\n{conditions}'))


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ('types = ["shop.errors.Refused"]', True),
        ('types = ["Other", "Exception"]', True),
        ('types = ["Refused"]', False),
        ('packages = ["shop"]', True),
        ('packages = ["shop.errors"]', False),
        ('packages = ["Exception"]', False),
        ('message = "order \\\\d+"', True),
        ('message = "^Flow run"', True),
        ('message = "^refused"', False),
        ('states = ["FAILED"]', True),
        ('states = ["Failed", "TimedOut"]', True),
        ('states = ["CRASHED"]', False),
        ('statuses = ["409"]', True),
        ('statuses = ["4xx"]', True),
        ('statuses = ["5xx"]', False),
        ('packages = ["shop"]\nmessage = "order"\nstates = ["FAILED"]\nstatuses = ["409"]', True),
        ('packages = ["shop"]\nmessage = "invoice"', False),
        ('packages = ["shop"]\nstates = ["CRASHED"]', False),
    ],
)
def test_rule_holds_where_all_of_its_conditions_do(
    tmp_path: Path, conditions: str, *, holds: bool
) -> None:
    """One of a condition's alternatives is enough, and every condition is needed."""
    rules = one_rule(tmp_path, conditions)

    assert 1 == len(rules)
    assert ("data" if holds else "user_code") == classify(Facts(REFUSED, FAILED), [rules])


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ('message = "^Flow run"', True),
        ('states = ["Failed"]', True),
        ('packages = ["shop"]', False),
    ],
)
def test_rules_look_at_runs_that_raised_nothing(
    tmp_path: Path, conditions: str, *, holds: bool
) -> None:
    """Such a run has a state and its message."""
    rules = one_rule(tmp_path, conditions)

    assert ("data" if holds else "user_code") == classify(Facts(None, FAILED), [rules])


def test_own_rules_come_first(tmp_path: Path) -> None:
    """They decide before the built-in ones, also by a cause, and in their own order."""
    rules = read(
        write(
            tmp_path,
            """
            [[rule]]
            category = "data"
            types = ["TimeoutError"]
            message = "^order"

            [[rule]]
            category = "infrastructure"
            types = ["TimeoutError"]
            """,
        )
    )
    lists = (rules, *BUILT_IN)
    cause = ErrorFacts(("TimeoutError", "Exception"), "order 7")

    assert "infrastructure" == classify(Facts(ErrorFacts(("TimeoutError",), "7")), lists)
    assert "data" == classify(Facts(ErrorFacts(("TypeError",), cause=cause)), lists)
    assert "timeout" == classify(Facts(cause), BUILT_IN)


def test_outermost_error_decides_where_a_rule_knows_it() -> None:
    """A bug in the handling of a timeout is a bug, although the rule of timeouts comes earlier."""
    handled = ErrorFacts(("TimeoutError",))

    assert "user_code" == classify(Facts(ErrorFacts(("TypeError",), cause=handled)), BUILT_IN)
    assert "timeout" == classify(Facts(ErrorFacts(("ValueError",), cause=handled)), BUILT_IN)


def test_state_is_not_that_of_a_cause() -> None:
    """A rule about a state and a type means the error that ended the run."""
    rule = Rule("data", types=names("shop.errors.Refused"), states=names("FAILED"))
    wrapped = ErrorFacts(("RuntimeError",), cause=REFUSED)

    assert "data" == classify(Facts(REFUSED, FAILED), [[rule]])
    assert "user_code" == classify(Facts(wrapped, FAILED), [[rule]])


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ('types = ["A"]', "category is None; use one of user_code, data,"),
        ('category = "mine"\ntypes = ["A"]', "category is 'mine'; use one of"),
        ('category = ["data"]\ntypes = ["A"]', "category is ['data']; use one of"),
        ('category = "data"', "it has no condition; add one of types, packages,"),
        ('category = "data"\ntype = ["A"]', "'type' is unknown; use category, types,"),
        ('category = "data"\ntypes = "A"', "types is 'A'; give a list of texts"),
        ('category = "data"\nstates = [1]', "states is [1]; give a list of texts"),
        ('category = "data"\npackages = [""]', "packages is ['']; give a list of texts"),
        ('category = "data"\nstatuses = []', "statuses is []; give a list of texts"),
        ('category = "data"\nmessage = "("', "message is no regular expression: "),
        ('category = "data"\nmessage = 7', "message is 7; give a regular expression"),
    ],
)
def test_bad_rule_is_told_of_and_the_rest_stands(
    tmp_path: Path, rule: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names the setting, the rule, what is wrong and what would be right."""
    good = '[[rule]]\ncategory = "data"\ntypes = ["A"]\n'
    rules = read(write(tmp_path, f"{good}[[rule]]\n{rule}\n{good}"))
    (line,) = caplog.messages

    assert [Rule("data", types=names("A"))] * 2 == list(rules)
    assert line.startswith(f"{ERROR_RULES}='{tmp_path}/rules.toml' has a bad [[rule]], number 2: ")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "text",
    ["[[rule]", 'rule = "data"', '[rules]\ncategory = "data"', "#" * 1_000_001],
    ids=["syntax", "no-table", "name", "size"],
)
def test_bad_file_is_told_of(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without its rules the built-in ones stand."""
    assert () == read(write(tmp_path, text))
    (line,) = caplog.messages
    assert line.startswith(f"{ERROR_RULES}='{tmp_path}/rules.toml' cannot be used: ")


@pytest.mark.parametrize("path", ["missing.toml", "."])
def test_file_that_cannot_be_read_is_told_of(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong path is named, and why it is wrong."""
    assert () == read({ERROR_RULES: str(tmp_path / path)})
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert "cannot be used: [Errno " in record.getMessage()


def test_bytes_that_are_no_text_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in another encoding is no TOML."""
    file = tmp_path / "rules.toml"
    file.write_bytes(b"\xff\xfe[")

    assert () == read({ERROR_RULES: str(file)})
    assert 1 == len(caplog.messages)


def test_without_the_setting_there_are_no_own_rules(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is read, and nothing told."""
    assert () == read({}) == read({ERROR_RULES: " "})
    assert [] == caplog.messages


def test_number_of_rules_is_bounded(tmp_path: Path) -> None:
    """Every failure is held against all of them."""
    assert 1000 == len(read(write(tmp_path, '[[rule]]\ncategory="data"\ntypes=["A"]\n' * 1001)))


OWN = """
import logging
from prefect_instrumentation import _errors
logging.basicConfig(format="%(message)s")
print([_errors.category(error, None) for error in (ValueError("egg"), ValueError(), KeyError())])
"""


def test_setting_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has the variable sorts by the user's rules, and by the others."""
    rule = '[[rule]]\ncategory = "data"\ntypes = ["ValueError"]\nmessage = "egg"\n[[rule]]\n'
    monkeypatch.setenv(ERROR_RULES, write(tmp_path, rule)[ERROR_RULES])
    output, complaints = printed(OWN)

    assert "['data', 'user_code', 'user_code']" == output.strip()
    assert 1 == len(complaints.splitlines())
    assert "number 2" in complaints


def test_error_that_is_rude_about_its_text_has_a_category() -> None:
    """An error without text is sorted by its type."""

    class Rude(TimeoutError):
        def __str__(self) -> str:
            raise LookupError

    assert "timeout" == _errors.category(Rude(), None)
