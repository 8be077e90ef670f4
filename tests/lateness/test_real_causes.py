"""Every cause produced on a real Prefect server: it is told, and what mends it mends it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from demo.processes import wait_until
from lateness.scene import COLOURED, NASTY, Scene, scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

_BEGUN = ("RUNNING", "COMPLETED")
# One of each kind of command is enough, and no scheduler of Prefect 3.8 works with SQLAlchemy 2.1.
_LEFT_ALONE = ("etl/unscheduled", "etl/worker gone", "etl/urgent", f"etl/{COLOURED}")
QUOTED = shlex.quote(NASTY)


@dataclass(frozen=True)
class Account:
    """What the command said: of everything, of single deployments, as text, after the mending."""

    made: Scene
    told: dict[str, Any]
    asked: dict[str, dict[str, Any]]
    text: str
    missing: subprocess.CompletedProcess[str]
    after: dict[str, Any]


@pytest.fixture(name="account", scope="module")
def _account() -> Iterator[Account]:
    """Ask all, mend all, ask again: tests only compare, so that their order is of no matter."""
    with scene() as made:
        told = made.diagnoses()
        asked = {each: made.diagnoses(each) for each in ("no worker", "etl/paused")}
        text, missing = made.why(), made.why("nothing")
        _mend(made, told, asked["etl/paused"])
        after = made.diagnoses() | made.diagnoses("etl/paused")
        yield Account(made, told, asked, text.stdout, missing, after)


def _mend(made: Scene, told: dict[str, Any], paused: dict[str, Any]) -> None:
    """Run the first command that each diagnosis gives, and wait until what it starts has worked."""
    everything = told | paused
    mends = {name: each["reasons"][0]["mend"] for name, each in everything.items()}
    commands = {name: mend[0] for name, mend in mends.items() if mend}
    stay = ("etl/no worker", "etl/not asked")
    for name in stay:
        made.start(f"mending {name.partition('/')[2]}", commands[name])
    others = [command for name, command in commands.items() if name not in (*stay, *_LEFT_ALONE)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(made.mend, others))
    # The queue that came first may now hold one slot less, which shows when one of its runs ends.
    made.put(made.holders["etl/urgent"][0], "COMPLETED")
    # Whoever waits for a slot of a deployment is asked to start anew, as a worker does.
    states = [made.put(made.runs[name], "PENDING") for name in ("etl/limited", "etl/shares")]
    assert ["PENDING", "PENDING"] == [each.upper() for each in states]
    wait_until(
        lambda: all(made.state_of(made.runs[name]) in _BEGUN for name in stay),
        within=180,
        what="runs of the workers that mend",
    )


@pytest.mark.parametrize(
    ("subject", "cause", "command"),
    [
        ("etl/pool paused", "pool-paused", f"prefect work-pool resume {QUOTED}"),
        (
            "etl/queue paused",
            "queue-paused",
            f"prefect work-queue resume {QUOTED} --pool halves",
        ),
        ("etl/unscheduled", "scheduler-behind", "prefect server services start"),
        ("etl/no worker", "no-worker", "prefect worker start --pool idle"),
        ("etl/worker gone", "no-worker", "prefect worker start --pool left"),
        (f"etl/{COLOURED}", "not-served", "# start the process again"),
        (
            "etl/not asked",
            "queue-not-polled",
            "prefect worker start --pool asked --work-queue default",
        ),
        (
            "etl/queue full",
            "queue-limit-full",
            "prefect work-queue set-concurrency-limit narrow 2 --pool wide",
        ),
        (
            "etl/behind",
            "higher-priority-queue",
            "prefect work-queue set-concurrency-limit urgent 2 --pool shared",
        ),
        ("etl/urgent", "pool-limit-full", "prefect work-pool set-concurrency-limit shared 4"),
        ("etl/pool full", "pool-limit-full", "prefect work-pool set-concurrency-limit full 2"),
        (
            "etl/limited",
            "deployment-limit-full",
            "prefect global-concurrency-limit update deployment:",
        ),
        (
            "etl/shares",
            "global-limit-full",
            f"prefect global-concurrency-limit update {QUOTED} --limit 2",
        ),
        (
            "tagged",
            "tag-limit-full",
            "prefect global-concurrency-limit update tag:press --limit 2",
        ),
        ("etl/mystery", "unknown", None),
    ],
    ids=lambda each: each if isinstance(each, str) else "none",
)
def test_cause_is_told(account: Account, subject: str, cause: str, command: str | None) -> None:
    """It is the cause that was produced, and no other, with a command that names the real thing."""
    diagnosis = account.told[subject]

    assert cause == diagnosis["cause"], diagnosis
    first = diagnosis["reasons"][0]
    assert (command is None) == (not first["mend"])
    assert command is None or first["mend"][0].startswith(command)
    assert (0 if cause == "scheduler-behind" else 1) == diagnosis["late"]


@pytest.mark.parametrize(
    "subject", ["etl/pool full", "etl/queue full", "etl/limited", "etl/shares", "etl/behind"]
)
def test_runs_that_hold_the_slots_are_shown(account: Account, subject: str) -> None:
    """Each with its page, so that somebody can look whether it still does anything."""
    shown = account.told[subject]["reasons"][0]["flow_runs"]
    holders = account.made.holders["etl/urgent" if subject == "etl/behind" else subject]

    assert set(holders) == {each["id"] for each in shown}
    url = account.made.server.url
    assert all(each["url"] == f"{url}/runs/flow-run/{each['id']}" for each in shown)


def test_holder_of_a_tag_is_shown(account: Account) -> None:
    """The flow run whose task run has the slot is the same here."""
    shown = account.told["tagged"]["reasons"][0]["flow_runs"]

    assert ["tagged"] == [each["flow"] for each in shown]


def test_nothing_else_is_told(account: Account) -> None:
    """What is new, paused, or run by hand is neither late nor in trouble."""
    assert set() == {"etl/new", "etl/paused", "etl/by hand"} & account.told.keys()


def test_pause_is_told_to_who_asks(account: Account) -> None:
    """A deployment that is paused makes no runs, which is no lateness unless somebody misses it."""
    told = account.asked["etl/paused"]["etl/paused"]

    assert ("deployment-paused", 0) == (told["cause"], told["late"])


def test_one_deployment_is_asked_for(account: Account) -> None:
    """Of the others nothing is said."""
    assert ["etl/no worker"] == list(account.asked["no worker"])


def test_people_read_the_same(account: Account) -> None:
    """The text has cause, evidence and command, and names that cannot command a terminal."""
    text = account.text

    assert "etl/no worker in work pool 'idle', queue 'default': 1 flow run late" in text
    assert "  cause  no-worker: work pool 'idle' has never had a worker\n" in text
    assert "  mend   prefect worker start --pool idle\n" in text
    assert "etl/red \\x1b[31m: 1 flow run late" in text
    assert "\x1b" not in text


def test_deployment_that_there_is_not_is_an_error(account: Account) -> None:
    """It is an error of whoever typed it."""
    assert 2 == account.missing.returncode
    assert "Prefect has no deployment of this name or id" in account.missing.stderr


@pytest.mark.parametrize(
    ("subject", "left"),
    [
        # Their runs still wait, as nobody serves these pools: what was told is gone from the list.
        ("etl/pool paused", "no-worker"),
        ("etl/queue paused", "no-worker"),
        ("etl/queue full", "unknown"),
        ("etl/pool full", "unknown"),
        ("etl/behind", "unknown"),
        # Whose services stand still, or fail as those of the tests do with SQLAlchemy 2.1.
        ("etl/paused", "scheduler-behind"),
        ("etl/no worker", None),
        ("etl/not asked", None),
        ("etl/limited", None),
        ("etl/shares", None),
        ("tagged", None),
    ],
)
def test_command_mends(account: Account, subject: str, left: str | None) -> None:
    """The first command is run as it stands, and its cause is told no more."""
    found = account.after.get(subject)

    assert left == (found and found["cause"])
    before = account.told | account.asked["etl/paused"]
    assert found is None or before[subject]["cause"] not in {
        each["cause"] for each in found["reasons"]
    }
