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

from fronts import plain
from prefect_exporter.exposition import (
    Exposition,
    FamilyLines,
    Page,
    Rendered,
    StateFamily,
    assemble,
    render,
)
from prefect_exporter.facts import Exemplar, Series
from prefect_exporter.labels import clip
from prefect_exporter.ledger.tally import Tally
from prefect_exporter.metrics import Counted, Family, Histogram, Kind, Labels, Samples
from prefect_exporter.traces import Trace

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
NEW = ((b"d", b"4.0"), (b"b", b"2.0"), (b"c", b"5.0"))


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
    return list(parse_openmetrics(plain(exposition.openmetrics).decode()))  # type: ignore[no-untyped-call]  # theirs


def names_in(families: Sequence[Metric]) -> set[str]:
    """Return the flows that a parsed page's ends have."""
    samples = [sample for family in families for sample in family.samples]
    return {sample.labels["flow"] for sample in samples if sample.name == ENDS.name}


def test_hostile_names_come_back_from_text() -> None:
    """Whatever names hold, a scraper reads them back as they were, and nothing else."""
    families = list(parse_text(plain(hostile().text).decode()))

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
        ["promtool", "check", "metrics"],
        input=plain(hostile().text),
        capture_output=True,
        check=False,
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
        assert lines_of(at_once.text) == lines_of(in_pieces.text)
        assert lines_of(at_once.openmetrics) == lines_of(in_pieces.openmetrics)


def lines_of(page: Page) -> list[bytes]:
    """Return a page's lines, sorted."""
    return sorted(plain(page).splitlines())


def text_of(family: Rendered) -> bytes:
    """Return the page of one family alone."""
    return plain(assemble(1, [family]).text)


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


def example(number: int, value: float = 1.0) -> Exemplar:
    """Return an exemplar; both its ids and its time are made of the number."""
    return Exemplar(Trace(f"{number:032x}", f"{number:016x}"), value, number)


EXAMPLE = b' # {span_id="%s",trace_id="%s"}' % (b"0" * 15 + b"7", b"0" * 31 + b"7")


def test_exemplars_stand_in_openmetrics_alone() -> None:
    """OpenMetrics has the exemplar on its bucket or counter; the text is as it is without."""
    tally = filled([("a", "b")])
    before = [FamilyLines(family).update(tally) for family in (ENDS, SPENT, LAST)]
    tally = filled([("a", "b")])
    for family, value in ((ENDS, 1.0), (SPENT, 2.5)):
        tally.exemplify(Series(family.name, ("t", "a", "b")), example(7, value))
    after = [FamilyLines(family).update(tally) for family in (ENDS, SPENT, LAST)]
    with_exemplars = assemble(1, after)

    assert assemble(1, before).text == with_exemplars.text
    new = set(lines_of(with_exemplars.openmetrics)) - set(lines_of(assemble(1, before).openmetrics))
    assert {
        b'ends_total{deployment="b",flow="a",target="t"} 0.0%b 1.0 7e-06' % EXAMPLE,
        b'spent_seconds_bucket{deployment="b",flow="a",le="60.0",target="t"} 0.0%b 2.5 7e-06'
        % EXAMPLE,
    } == new


def test_parser_reads_exemplars() -> None:
    """The client library's own parser finds the exemplar where it was put."""
    tally = filled([("a", "b")])
    tally.exemplify(Series(SPENT.name, ("t", "a", "b")), example(1_795_276_800_000_001, 99.5))
    samples = [
        sample
        for family in openmetrics(assemble(1, [FamilyLines(SPENT).update(tally)]))
        for sample in family.samples
        if sample.exemplar
    ]

    (sample,) = samples
    assert ("spent_seconds_bucket", "+Inf") == (sample.name, sample.labels["le"])
    assert sample.exemplar is not None
    assert (99.5, 1_795_276_800.000001) == (
        sample.exemplar.value,
        float(sample.exemplar.timestamp or 0.0),
    )
    assert {"trace_id", "span_id"} == sample.exemplar.labels.keys()


def test_series_without_exemplars_is_kept_once() -> None:
    """Both formats share the lines of a series that has no exemplar."""
    tally = filled([("a", ""), ("b", "")])
    tally.exemplify(Series(ENDS.name, ("t", "a", "")), example(7))
    lines = FamilyLines(ENDS).update(tally)

    pairs = zip(lines.text.plain, lines.openmetrics.plain, strict=True)
    assert [False, True] == sorted(text is other for text, other in pairs)


def test_lost_exemplar_is_shown_no_more() -> None:
    """A series that lost its exemplars, or is gone, leaves nothing of them behind."""
    tally = filled([("a", ""), ("b", "")])
    series = [Series(ENDS.name, ("t", name, "")) for name in ("a", "b")]
    lines = FamilyLines(ENDS)
    for each in series:
        tally.exemplify(each, example(7))
    lines.update(tally)
    tally.forget(series[0])
    tally.forget(series[1])
    tally.load(series[1], 1.0, released=True)
    page = plain(assemble(1, [lines.update(tally)]).openmetrics)

    assert (0, 1) == (page.count(b"trace_id"), page.count(b"ends_total{"))


def test_state_is_read_once() -> None:
    """A family is rendered again where a state is another object, and at no other time."""
    reads: list[int] = []

    def _read(state: list[int]) -> Samples:
        reads.append(len(state))
        yield (), float(sum(state))

    family = StateFamily(Family("odd", Kind.GAUGE, "Odd.", (), _read))
    one, other, twin = [1], [2], [1]
    for states in ([one], [one], [one, other], [other], [], [one], [twin]):
        family.update([("t", state) for state in states])

    assert [1, 1, 1, 1, 1, 1] == reads


@given(
    st.lists(
        st.dictionaries(st.text(max_size=9), st.floats(allow_nan=True), max_size=5), max_size=5
    )
)
def test_states_in_a_row_are_as_rendered_at_once(states: list[dict[str, float]]) -> None:
    """Whatever changed since the state before, the page is, byte for byte, that of the last."""
    family = Family("odd", Kind.GAUGE, "Odd.", ("flow",), _numbers)
    lines = StateFamily(family)
    for state in states:
        in_turn = assemble(1, [lines.update([("t", state)])])
        at_once = assemble(1, [render(family.fill([("t", state)]))])

        assert plain(at_once.text) == plain(in_turn.text)
        assert plain(at_once.openmetrics) == plain(in_turn.openmetrics)


def _numbers(state: dict[str, float]) -> Samples:
    return (((name,), value) for name, value in state.items())


def test_unchanged_samples_are_kept() -> None:
    """Of the next state only the samples that differ are rendered again."""
    family = StateFamily(Family("odd", Kind.GAUGE, "Odd.", ("flow",), _numbers))
    before = [*family.update([("t", {"a": 1.0, "b": 2.0, "c": 3.0})]).text.plain]
    after = [*family.update([("t", {"d": 4.0, "b": 2.0, "c": 5.0})]).text.plain]

    assert [b'odd{flow="%b",target="t"} %b\n' % each for each in NEW] == after
    assert after[1] is before[1]


def test_unchanged_families_are_zipped_once() -> None:
    """A family in which nothing changed is put into the next page as it is."""
    tally, state = filled([("a", "")]), ["a"]
    counted, gauge = FamilyLines(ENDS), StateFamily(ACTIVE)
    before = counted.update(tally), gauge.update([("t", state)])

    assert counted.update(tally) is before[0]
    assert gauge.update([("t", state)]) is before[1]


def test_state_of_another_target_is_another() -> None:
    """The same object shown for two targets is two samples."""
    family, state = StateFamily(ACTIVE), ["a"]
    pages = [text_of(family.update([(target, state)])) for target in ("t", "u")]

    assert [b'target="t"' in pages[0], b'target="u"' in pages[1]] == [True, True]


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
    text, openmetrics = plain(exposition.text), plain(exposition.openmetrics)

    assert openmetrics.endswith(b"\n# EOF\n")
    assert (1, 0) == (openmetrics.count(b"# EOF"), text.count(b"# EOF"))


def test_empty_publication_is_valid() -> None:
    """Before anything is known there is a page, and it parses."""
    exposition = assemble(0, ())

    assert (b"", b"# EOF\n") == (plain(exposition.text), plain(exposition.openmetrics))
    assert [] == openmetrics(exposition)


def test_zipped_pages_are_the_pages() -> None:
    """What is served zipped is what is served plain, and the same each time."""
    one, other = exposed([("a", "b")]), exposed([("a", "b")])

    for page in (one.text, one.openmetrics):
        assert plain(page) == gzip.decompress(page.zipped)
        assert len(plain(page)) == page.size
    assert one.text.zipped == other.text.zipped


def test_page_is_unzipped_in_bounded_pieces() -> None:
    """However large a page is, only a piece of it at a time is plain."""
    page = exposed([(str(number), "\\" * 1000) for number in range(1000)]).text
    sizes = [len(piece) for piece in page.pieces()]

    assert page.size == sum(sizes) > 10 * max(sizes)


def test_no_created_lines() -> None:
    """There are no ``_created`` lines: they would double the counters' series."""
    exposition = exposed([("a", "b")])

    assert [False, False] == [
        b"_created" in plain(page) for page in (exposition.text, exposition.openmetrics)
    ]
