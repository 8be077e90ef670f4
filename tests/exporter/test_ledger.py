"""The ledger: each fact once, all of a change or nothing, and the same after a restart."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from prefect_exporter.errors import LedgerDamaged, LedgerError, LedgerFull
from prefect_exporter.facts import (
    Add,
    Baseline,
    Change,
    Cursor,
    Fact,
    Latest,
    Observe,
    Retried,
    Series,
)
from prefect_exporter.ledger import Ledger, open_ledger, replace_ledger
from prefect_exporter.ledger.names import DeploymentName
from prefect_exporter.metrics import Counted, Histogram, Kind
from prefect_exporter.moments import DAY, MINUTE

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RUN = UUID(int=7)
FINISHED = Counted("finished_total", Kind.COUNTER, "Ends.", ("flow", "deployment"))
RETRIES = Counted("retries_total", Kind.COUNTER, "Retries.", ("flow", "deployment"))
LAST = Counted("last_seconds", Kind.GAUGE, "The last end.", ("flow",))
SPENT = Counted("spent_seconds", Kind.HISTOGRAM, "Time.", ("flow",), (1.0, 10.0))
FAMILIES = {each.name: each for each in (FINISHED, RETRIES, LAST, SPENT)}
LIMITS = {"deployment": 3, "task": 3}

ENDS = Series(FINISHED.name, ("t", "etl", "daily"))
AGAIN = Series(RETRIES.name, ("t", "etl", "daily"))
SECONDS = Series(SPENT.name, ("t", "etl"))
NEWEST = Series(LAST.name, ("t", "etl"))


def change(*facts: Fact, **fields: Any) -> Change:  # noqa: ANN401  # the change's own fields
    """Return a change of the feed ``rows``."""
    return Change("t", "rows", facts, **fields)


def end(at_us: int, run: UUID = RUN, starts: int = 1) -> Fact:
    """Return the end of a run."""
    return Fact(run, at_us, (Add(ENDS), Retried(AGAIN, starts)))


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture(name="ledger")
def _ledger(path: Path) -> Iterator[Ledger]:
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        yield ledger


def value(ledger: Ledger, series: Series) -> float:
    """Return what was counted, published or not."""
    return ledger.tally.scalars[series.family][series.labels]


def everything(ledger: Ledger) -> tuple[object, ...]:
    """Return all that a restart must bring back."""
    held = set(ledger.tally.held)
    counts = deepcopy((ledger.tally.scalars, ledger.tally.histograms))
    return *counts, held, ledger.cursor("t", "rows")


def test_fact_counts_once(ledger: Ledger) -> None:
    """The same run and time count once, within a change and over many."""
    fresh = [ledger.commit(change(end(5), end(5))), ledger.commit(change(end(5)))]

    assert ([1, 0], 1.0) == (fresh, value(ledger, ENDS))


def test_key_is_run_and_time(ledger: Ledger) -> None:
    """Another end of the same run, and another run at the same time, are facts of their own."""
    ledger.commit(change(end(5), end(6), end(5, UUID(int=8))))

    assert 3.0 == value(ledger, ENDS)


def test_feeds_and_targets_have_their_own_keys(ledger: Ledger) -> None:
    """What one feed has counted says nothing about another one."""
    fresh = [
        ledger.commit(Change(target, feed, (end(5),)))
        for target, feed in [("t", "rows"), ("t", "starts"), ("u", "rows")]
    ]

    assert [1, 1, 1] == fresh


@pytest.mark.parametrize(
    ("distance", "expected"), [(0, 0), (1000, 0), (-1000, 0), (1001, 1), (-1001, 1)]
)
def test_tolerance_is_the_widest_difference_of_one_fact(
    ledger: Ledger, distance: int, expected: int
) -> None:
    """Within the tolerance another time of the same run is the same fact, beyond it is not."""
    ledger.commit(change(end(5000)))

    assert expected == ledger.commit(change(end(5000 + distance), tolerance_us=1000))


def test_tolerance_is_of_one_run(ledger: Ledger) -> None:
    """Two runs that end at nearly the same time are two facts."""
    ledger.commit(change(end(5000)))

    assert 1 == ledger.commit(change(end(5001, UUID(int=8)), tolerance_us=1000))


def test_unseen_tells_what_is_not_counted(ledger: Ledger) -> None:
    """Keys that were counted are left out, those close to them only where that is asked."""
    ledger.commit(change(end(5000)))
    keys = [(RUN, 5000), (RUN, 5001), (UUID(int=8), 5000)]

    assert set(keys[1:]) == ledger.unseen("t", "rows", keys)
    assert set(keys[2:]) == ledger.unseen("t", "rows", keys, 1)
    assert set(keys) == ledger.unseen("t", "starts", keys)


def test_every_effect_is_taken(ledger: Ledger) -> None:
    """One fact may count, observe and set a newest time."""
    ledger.commit(change(Fact(RUN, 5, (Add(ENDS, 2.0), Observe(SECONDS, 3.0), Latest(NEWEST, 9)))))

    assert (2.0, 9.0) == (value(ledger, ENDS), value(ledger, NEWEST))
    assert Histogram((0, 1, 0), 3.0) == ledger.tally.histograms[SPENT.name]["t", "etl"]


def test_newest_time_does_not_fall(ledger: Ledger) -> None:
    """A late fact does not set the newest time back."""
    for number, at in enumerate([9.0, 4.0]):
        ledger.commit(change(Fact(RUN, number, (Latest(NEWEST, at),))))

    assert 9.0 == value(ledger, NEWEST)


@pytest.mark.parametrize(
    ("run_counts", "expected"),
    [([1], 0), ([3], 2), ([1, 2], 1), ([2, 3], 2), ([3, 3], 2), ([3, 2], 2), ([0], 0), ([-5], 0)],
    ids=str,
)
def test_each_start_counts_once(ledger: Ledger, run_counts: list[int], expected: int) -> None:
    """Over all ends of a run, retries are its starts beyond the first, each counted once."""
    for at_us, starts in enumerate(run_counts):
        ledger.commit(change(end(at_us, starts=starts)))

    assert expected == value(ledger, AGAIN)


def test_starts_are_remembered_over_restart(path: Path) -> None:
    """A manual retry after a restart does not count the earlier retries again."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5, starts=3)))
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(6, starts=4)))

        assert 3.0 == value(ledger, AGAIN)


def test_seed_exists_at_zero(ledger: Ledger) -> None:
    """A seed makes a series that was not there, and leaves one that was."""
    ledger.commit(change(end(5)))
    ledger.commit(change(seeds=(ENDS, Series(FINISHED.name, ("t", "etl", "new")), SECONDS)))

    assert {("t", "etl", "daily"): 1.0, ("t", "etl", "new"): 0.0} == ledger.tally.scalars[
        FINISHED.name
    ]
    assert Histogram((0, 0, 0)) == ledger.tally.histograms[SPENT.name]["t", "etl"]


def test_restart_brings_everything_back(path: Path) -> None:
    """Counts, histograms, marks, keys, and what is held are as they were."""
    facts = (end(5, starts=2), Fact(RUN, 9, (Observe(SECONDS, 3.0), Latest(NEWEST, 2.0))))
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(*facts, cursors={"rows": Cursor(1, 2, 3, 4)}))
        ledger.release([ENDS])
        before = everything(ledger)
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        after = everything(ledger)

        assert before == after
        assert {AGAIN, SECONDS} == set(ledger.tally.held)
        assert 0 == ledger.commit(change(*facts))


def test_one_change_may_carry_two_marks(ledger: Ledger) -> None:
    """A feed that counts with the keys of another one keeps a mark of its own."""
    ledger.commit(change(cursors={"rows": Cursor(1, 1), "events": Cursor(2, 2)}))

    assert (Cursor(1, 1), Cursor(2, 2), None) == (
        ledger.cursor("t", "rows"),
        ledger.cursor("t", "events"),
        ledger.cursor("u", "rows"),
    )


def test_feed_without_a_mark_has_none_after_restart(path: Path) -> None:
    """Keys alone do not make a feed one that has read."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5)))
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        assert None is ledger.cursor("t", "rows")


def test_defect_in_a_change_keeps_nothing(ledger: Ledger, path: Path) -> None:
    """A change that cannot be counted whole leaves file and memory as they were."""
    ledger.commit(change(end(1)))
    before = everything(ledger)
    unknown = Fact(RUN, 6, (Observe(Series("unknown", ("t",)), 1.0),))

    with pytest.raises(KeyError):
        ledger.commit(change(end(5), unknown, cursors={"rows": Cursor(1, 2)}))

    assert before == everything(ledger)
    ledger.close()
    with closing(Ledger(path, FAMILIES, LIMITS)) as after:
        assert before == everything(after)


def _commit(ledger: Ledger) -> None:
    ends = (end(at_us) for at_us in range(20_000))
    ledger.commit(change(*ends, cursors={"rows": Cursor(0, 9)}))


def _admit(ledger: Ledger) -> None:
    ledger.admit("t", "deployment", [("etl", "x" * 500_000)])


def _remember(ledger: Ledger) -> None:
    rows = [DeploymentName(UUID(int=n), "etl", "x" * 1000) for n in range(1000)]
    ledger.remember_deployments("t", rows)


@pytest.fixture(name="full")
def _full(tmp_path: Path) -> Iterator[Path]:
    """A disk that one of our changes fills."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("act", [_commit, _admit, _remember])
def test_full_disk_keeps_memory_and_file_alike(full: Path, act: Callable[[Ledger], None]) -> None:
    """What does not fit is neither in the file nor in memory, and what fits still goes in."""
    with closing(Ledger(full / "ledger", FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(-1), cursors={"rows": Cursor(0, 1)}))
        before = everything(ledger)

        with pytest.raises(LedgerFull, match="disk is full"):
            act(ledger)

        assert before == everything(ledger)
        assert None is ledger.names.deployment("t", UUID(int=5))
        assert {("etl", "a"): ("etl", "a")} == ledger.admit("t", "deployment", [("etl", "a")])
        assert 1 == ledger.commit(change(end(-2)))


def test_names_are_as_the_file_has_them_after_a_full_disk(full: Path) -> None:
    """A name that found no room has no place in memory either."""
    with closing(Ledger(full / "ledger", FAMILIES, LIMITS)) as ledger:
        with pytest.raises(LedgerError):
            ledger.admit("t", "deployment", [("etl", str(n) + "x" * 200_000) for n in range(3)])

        places = ledger.admit("t", "deployment", [("etl", name) for name in "abc"])
        assert all(name == place for name, place in places.items())


def test_baseline_is_replaced_by_range(ledger: Ledger) -> None:
    """A new reading takes the place of what was known of its minutes, and of no others."""
    ledger.commit(change(baseline=Baseline(10, 14, {10: 1, 11: 2, 13: 3})))
    ledger.commit(change(baseline=Baseline(11, 13, {12: 9})))

    assert {10: 1, 12: 9, 13: 3} == ledger.baseline("t", "rows", 0, 99)
    assert {12: 9} == ledger.baseline("t", "rows", 11, 13)
    assert {} == ledger.baseline("u", "rows", 0, 99)


def test_prune_forgets_what_is_older(ledger: Ledger) -> None:
    """Keys and baseline from before a time go; what is at it or later stays, and so do counts."""
    limit = 100 * MINUTE
    kept = change(end(limit - 1), end(limit), baseline=Baseline(99, 101, {99: 1, 100: 2}))
    ledger.commit(replace(kept, cursors={"rows": Cursor(1, limit)}))
    ledger.prune("t", "rows", limit)

    assert {(RUN, limit - 1)} == ledger.unseen("t", "rows", [(RUN, limit - 1), (RUN, limit)])
    assert {100: 2} == ledger.baseline("t", "rows", 0, 999)
    assert 2.0 == value(ledger, ENDS)


def test_feed_begins_where_keys_were_forgotten(path: Path) -> None:
    """What has no key any more is older than the feed's origin, also after a restart."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5), cursors={"rows": Cursor(1, 90, 91, 92)}))
        ledger.prune("t", "rows", 50)
        ledger.prune("t", "rows", 40)
        origins = [ledger.cursor("t", "rows")]
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        origins.append(ledger.cursor("t", "rows"))

    assert [Cursor(50, 90, 91, 92)] * 2 == origins


def test_origin_does_not_fall(path: Path) -> None:
    """A poll that began before keys were forgotten does not take the origin back."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5), cursors={"rows": Cursor(1, 90)}))
        ledger.prune("t", "rows", 50)
        ledger.commit(change(cursors={"rows": Cursor(1, 95)}))
        after = [ledger.cursor("t", "rows")]
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        after.append(ledger.cursor("t", "rows"))

    assert [Cursor(50, 95)] * 2 == after


def test_prune_keeps_to_its_feed(ledger: Ledger) -> None:
    """Another feed's keys stay."""
    for feed in ("rows", "other"):
        ledger.commit(Change("t", feed, (end(5),), cursors={feed: Cursor(1, 90)}))
    ledger.prune("t", "other", 50)

    assert set() == ledger.unseen("t", "rows", [(RUN, 5)])
    assert {(RUN, 5)} == ledger.unseen("t", "other", [(RUN, 5)])


def test_starts_are_remembered_for_a_week(ledger: Ledger) -> None:
    """A run's starts outlive its key by a week, for a manual retry."""
    ledger.commit(change(end(5, starts=3), cursors={"rows": Cursor(1, 90)}))
    ledger.prune("t", "rows", 5 + 7 * DAY)
    ledger.commit(change(end(6, starts=4)))
    kept = value(ledger, AGAIN)
    ledger.prune("t", "rows", 7 + 7 * DAY)
    ledger.commit(change(end(7, starts=4)))

    assert (3.0, 6.0) == (kept, value(ledger, AGAIN))


def test_new_counters_and_histograms_are_held(ledger: Ledger) -> None:
    """What counts is published at 0 first; a newest time is shown at once."""
    ledger.commit(change(Fact(RUN, 5, (Add(ENDS), Observe(SECONDS, 3.0), Latest(NEWEST, 2.0)))))

    shown = [ledger.tally.shown(series) for series in (ENDS, SECONDS, NEWEST)]
    assert [0.0, Histogram((0, 0, 0)), 2.0] == shown


@pytest.mark.parametrize("series", [ENDS, SECONDS], ids=["counter", "histogram"])
def test_release_is_for_good(path: Path, series: Series) -> None:
    """A released series shows its value, also after later counts and a restart."""
    fact = Fact(RUN, 5, (Add(ENDS), Observe(SECONDS, 3.0)))
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(fact))
        ledger.release([series])
        ledger.commit(change(Fact(RUN, 6, fact.effects)))

        assert series not in ledger.tally.held
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        assert {ENDS, SECONDS} - {series} == set(ledger.tally.held)


def test_other_bounds_begin_anew(path: Path) -> None:
    """Where a histogram's bounds were changed it starts empty; the others stay."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(Fact(RUN, 5, (Add(ENDS), Observe(SECONDS, 3.0)))))
    other = Counted(SPENT.name, SPENT.kind, SPENT.help, SPENT.labels, (2.0,))
    with closing(Ledger(path, FAMILIES | {SPENT.name: other}, LIMITS)) as ledger:
        assert {} == ledger.tally.histograms[SPENT.name]
        ledger.commit(change(Fact(RUN, 6, (Observe(SECONDS, 3.0),))))
    with closing(Ledger(path, FAMILIES | {SPENT.name: other}, LIMITS)) as ledger:
        assert Histogram((0, 1), 3.0) == ledger.tally.histograms[SPENT.name]["t", "etl"]
        assert 1.0 == value(ledger, ENDS)


def test_families_that_are_gone_do_not_matter(path: Path) -> None:
    """A ledger with counts of families that no collector has any more still opens."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(Fact(RUN, 5, (Add(ENDS), Observe(SECONDS, 3.0)))))
    with closing(Ledger(path, {FINISHED.name: FINISHED}, LIMITS)) as ledger:
        assert 1 == len(ledger.tally)


DAILY = DeploymentName(UUID(int=21), "etl", "daily")
NIGHTLY = DeploymentName(UUID(int=22), "etl", "nightly")


def with_deployments(ledger: Ledger) -> None:
    """Let two deployments be known, and the first one have counted."""
    ledger.remember_deployments("t", [DAILY, NIGHTLY])
    ledger.admit("t", "deployment", [("etl", "daily"), ("etl", "nightly")])
    ledger.commit(change(end(5), seeds=(Series(FINISHED.name, ("t", "etl", "nightly")), SECONDS)))


def test_deleted_deployment_retires(ledger: Ledger, path: Path) -> None:
    """After its time a deleted deployment's series go from memory and file; others stay."""
    with_deployments(ledger)
    went = [ledger.retire("t", {NIGHTLY.id}, now_us, 100) for now_us in (0, 100, 101)]

    assert [0, 0, 1] == went
    assert {("t", "etl", "nightly"): 0.0} == ledger.tally.scalars[FINISHED.name]
    assert {("t", "etl")} == set(ledger.tally.histograms[SPENT.name])
    before = everything(ledger)
    ledger.close()
    with closing(Ledger(path, FAMILIES, LIMITS)) as after:
        assert before == everything(after)
        assert None is after.names.deployment("t", DAILY.id)


def test_retired_name_gives_its_place_back(ledger: Ledger) -> None:
    """A new name may have the place of a retired one."""
    with_deployments(ledger)
    ledger.admit("t", "deployment", [("etl", "third")])
    for now_us in (0, 101):
        ledger.retire("t", {NIGHTLY.id}, now_us, 100)

    assert {("etl", "new"): ("etl", "new")} == ledger.admit("t", "deployment", [("etl", "new")])


def test_name_that_was_made_again_does_not_retire(ledger: Ledger) -> None:
    """A deployment that was deleted and made again under its name keeps its counters."""
    with_deployments(ledger)
    again = DeploymentName(UUID(int=23), "etl", "daily")
    ledger.retire("t", {NIGHTLY.id}, 0, 100)
    ledger.remember_deployments("t", [again])

    assert 0 == ledger.retire("t", {NIGHTLY.id, again.id}, 101, 100)
    assert 1.0 == value(ledger, ENDS)


def test_deployment_that_is_listed_again_stays(ledger: Ledger) -> None:
    """A listing may miss one while others are deleted; the time it is gone begins anew then."""
    with_deployments(ledger)
    ledger.retire("t", {NIGHTLY.id}, 0, 100)
    ledger.remember_deployments("t", [DAILY, NIGHTLY])
    ledger.retire("t", {DAILY.id, NIGHTLY.id}, 50, 100)

    assert 0 == ledger.retire("t", {DAILY.id, NIGHTLY.id}, 101, 100)
    assert 1.0 == value(ledger, ENDS)


def test_other_targets_do_not_retire(ledger: Ledger) -> None:
    """A listing of one target says nothing about another one's deployments."""
    with_deployments(ledger)
    for now_us in (0, 101):
        ledger.retire("u", set(), now_us, 100)

    assert DAILY == ledger.names.deployment("t", DAILY.id)


def damage(path: Path, table: str) -> None:
    """Overwrite the page at which a table begins."""
    with closing(sqlite3.connect(path)) as con:
        (page,) = con.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        (size,) = con.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("table", ["scalar", "name", "feed"])
def test_damaged_table_is_moved_aside(path: Path, table: str) -> None:
    """Damage inside a ledger that still opens as a database is found at the start."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5)))
    damage(path, table)

    with capture_logs() as logs, closing(open_ledger(path, FAMILIES, LIMITS, NOW)) as ledger:
        assert 1 == ledger.commit(change(end(5)))
    assert ["ledger.replaced"] == [line["event"] for line in logs]


def test_damage_at_run_time_is_replaced(path: Path) -> None:
    """Damage that opening does not read is met by a commit; a new ledger then takes its place."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5)))
    damage(path, "seen")
    with closing(open_ledger(path, FAMILIES, LIMITS, NOW)) as ledger, pytest.raises(LedgerDamaged):
        ledger.commit(change(end(6)))
    with capture_logs() as logs, closing(replace_ledger(path, FAMILIES, LIMITS, NOW)) as ledger:
        assert 1 == ledger.commit(change(end(6)))
        assert NOW.timestamp() == ledger.replaced_seconds

    assert ["ledger.replaced"] == [line["event"] for line in logs]
    assert 2 == len(list(path.parent.iterdir()))


def test_damage_at_run_time_keeps_nothing(path: Path) -> None:
    """A commit that meets damage says so, and memory stays at what was kept before."""
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        ledger.commit(change(end(5)))
    damage(path, "baseline")
    with closing(Ledger(path, FAMILIES, LIMITS)) as ledger:
        before = everything(ledger)
        baseline = Baseline(1, 2, {1: 1})
        with pytest.raises(LedgerDamaged, match="is damaged"):
            ledger.commit(change(end(6), cursors={"rows": Cursor(0, 9)}, baseline=baseline))
        assert before == everything(ledger)


def test_size_is_that_of_the_file(ledger: Ledger, path: Path) -> None:
    """The size is what the disk gives for it."""
    assert path.stat().st_size == ledger.size_bytes() > 0
