"""The exposition: both formats, whole, and readable whatever runs are called."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from prefect_exporter.exposition import Exposition, FamilyLines, Rendered, assemble, render
from prefect_exporter.facts import Series
from prefect_exporter.labels import clip
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.metrics import Counted, Family, Histogram, Kind, Labels, Samples

ENDS = Counted("ends_total", Kind.COUNTER, 'Ends, "all" of them.', ("flow", "deployment"))
SPENT = Counted("spent_seconds", Kind.HISTOGRAM, "Time.", ("flow", "deployment"), (0.1, 60.0))
LAST = Counted("last_seconds", Kind.GAUGE, "The last.", ("flow", "deployment"))


def _active(names: Sequence[str]) -> Samples:
    return (((name,), 1.0) for name in set(names))


ACTIVE = Family("active", Kind.GAUGE, "Now.", ("flow",), _active)


HOSTILE = (
    "",
    " ",
    "\n",
    "a\nfake_total 1",
    "a\r\nb",
    '"',
    '",x="',
    "\\",
    "\\n",
    "a\\",
    '\\"',
    "}",
    "{} 1 # EOF",
    "# EOF",
    "\x00\x01\x7f",
    "\u2028\u2029\x85",
    "naïve ☃ 🎉",
    "x" * 10_000,
    "\\" * 10_000,
)


OLD = ((b"b", b"1.0"), (b"c", b"2.0"))


def filled(names: Sequence[Labels]) -> Tally:
    """Return a tally that has counted something for each name."""
    tally = Tally({each.name: each for each in (ENDS, SPENT, LAST)})
    for number, name in enumerate(names):
        labels = ("t", *name)
        tally.load(Series(ENDS.name, labels), float(number), released=True)
        tally.load(Series(LAST.name, labels), 1.7e9 + number / 3, released=True)
        tally.load(Series(SPENT.name, labels), Histogram((number, 0, 1), 61.5), released=True)
    return tally


def exposed(names: Sequence[Labels]) -> Exposition:
    """Return a publication of counts under these names."""
    tally = filled(names)
    counted = [FamilyLines(family).update(tally) for family in (ENDS, SPENT, LAST)]
    gauge = render(ACTIVE.fill([("t", [name for name, _ in names])]))
    return assemble(1, [*counted, gauge])


def hostile() -> Exposition:
    """Return a publication under all the bad names, clipped as collectors clip them."""
    return exposed([(clip(name), clip(name[::-1])) for name in HOSTILE])


def openmetrics(exposition: Exposition) -> list[Metric]:
    """Return the page read as OpenMetrics."""
    return list(parse_openmetrics(exposition.openmetrics.decode()))  # type: ignore[no-untyped-call]  # theirs


def names_in(families: Sequence[Metric]) -> set[str]:
    """Return the flows that a parsed page's ends have."""
    samples = [sample for family in families for sample in family.samples]
    return {sample.labels["flow"] for sample in samples if sample.name == ENDS.name}


def test_hostile_names_come_back_from_text() -> None:
    """Whatever names hold, a scraper reads them back as they were, and nothing else."""
    families = list(parse_text(hostile().text.decode()))

    # The parser of this format takes \\r for a part of the line's end.
    assert {clip(name) for name in HOSTILE} == names_in(families)
    assert {"ends", "spent_seconds", "last_seconds", "active"} == {each.name for each in families}


def test_hostile_names_come_back_from_openmetrics() -> None:
    """The same by the other format."""
    families = openmetrics(hostile())

    assert {clip(name) for name in HOSTILE} == names_in(families)
    assert {"ends", "spent_seconds", "last_seconds", "active"} == {each.name for each in families}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Prometheus")
def test_prometheus_reads_hostile_names() -> None:
    """Prometheus' own parser takes the page."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=hostile().text, capture_output=True, check=False
    )

    # 3: it reads them, and has remarks on the style of the names that this test made up.
    assert done.returncode in (0, 3), done.stderr.decode()


@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=5, unique=True
    )
)
def test_lines_of_a_family_are_as_rendered_at_once(names: list[Labels]) -> None:
    """A family that is put together of series is, byte for byte, the one rendered whole."""
    tally = filled(names)
    for family in (ENDS, SPENT, LAST):
        series = [(("t", *name), tally.shown(Series(family.name, ("t", *name)))) for name in names]
        whole = render(family.fill([(at, value) for at, value in series if value is not None]))
        pieces = FamilyLines(family).update(tally)

        at_once, in_pieces = assemble(1, [whole]), assemble(1, [pieces])
        assert sorted(at_once.text.splitlines()) == sorted(in_pieces.text.splitlines())
        assert sorted(at_once.openmetrics.splitlines()) == sorted(
            in_pieces.openmetrics.splitlines()
        )


def text_of(family: Rendered) -> bytes:
    """Return the page of one family alone."""
    return assemble(1, [family]).text


def test_only_changed_series_are_rendered_again() -> None:
    """A change shows, what did not change stays, what is gone goes."""
    tally = filled([("a", ""), ("b", ""), ("c", "")])
    lines = FamilyLines(ENDS)
    before = text_of(lines.update(tally)).splitlines()
    tally.load(Series(ENDS.name, ("t", "b", "")), 7.0, released=True)
    tally.forget(Series(ENDS.name, ("t", "c", "")))
    after = text_of(lines.update(tally)).splitlines()

    gone = {b'ends_total{deployment="",flow="%b",target="t"} %b' % each for each in OLD}
    new = {b'ends_total{deployment="",flow="b",target="t"} 7.0'}
    assert set(before) - gone | new == set(after)


def test_family_without_series_is_not_there() -> None:
    """A family that has counted nothing has no head either, also after its last series went."""
    tally = filled([])
    lines = FamilyLines(ENDS)
    empty = text_of(lines.update(tally))
    tally.load(Series(ENDS.name, ("t", "a", "")), 1.0, released=True)
    lines.update(tally)
    tally.forget(Series(ENDS.name, ("t", "a", "")))

    assert (b"", b"") == (empty, text_of(lines.update(tally)))


def test_openmetrics_ends_once() -> None:
    """The end of the page is marked once, at its end; the text format has no such mark."""
    exposition = exposed([("a", "b")])

    assert exposition.openmetrics.endswith(b"\n# EOF\n")
    assert (1, 0) == (exposition.openmetrics.count(b"# EOF"), exposition.text.count(b"# EOF"))


def test_empty_publication_is_valid() -> None:
    """Before anything is known there is a page, and it parses."""
    exposition = assemble(0, ())

    assert (b"", b"# EOF\n") == (exposition.text, exposition.openmetrics)
    assert [] == openmetrics(exposition)


def test_zipped_pages_are_the_pages() -> None:
    """What is served zipped is what is served plain, and the same each time."""
    one, other = exposed([("a", "b")]), exposed([("a", "b")])

    assert one.text == gzip.decompress(one.text_gzip)
    assert one.openmetrics == gzip.decompress(one.openmetrics_gzip)
    assert one.text_gzip == other.text_gzip


def test_no_created_lines() -> None:
    """There are no ``_created`` lines: they would double the counters' series."""
    exposition = exposed([("a", "b")])

    assert (0, 0) == (exposition.text.count(b"_created"), exposition.openmetrics.count(b"_created"))
