"""A report as JSON: whatever a name holds, it is JSON, and printing it commands nothing."""

from __future__ import annotations

import json

import msgspec
import pytest

from prefect_exporter.report.model import Report
from prefect_exporter.report.rendering.jsontext import render
from report.hostile import NAMES
from report.reports import Texts, report


@pytest.mark.parametrize(
    "name", [*NAMES, "\x7f\x9b2J", "\U000e0001"], ids=lambda name: ascii(name[:20])
)
def test_any_name_can_be_printed_and_read(name: str) -> None:
    """A terminal is sent nothing that it obeys, and a program reads the name as it is."""
    told = report(Texts(name=name, message=name))
    text = render(told)

    assert text.replace("\n", "").replace("\x7f", "").isprintable()
    if "\ud800" not in name:
        same = msgspec.json.decode(text, type=Report)
        assert msgspec.json.encode(told) == msgspec.json.encode(same)
    json.loads(text)
