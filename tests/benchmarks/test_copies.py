"""Few real series become many that go on as they would."""

from __future__ import annotations

from bench.copies import Copies

SHOWN = """\
# TYPE runs counter
runs_total{flow="etl",deployment="nightly"} 60.0
# TYPE up gauge
up 1.0
# TYPE due_timestamp_seconds gauge
due_timestamp_seconds{flow="etl",deployment="nightly"} 5000.0
"""


def test_copies_belong_to_others() -> None:
    """What has an owner is copied under other names until there are enough; the rest stays."""
    copies = Copies(SHOWN, 7, since=0.0, now=3600.0)

    assert 7 == len(copies)
    assert [
        'runs_total{flow="etl",deployment="nightly"} 60.0\n',
        'runs_total{flow="etl-000",deployment="nightly-000"} 60.0\n',
        'runs_total{flow="etl-001",deployment="nightly-001"} 60.0\n',
        'due_timestamp_seconds{flow="etl",deployment="nightly"} 5000.0\n',
        'due_timestamp_seconds{flow="etl-000",deployment="nightly-000"} 5000.0\n',
        'due_timestamp_seconds{flow="etl-001",deployment="nightly-001"} 5000.0\n',
        "up{} 1.0\n",
    ] == [*copies.lines(3600.0)]


def test_counters_rise_and_times_move_on() -> None:
    """At half the time a counter has half its value, and what was due was due as much earlier."""
    copies = Copies(SHOWN, 3, since=0.0, now=3600.0)

    assert [
        'runs_total{flow="etl",deployment="nightly"} 30.0 1800\n',
        'due_timestamp_seconds{flow="etl",deployment="nightly"} 3200.0 1800\n',
        "up{} 1.0 1800\n",
    ] == [*copies.lines(1800.0, stamp=" 1800")]
