"""A user's own rules: the same file as the flows' has, and what it says outside of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from failures.failed import failed, run_id, traceback
from prefect_exporter.failures.model import Signature
from prefect_exporter.failures.rule_file import MAX_FILE, MAX_RULES, read
from prefect_exporter.failures.signatures import assigned
from prefect_exporter.report.failed import failures
from prefect_instrumentation._errors import rule_file as of_flows
from report.world import HOUR
from report.worlds import workspace

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "etl" / "errors.toml"
REJECTED = "Flow run encountered an exception: TooManyRejected: 3 of 13 rows were rejected"
OWN = '[[rule]]\ncategory = "data"\ntypes = ["shop.errors.Refused"]\n'


def write(folder: Path, text: str) -> str:
    """Return the path of a file with that text."""
    file = folder / "rules.toml"
    file.write_text(text)
    return str(file)


def of_documentation() -> str:
    """Return the sample of docs/errors.md."""
    found = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "errors.md").read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("text", [EXAMPLE.read_text(), of_documentation()], ids=["etl", "docs"])
def test_file_says_the_same_to_flows_and_to_the_exporter(tmp_path: Path, text: str) -> None:
    """One file is enough for both, and both have all of it, in its order."""
    path = write(tmp_path, text)
    conditions = ("category", "types", "packages", "states", "statuses", "message")
    theirs = of_flows.read({of_flows.ERROR_RULES: path})

    assert len(theirs) == text.count("[[rule]]") > 1
    assert [tuple(getattr(each, name) for name in conditions) for each in theirs] == [
        tuple(getattr(each, name) for name in conditions) for each in read(path)
    ]


def test_file_without_a_rule_is_no_mistake(tmp_path: Path) -> None:
    """Who has none yet keeps the built-in ones."""
    assert () == read(write(tmp_path, "# none yet\n"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule]\n", "holds no rules: "),
        ('rule = "data"', "holds no rules: Expected `array`, got `str` - at `$.rule`"),
        ('[[rules]]\ncategory = "data"', "holds no rules: Object contains unknown field `rules`"),
        (
            '[[rule]]\ncategory = "dta"\ntypes = ["E"]',
            "holds no rules: Invalid enum value 'dta' - at `$.rule[0].category`",
        ),
        (
            f'{OWN}[[rule]]\ncategory = "data"\ntype = ["E"]',
            "holds no rules: Object contains unknown field `type` - at `$.rule[1]`",
        ),
        (
            '[[rule]]\ncategory = "data"\ntypes = "E"',
            "holds no rules: Expected `array`, got `str` - at `$.rule[0].types`",
        ),
        (
            '[[rule]]\ncategory = "data"\ntypes = [""]',
            "holds no rules: Expected `str` of length >= 1 - at `$.rule[0].types[0]`",
        ),
        ('[[rule]]\ncategory = "data"', "has a [[rule]] without a condition, number 1"),
        (
            '[[rule]]\ncategory = "data"\nmessage = "("',
            "has a [[rule]], number 1, whose message is no regular expression (",
        ),
        (OWN * (MAX_RULES + 1), f"holds no rules: Expected `array` of length <= {MAX_RULES}"),
        (f"#{'x' * MAX_FILE}", "has more than 1,000,000 bytes"),
    ],
    ids=lambda each: each[:20],
)
def test_file_with_a_mistake_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """In one line that says which rule it is, and what is wrong with it."""
    path = write(tmp_path, text)

    with pytest.raises(ValueError, match="^" + re.escape(problem)) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A wrong path is not taken for a file without rules."""
    with pytest.raises(ValueError, match=r"^cannot be read \(No such file or directory\)$"):
        read(str(tmp_path / "nothing.toml"))


def test_own_rules_say_the_category_and_nothing_else() -> None:
    """With a traceback and without one; of a run that no rule knows all stays as it was."""
    runs = [failed(1, REJECTED), failed(2, REJECTED, flow="other"), failed(3)]
    texts = {run_id(1): traceback("judge", "etl.errors.TooManyRejected: 3 of 13 rows")}
    without, own = (
        [each.signature for each in assigned(runs, texts, rules)]
        for rules in ((), read(str(EXAMPLE)))
    )

    assert ["user_code", "user_code", "user_code"] == [each.category for each in without]
    assert ["data", "data", "user_code"] == [each.category for each in own]
    assert [_without_category(each) for each in without] == [
        _without_category(each) for each in own
    ]


def test_report_asks_own_rules() -> None:
    """The groups of a report have the category that a user's rule says."""
    found = {}
    for name, rules in (("built-in", ()), ("own", read(str(EXAMPLE)))):
        with workspace(error_rules=rules) as world:
            world.run(world.flow("etl"), ended_ago=HOUR, state="Failed", message=REJECTED)
            groups = failures(world.workspace, world.question.period).groups
        found[name] = [each.signature.category for each in groups]

    assert {"built-in": ["user_code"], "own": ["data"]} == found


def _without_category(found: Signature) -> tuple[object, ...]:
    return found.id, found.type, found.pattern, found.basis, found.places
