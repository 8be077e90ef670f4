"""The failed runs of a period, their signatures, and their groups."""

from __future__ import annotations

from prefect_exporter.failures.model import Basis, Failed
from prefect_exporter.report.failed import BUCKETS, failed_runs, failures, groups
from report.worlds import NOW_US, workspace

HOUR, DAY = 3600.0, 86_400.0
RAISED = "Flow run encountered an exception:"
MESSAGE = f"{RAISED} ConnectionError: no answer from 10.0.0.{{}}"
TRACEBACK = """Encountered exception during execution: ConnectionError('no answer')
Traceback (most recent call last):
  File "/srv/shop/flows/etl.py", line 7, in etl
    load()
  File "/srv/shop/flows/etl.py", line 3, in load
    raise ConnectionError("no answer")
ConnectionError: no answer
"""


def test_failed_crashed_and_timed_out_runs_are_told_in_the_order_of_their_ends() -> None:
    """Others are not, nor what ended outside the period."""
    with workspace() as world:
        etl = world.flow("etl")
        nightly = world.deployment(etl, "nightly")
        world.run(etl, nightly, ended_ago=HOUR, state="TimedOut", message="too long")
        world.run(etl, ended_ago=2 * HOUR, state="Crashed", message="gone")
        world.run(etl, ended_ago=3 * HOUR, state="Failed", message="no such table")
        world.run(etl, ended_ago=8 * DAY, state="Failed", message="the week before")
        for state in ("Completed", "Cancelled", "Running", "Late"):
            world.run(etl, ended_ago=HOUR, state=state)
        look = world.workspace
        found = list(failed_runs(look, look.period))

        assert [
            ("etl", "", "FAILED", "Failed", "no such table"),
            ("etl", "", "CRASHED", "Crashed", "gone"),
            ("etl", "nightly", "FAILED", "TimedOut", "too long"),
        ] == [each_of(found_one) for found_one in found]
        assert found[-1].ended_us == NOW_US - round(HOUR * 1_000_000)


def each_of(failed: Failed) -> tuple[str, str, str, str, str]:
    """Return what is compared of it."""
    return failed.flow, failed.deployment, failed.state_type, failed.state_name, failed.message


def test_period_before_is_told_apart() -> None:
    """What failed then is not of this period, and the other way round."""
    with workspace(compare=True) as world:
        etl = world.flow("etl")
        world.run(etl, ended_ago=HOUR, state="Failed", message=f"{RAISED} KeyError: 'a'")
        world.run(etl, ended_ago=8 * DAY, state="Failed", message=f"{RAISED} ValueError: b")
        look = world.workspace

        assert ["KeyError"] == [each.signature.type for each in groups(look, look.period)]
        assert ["ValueError"] == [each.signature.type for each in groups(look, look.period.before)]


def test_traceback_of_one_run_is_that_of_all_that_are_alike() -> None:
    """Logs are read of a few runs: the others of the same error are of their group."""
    with workspace() as world:
        etl = world.flow("etl")
        runs = [
            world.run(
                etl,
                ended_ago=HOUR * number,
                seconds=60,
                state="Failed",
                message=MESSAGE.format(number),
            )
            for number in range(1, 9)
        ]
        world.log(runs[3], TRACEBACK)
        look = world.workspace
        found = failures(look, look.period)

        (group,) = found.groups
        assert group.count == 8
        assert group.signature.basis is Basis.TRACEBACK
        assert group.signature.category == "upstream"
        assert group.signature.places[-1].endswith("etl.py:load")
        assert {group.signature.id: 480.0} == found.seconds
        assert len(found.signatures) == 8


def test_buckets_are_equal_parts_of_the_period() -> None:
    """The newest failure is in the last one, so that halves of them are halves of the time."""
    with workspace() as world:
        etl = world.flow("etl")
        world.run(etl, ended_ago=1, state="Failed", message=f"{RAISED} KeyError: 'a'")
        world.run(etl, ended_ago=7 * DAY - 1, state="Failed", message=f"{RAISED} KeyError: 'a'")
        look = world.workspace
        (group,) = groups(look, look.period)

        assert BUCKETS == len(group.buckets)
        assert (1, 1) == (group.buckets[0], group.buckets[-1])


def test_runs_of_a_deleted_deployment_have_a_name() -> None:
    """Failures outlive their deployment, and their flow."""
    with workspace() as world:
        etl = world.flow("etl")
        gone = world.flow("gone")
        nightly = world.deployment(etl, "nightly")
        world.run(etl, nightly, ended_ago=HOUR, state="Failed", message=f"{RAISED} KeyError: 'a'")
        world.run(gone, ended_ago=HOUR, state="Failed", message=f"{RAISED} KeyError: 'a'")
        world.store.database.execute("DELETE FROM objects WHERE id != ?", (str(etl),))
        look = world.workspace
        (group,) = groups(look, look.period)

        assert {"(deleted)": 1, "etl/(deleted)": 1} == dict(group.flows)


def test_workspace_is_asked_once() -> None:
    """Many checks ask for the same: all get the same answer."""
    with workspace() as world:
        look = world.workspace

        assert failures(look, look.period) is failures(look, look.period)
        assert failures(look, look.period) is not failures(look, look.period.before)
        assert failures(look, look.period) is not failures(world.workspace, look.period)
