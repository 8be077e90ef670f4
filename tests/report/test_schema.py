"""The report as JSON, and the schema that is published for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError

from prefect_exporter.report.model import Report
from prefect_exporter.report.rendering.jsontext import render
from prefect_exporter.report.schema import schema
from report.hostile import NAMES
from report.reports import Texts, report

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_published_schema_is_that_of_the_code() -> None:
    """docs/report.schema.json is what `python -m prefect_exporter.report.schema` prints."""
    printed = subprocess.run(
        [sys.executable, "-m", "prefect_exporter.report.schema"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert PUBLISHED.read_text(encoding="utf-8") == printed.stdout


def test_schema_is_one() -> None:
    """The schema follows the dialect that it names."""
    Draft202012Validator.check_schema(schema())


# Half a character never comes from Prefect: JSON that holds one is not decoded.
@pytest.mark.parametrize("name", ["etl", *(each for each in NAMES if each != "\ud800")])
def test_report_follows_its_schema(name: str) -> None:
    """A report is valid by the schema whatever it holds, numbers that are none included."""
    made = json.loads(render(report(Texts(name=name, message=name))))

    Draft202012Validator(schema()).validate(made)


def test_schema_refuses_what_is_no_report() -> None:
    """A report without its findings is none, nor is one with an unknown severity."""
    made = json.loads(render(report()))
    del made["findings"]

    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(made)

    made = json.loads(render(report()))
    made["findings"][0]["severity"] = "dreadful"
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(made)


def test_json_is_the_report() -> None:
    """Nothing is lost on the way: what is read back is written the same."""
    made = render(report())

    assert made == render(msgspec.json.decode(made, type=Report))
