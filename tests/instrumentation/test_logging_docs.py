"""docs/logging.md and the code: the same keys, settings, formats, limits and examples."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from prefect_instrumentation import (
    _correlation,
    _log_settings,
    _secrets,
    _settings,
    attributes,
    middleware,
)
from prefect_instrumentation._log_settings import LogSettings
from prefect_instrumentation._logs import events
from prefect_instrumentation._logs.levels import CHATTY
from prefect_instrumentation._logs.plain import CUT
from prefect_instrumentation._logs.rendering import renderer
from prefect_instrumentation._secrets.redaction import Redactor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "examples" / "correlation").glob("[!_]*.py"))

# Not of log lines: tracing.md and meters.md have them.
OTHERS = {
    _settings.ENVIRONMENT,
    _settings.LINK_AFTER,
    _settings.EXIT_TIMEOUT,
    _settings.PUSHGATEWAY,
}


def blocks(kind: str) -> list[str]:
    """Return the code blocks of a kind, without their fences."""
    return re.findall(rf"^```{kind}\n(.*?\n)```$", PAGE, re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one of any level."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    # A comment in a block of a shell's or Python's is no heading.
    return re.split(r"^#{2,} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Return the names in the first cells of a text's tables, one cell holding several at times."""
    return re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)))


def test_keys_are_those_of_the_code() -> None:
    """The table has every key that a line may have of ours, and no other."""
    assert sorted(events.OURS) == sorted(first_column(section("## What a line says")))


def test_keys_are_in_the_order_of_the_code() -> None:
    """Who reads a line finds the keys where the table has them."""
    shown = first_column(section("## What a line says"))

    assert list(events.RUN_KEYS) == [key for key in shown if key in events.RUN_KEYS]
    assert list(events.ERROR_KEYS) == [key for key in shown if key in events.ERROR_KEYS]
    assert ["time", "level", "event", "logger"] == shown[:4]


def test_settings_are_those_of_the_code() -> None:
    """The table has every setting of log lines and redaction, and no other."""
    modules = (_log_settings, _settings, _secrets)
    code = {value for each in modules for value in vars(each).values() if _is_ours(value)}
    shown = set(first_column(section("## Settings")))

    assert code - OTHERS == shown


def test_no_setting_is_named_that_there_is_not() -> None:
    """Whoever copies a variable from the page sets one that is read."""
    modules = (_log_settings, _settings, _secrets)
    code = {value for each in modules for value in vars(each).values() if _is_ours(value)}
    named = set(re.findall(r"PREFECT_INSTRUMENTATION_[A-Z_]+", PAGE))

    assert named - code == {f"{_log_settings.LEVEL}_PRODUCTION"}


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        (_log_settings.STREAM, "stream"),
        (_log_settings.FILE_MAX_BYTES, "file_max_bytes"),
        (_log_settings.FILE_MAX_AGE, "file_max_age"),
        (_log_settings.FILE_BACKUPS, "file_backups"),
        (_log_settings.ERROR_INPUT, "error_input"),
    ],
)
def test_settings_have_the_defaults_of_the_code(variable: str, field: str) -> None:
    """A default in the table is the one that holds where nothing is set."""
    (default,) = re.findall(rf"^\| `{variable}` \| `(\w+)` \|", PAGE, re.MULTILINE)
    read = _log_settings.read({variable: default}, "")

    assert getattr(LogSettings(), field) == getattr(read, field)


def test_levels_of_the_page_are_understood() -> None:
    """What the page exports sets the levels that it tells of."""
    exports = dict(re.findall(rf"export ({_log_settings.LEVEL}\w*)=(\S+)", PAGE))
    read = _log_settings.read(exports, "production")

    assert {"": 30, "shop": 10, "shop.http": 30} == read.levels


def test_quiet_libraries_of_the_page_are_quiet() -> None:
    """The libraries that the page names are among those that say warnings only."""
    (named,) = re.findall(r"such as ([\w, \n]+?),?\s+are at `warning`", PAGE)

    assert set(re.split(r",\s+|\s+and\s+", named)) <= set(CHATTY)


@pytest.mark.parametrize(("format_", "kind"), [("logfmt", "logfmt"), ("console", "console-line")])
def test_formats_are_those_of_the_code(format_: _log_settings.Format, kind: str) -> None:
    """The samples are one event, as each renderer writes it."""
    (line,), (sample,) = blocks("json"), blocks(kind)

    assert f"{renderer(format_)(json.loads(line))}\n" == sample


def test_sample_line_is_as_it_is_written() -> None:
    """The JSON of the page has neither blanks nor an order that ours have not."""
    (line,) = blocks("json")
    event = json.loads(line)
    run = [key for key in event if key in events.RUN_KEYS]

    assert f"{renderer('json')(event)}\n" == line
    assert [key for key in events.RUN_KEYS if key in run] == run


def test_correlation_is_that_of_the_code() -> None:
    """Header, label, baggage and what is taken from outside are those that the code has."""
    text = section("## Correlation")
    accepted = re.search(r"(\d+) to (\d+) ASCII letters, digits and `(.+?)`", text)
    assert accepted
    least, most, signs = int(accepted[1]), int(accepted[2]), accepted[3]

    assert middleware.CORRELATION_HEADER in text.lower()
    assert f"`{_correlation.LABEL}`" in text
    assert f"`{_correlation.BAGGAGE}" in text
    for taken in ("a" * least, "a" * most, f"aZ09{signs}"):
        assert taken == _correlation.accept(taken)
    for refused in ("a" * (least - 1), "a" * (most + 1), " ", "\u00e9", "a\n", "a;b"):
        assert _correlation.accept(refused) is None


def test_sizes_are_those_of_the_code() -> None:
    """What marks a cut text is what the page says, and the parts stay below the whole line."""
    assert f"`{CUT}`" in PAGE
    assert "64 KiB" in PAGE
    assert events.MESSAGE_SIZE + events.CALLER_SIZE + events.EXCEPTION_SIZE < 64 * 1024


def test_extra_is_one_of_the_package() -> None:
    """What the page has installed for files is there to be installed."""
    project = tomllib.loads((ROOT / "instrumentation" / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].keys()

    assert set(re.findall(r"instrumentation\[(\w+)\]", PAGE)) <= extras


def test_attributes_of_errors_are_those_of_spans() -> None:
    """The same failure has the same keys in a line and in a span."""
    shown = first_column(section("## The line of a failed run"))
    same = (attributes.ERROR_TYPE, attributes.ERROR_FINGERPRINT, attributes.ERROR_CATEGORY)

    assert set(same) <= set(shown)
    assert set(same) <= events.OURS


@pytest.mark.parametrize("name", ["logging.md", "redaction.md"])
def test_redaction_is_that_of_the_code(name: str) -> None:
    """What is written becomes what the tables say."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| `(.+redacted.+)` \|$", page, re.MULTILINE)
    texts = [row for row in rows if not row[0].startswith("logger.")]
    redact = Redactor().text

    assert texts
    assert [after for _, after in texts] == [redact(before) for before, _ in texts]


def test_settings_of_redaction_are_on_its_page() -> None:
    """Its own page has the settings that this one names, and no other."""
    page = (ROOT / "docs" / "redaction.md").read_text(encoding="utf-8")

    assert {_secrets.KEYS, _secrets.PATTERNS} == set(re.findall(r"PREFECT_INSTR[A-Z_]+", page))


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_examples_stand_whole_in_the_docs(file: Path) -> None:
    """Whoever copies a block has what the repository has."""
    assert file.read_text(encoding="utf-8") in blocks("python")


def test_links_lead_somewhere() -> None:
    """Every link has its heading, in this page or another one, and every file is there."""
    links = re.findall(r"\]\(([^)#]*)(?:#([\w-]+))?\)", PAGE)

    assert links
    for path, anchor in links:
        file = ROOT / "docs" / (path or "logging.md")
        assert file.is_file(), path
        assert not anchor or anchor in _anchors(file), (path, anchor)


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def _is_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith("PREFECT_INSTRUMENTATION_")
