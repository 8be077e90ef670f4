"""Concurrency limits: what each is for, how full it is, and whether anybody holds its slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fakes import FakePrefect
from prefect_exporter.collectors.base import Context
from prefect_exporter.collectors.concurrency_limits import (
    ConcurrencyLimitCollector,
    ConcurrencyLimits,
)
from prefect_exporter.errors import Rejected
from prefect_exporter.wire import ConcurrencyLimit, TagLimit
from scripted import Scripted, answer
from scripted import run as run_scripted
from worlds import (
    collecting,
    deployment,
    deployment_id,
    poll,
    prefect_of,
    put,
    run_id,
    samples,
    task_run,
    waiting,
)

RECORDED = {
    "id": "1fa89563-6bda-4f5e-99e2-797d46c8bad4",
    "created": "2026-11-21T17:35:59.987422Z",
    "updated": "2026-11-21T17:36:19.361000Z",
}
RECORDED_LIMIT = {
    **RECORDED,
    "active": True,
    "name": "tag:db",
    "limit": 5,
    "active_slots": 3,
    "slot_decay_per_second": 0.0,
}
RECORDED_TAG = {
    **RECORDED,
    "tag": "db",
    "concurrency_limit": 5,
    "active_slots": ["99ba34a2-9adc-4916-8a16-50bfe9044344"],
}


def polled(context: Context) -> ConcurrencyLimits:
    """Poll once."""
    return poll(ConcurrencyLimitCollector(context.settings), context)


def shown(state: ConcurrencyLimits, part: str = "holders") -> dict[str, float]:
    """Return one family of a state, by limit and kind."""
    prefix = f"prefect_concurrency_limit_{part}{{"
    return {
        name.removeprefix(prefix).removesuffix("}"): value
        for name, value in samples(ConcurrencyLimitCollector.families, state).items()
        if name.startswith(prefix)
    }


def tags_of(prefect: FakePrefect, **holders: list[int]) -> FakePrefect:
    """Let each tag have a limit of 9, and its slots be held by the task runs of these numbers."""
    for tag, numbers in holders.items():
        prefect.limit_rows.append(ConcurrencyLimit(f"tag:{tag}", 9, float(len(numbers))))
        prefect.tag_rows.append(TagLimit(tag, 9, [run_id(number) for number in numbers]))
    return prefect


def limited(prefect: FakePrefect, number: int, used: float = 1.0) -> None:
    """Let a deployment have a limit."""
    prefect.limit_rows.append(ConcurrencyLimit(f"deployment:{deployment_id(number)}", 2, used))


def test_slots_of_a_tag_that_nobody_holds_show(tmp_path: Path) -> None:
    """Task runs that ended or are gone hold nothing, though Prefect still lists them."""
    prefect = tags_of(prefect_of(), db=[1, 2, 3, 4], idle=[])
    put(prefect, task_run(1, 5), task_run(2, 5, "CRASHED"), task_run(3, None, "RUNNING"))
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert {'kind="tag",limit="db"': 4.0, 'kind="tag",limit="idle"': 0.0} == (
        shown(state, "slots_used")
    )
    assert {'kind="tag",limit="db"': 1.0, 'kind="tag",limit="idle"': 0.0} == shown(state)


@pytest.mark.parametrize(
    ("state_type", "state_name", "holds"),
    [
        ("PENDING", "Pending", True),
        ("RUNNING", "Running", True),
        ("CANCELLING", "Cancelling", True),
        ("SCHEDULED", "AwaitingRetry", True),
        ("SCHEDULED", "AwaitingConcurrencySlot", False),
        ("SCHEDULED", "Late", False),
        ("SCHEDULED", "Scheduled", False),
        ("SCHEDULED", "A name of the user's", False),
        ("PAUSED", "Paused", False),
        ("COMPLETED", "Completed", False),
    ],
    ids=str,
)
def test_state_tells_whether_a_run_holds_a_slot(
    tmp_path: Path, state_type: str, state_name: str, *, holds: bool
) -> None:
    """A deployment's slot is held from PENDING to the end, over retries too."""
    prefect = prefect_of()
    put(prefect, deployment(1, "daily"), deployment(2, "other one"))
    put(prefect, waiting(1, state_type, state_name, deployment_id=deployment_id(1)))
    put(prefect, waiting(2, state_type, state_name, deployment_id=deployment_id(2)))
    limited(prefect, 1)
    with collecting(tmp_path, prefect) as context:
        assert {'kind="deployment",limit="etl/daily"': float(holds)} == shown(polled(context))


def test_holders_of_global_limits_are_not_known(tmp_path: Path) -> None:
    """Prefect does not say who holds a global limit, so no number is made up."""
    prefect = prefect_of(
        limit_rows=[ConcurrencyLimit("api", 9, 2.5), ConcurrencyLimit("deployment:x", 1, 0.0)]
    )
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert {'kind="global",limit="api"': 2.5, 'kind="global",limit="deployment:x"': 0.0} == (
        shown(state, "slots_used")
    )
    assert {} == shown(state)


def test_limit_that_is_switched_off_is_not_shown(tmp_path: Path) -> None:
    """What limits nothing has no slots, neither in its own list nor in that of tags."""
    prefect = tags_of(prefect_of(), on=[])
    prefect.limit_rows.append(ConcurrencyLimit("tag:off", 9, 0.0, active=False))
    prefect.tag_rows.append(TagLimit("off", 9))
    with collecting(tmp_path, prefect) as context:
        assert {'kind="tag",limit="on"': 9.0} == shown(polled(context), "slots")


def test_nothing_used_asks_for_no_runs(tmp_path: Path) -> None:
    """Where no slot is used there are no holders, and nobody is asked for them."""
    prefect = tags_of(prefect_of(), idle=[])
    put(prefect, deployment(1, "daily"))
    limited(prefect, 1, used=0.0)
    with collecting(tmp_path, prefect) as context:
        poll(ConcurrencyLimitCollector(context.settings), context)
        prefect.asked.clear()
        state = polled(context)

    assert ["v2/concurrency_limits/filter", "concurrency_limits/filter"] == prefect.asked
    assert {'kind="tag",limit="idle"': 0.0, 'kind="deployment",limit="etl/daily"': 0.0} == (
        shown(state)
    )


def test_holders_are_asked_for_together(tmp_path: Path) -> None:
    """However many limits are used, their runs come in common pages."""
    prefect = tags_of(prefect_of(), a=[1], b=[2], c=[1, 2])
    put(prefect, *(task_run(number, None, "RUNNING") for number in (1, 2)))
    for number in range(5):
        put(prefect, deployment(number, f"d{number}"))
        put(prefect, waiting(number, "RUNNING", "Running", deployment_id=deployment_id(number)))
        limited(prefect, number)
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert [1, 1] == [prefect.asked.count(f"{kind}_runs/filter") for kind in ("task", "flow")]
    assert [1.0, 1.0, 2.0] == [shown(state)[f'kind="tag",limit="{tag}"'] for tag in "abc"]
    assert 5 == sum(value for name, value in shown(state).items() if "deployment" in name)


def test_tag_that_the_list_lacks_is_asked_for(tmp_path: Path) -> None:
    """Where other limits crowd a tag out of Prefect's list, its own route tells who holds it."""
    prefect = tags_of(prefect_of(), db=[1])
    put(prefect, task_run(1, None, "RUNNING"))
    tags = prefect.tag_rows

    def crowd_out(route: str) -> None:
        prefect.tag_rows = [] if route == "concurrency_limits/filter" else tags

    prefect.fail = crowd_out
    with collecting(tmp_path, prefect) as context:
        assert {'kind="tag",limit="db"': 1.0} == shown(polled(context))
    assert 1 == prefect.asked.count("concurrency_limits/tag")


def without(prefect: FakePrefect, *routes: str, status: int = 404) -> None:
    """Let some routes be missing, or rejected with another status."""

    def fail(route: str) -> None:
        if route in routes:
            raise Rejected(route, "no", status=status)

    prefect.fail = fail


def test_server_without_the_list_of_tags_is_read(tmp_path: Path) -> None:
    """Holders of tags are then not known, and everything else is shown."""
    prefect = tags_of(prefect_of(), db=[1])
    put(prefect, deployment(1, "daily"))
    limited(prefect, 1)
    without(prefect, "concurrency_limits/filter", "concurrency_limits/tag")
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert {'kind="deployment",limit="etl/daily"': 0.0} == shown(state)
    assert 1.0 == shown(state, "slots_used")['kind="tag",limit="db"']


@pytest.mark.parametrize("route", ["concurrency_limits/filter", "concurrency_limits/tag"])
def test_other_rejections_fail_the_poll(tmp_path: Path, route: str) -> None:
    """What is no answer is no zero."""
    prefect = tags_of(prefect_of(), db=[1])
    prefect.tag_rows.clear()
    without(prefect, route, status=403)
    with collecting(tmp_path, prefect) as context, pytest.raises(Rejected):
        polled(context)


def test_limits_of_a_server_that_keeps_tags_apart_are_shown(tmp_path: Path) -> None:
    """A tag that is only in the list of tags has the slots and holders that stand there."""
    prefect = prefect_of(tag_rows=[TagLimit("db", 5, [run_id(1), run_id(2)])])
    put(prefect, task_run(1, None, "RUNNING"), task_run(2, 5))
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert [{'kind="tag",limit="db"': value} for value in (5.0, 2.0, 1.0)] == [
        shown(state, part) for part in ("slots", "slots_used", "holders")
    ]


def test_limit_of_a_deleted_deployment_has_no_id(tmp_path: Path) -> None:
    """A deployment that is gone is called so; ids never reach a label."""
    prefect = prefect_of()
    limited(prefect, 98)
    limited(prefect, 99)
    with collecting(tmp_path, prefect) as context:
        assert {'kind="deployment",limit="(deleted)/(deleted)"': 4.0} == (
            shown(polled(context), "slots")
        )


def test_deployments_that_are_not_selected_are_left_out(tmp_path: Path) -> None:
    """The limit of a deployment goes with the deployment; its holders are not asked for."""
    prefect = prefect_of()
    put(prefect, deployment(1, "mine"), deployment(2, "theirs"))
    limited(prefect, 2)
    with collecting(tmp_path, prefect, DEPLOYMENTS="!theirs") as context:
        assert {} == shown(polled(context), "slots")
    assert "flow_runs/filter" not in prefect.asked


def test_limits_beyond_the_limit_stand_together(tmp_path: Path) -> None:
    """Under `other` each kind adds up."""
    prefect = tags_of(prefect_of(), a=[1], b=[2], c=[])
    prefect.limit_rows += [ConcurrencyLimit("x", 1, 1.0), ConcurrencyLimit("y", 2, 1.0)]
    put(prefect, task_run(2, None, "RUNNING"))
    with collecting(tmp_path, prefect, MAX_CONCURRENCY_LIMITS="1") as context:
        state = polled(context)

    assert 4 == state.folded
    assert {
        'kind="tag",limit="a"': 9.0,
        'kind="tag",limit="other"': 18.0,
        'kind="global",limit="other"': 3.0,
    } == shown(state, "slots")
    assert {'kind="tag",limit="a"': 0.0, 'kind="tag",limit="other"': 1.0} == shown(state)


def test_places_of_limits_that_are_gone_are_free(tmp_path: Path) -> None:
    """Short-lived limits do not crowd out later ones, as long as the listing is whole."""
    prefect = prefect_of(page_size=2)
    found = []
    with collecting(tmp_path, prefect, MAX_CONCURRENCY_LIMITS="2", ACTIVE_PAGES="2") as context:
        for names in ("ab", "bcc", "cdefg", "bcd"):
            prefect.limit_rows = [ConcurrencyLimit(name, 1, 0.0) for name in names]
            found.append("".join(sorted({at[0][0] for at, _ in polled(context).rows})))

    # A limit that came twice and a listing that was cut off free nothing.
    assert ["ab", "bo", "o", "bco"] == found


def test_part_of_the_holders_is_not_given_for_the_whole(tmp_path: Path) -> None:
    """Where holders of one folded limit are not known, those under `other` are not either."""
    prefect = tags_of(prefect_of(), a=[], b=[1], c=[2])
    prefect.tag_rows = [row for row in prefect.tag_rows if row.tag != "c"]
    put(prefect, task_run(1, None, "RUNNING"))
    with collecting(tmp_path, prefect, MAX_CONCURRENCY_LIMITS="1") as context:
        assert {'kind="tag",limit="a"': 0.0} == shown(polled(context))


def test_all_pages_are_read(tmp_path: Path) -> None:
    """More than a page of limits and of runs is read whole, also where pages are small."""
    prefect = tags_of(prefect_of(page_size=2), a=[1, 2, 3], b=[4], c=[5])
    put(prefect, deployment(1, "daily"))
    put(prefect, *(task_run(number, None, "RUNNING") for number in range(1, 6)))
    for number in range(11, 16):
        put(prefect, waiting(number, "RUNNING", "Running", deployment_id=deployment_id(1)))
    limited(prefect, 1)
    with collecting(tmp_path, prefect) as context:
        state = polled(context)

    assert not state.truncated
    assert [3.0, 1.0, 1.0, 5.0] == list(shown(state).values())


def test_holders_that_were_not_all_read_are_not_shown(tmp_path: Path) -> None:
    """Beyond the limit of pages no part of the holders is given for the whole, and that is told."""
    prefect = tags_of(prefect_of(), few=[1], many=list(range(1, 300)))
    put(prefect, deployment(1, "daily"), task_run(1, None, "RUNNING"))
    for number in range(400, 700):
        put(prefect, waiting(number, "RUNNING", "Running", deployment_id=deployment_id(1)))
    limited(prefect, 1)
    with collecting(tmp_path, prefect, ACTIVE_PAGES="1") as context:
        state = polled(context)

    assert state.truncated
    assert {'kind="tag",limit="few"': 1.0} == shown(state)


def test_no_limits_are_no_samples(tmp_path: Path) -> None:
    """A server without limits is no failure."""
    with collecting(tmp_path, prefect_of()) as context:
        state = polled(context)

    assert {} == samples(ConcurrencyLimitCollector.families, state)


def test_answers_of_a_real_server_are_read() -> None:
    """The names of fields and the routes are Prefect's own."""
    server = Scripted([answer([RECORDED_LIMIT]), answer([RECORDED_TAG]), answer(RECORDED_TAG)])

    async def ask() -> list[Any]:
        async with server.client() as client:
            limits = (await client.concurrency_limits()).rows
            tags = (await client.tag_limits()).rows
            return [*limits, *tags, await client.tag_limit("a b?")]

    tag = TagLimit("db", 5, [UUID("99ba34a2-9adc-4916-8a16-50bfe9044344")])

    assert [ConcurrencyLimit("tag:db", 5, 3.0), tag, tag] == run_scripted(ask())
    assert [
        ("POST", b"/api/v2/concurrency_limits/filter"),
        ("POST", b"/api/concurrency_limits/filter"),
        ("GET", b"/api/concurrency_limits/tag/a%20b%3F"),
    ] == [(request.method, request.url.raw_path) for request in server.requests]
