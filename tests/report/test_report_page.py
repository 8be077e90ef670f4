"""docs/report.md is true of the code: its checks, their severities, its options."""

from __future__ import annotations

import re
from pathlib import Path

import click

from prefect_exporter.report import checks
from prefect_exporter.report.command import report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
CODE_PAGE = (ROOT / "docs" / "report-code.md").read_text(encoding="utf-8")
SOURCES = ROOT / "exporter" / "src" / "prefect_exporter" / "report"
ROWS = dict(re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \| .", PAGE, re.MULTILINE))


def sources() -> dict[str, str]:
    """Return the text of each check's module, by the check's id."""
    files = Path(checks.__file__).parent.glob("*.py")
    return {
        each.stem.replace("_", "-"): each.read_text(encoding="utf-8")
        for each in files
        if each.stem != "__init__"
    }


def test_page_lists_exactly_the_checks_that_exist() -> None:
    """A check without a row, or a row without a check, fails here."""
    assert sorted(sources()) == list(ROWS)


def test_severities_are_those_of_the_code() -> None:
    """A row names the severities that its check's module gives, the highest first."""
    order = ("high", "medium", "low")
    given = {
        check: ", ".join(each for each in order if f"Severity.{each.upper()}" in source)
        for check, source in sources().items()
    }

    assert given == ROWS


def test_page_of_sources_lists_exactly_the_rules_that_exist() -> None:
    """The same of the checks of `--code`."""
    files = (SOURCES / "code" / "rules").glob("*.py")
    rules = re.findall(r'check="(code-[a-z-]+)"', "".join(each.read_text() for each in files))

    assert sorted(rules) == sorted(re.findall(r"^\| `(code-[a-z-]+)` \|", CODE_PAGE, re.MULTILINE))


def test_page_names_every_option() -> None:
    """Each option of the command has its place in the table of options, and no other has."""
    table = PAGE.partition("## Options")[2].partition("| Exit code")[0]
    named = set(re.findall(r"--[a-z-]+", "".join(re.findall(r"^\| (.+?) \|", table, re.MULTILINE))))
    there = {
        name
        for each in report.params
        if isinstance(each, click.Option)
        for name in (*each.opts, *each.secondary_opts)
        if name.startswith("--")
    }

    assert there - {"--help"} == named
