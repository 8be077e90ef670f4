"""docs/tutorial.md, done as it stands: its diffs applied, its commands typed, its output seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from demo import keeper
from demo.processes import wait_until
from demo.sandbox import Sandbox
from docs.tutorial_page import PAGE, Deed, as_shown, deeds
from docs.tutorial_terminal import Answer, Ports, Terminal

ROOT = Path(__file__).parents[2]
TEXT = PAGE.read_text(encoding="utf-8")
DEEDS = deeds(TEXT)
STEPS = tuple(dict.fromkeys(each.step for each in DEEDS))
NUMBERED = tuple(step for step in STEPS if re.match(r"\d+ ", step))

# Prefect, the service, the exporter, Prometheus, Alertmanager, and the pager.
USUAL_PORTS = (4200, 8000, 9877, 9090, 9093, 9094)
WORDS_A_MINUTE = 200


@dataclass(frozen=True, slots=True)
class Walk:
    """The way through the page, up to what went another way than it says.

    Args:
        answers: of the deeds in order, and of no more than were reached.
        left: what still ran after the last one.
        home: what is left in the reader's home.
    """

    answers: tuple[Answer, ...]
    left: tuple[str, ...]
    home: tuple[str, ...]

    def printed(self, step: str) -> list[str]:
        """Return what the deeds of a step printed, each as the page shows it if it does."""
        answers = (*self.answers, *[None] * (len(DEEDS) - len(self.answers)))
        return [
            _outcome(deed, answer)
            for deed, answer in zip(DEEDS, answers, strict=True)
            if deed.step == step
        ]


def _outcome(deed: Deed, answer: Answer | None) -> str:
    if answer is None:
        return "(not reached)"
    if answer.code is None or (answer.code and not deed.shown):
        return f"{answer.printed}(ended with {answer.code})"
    return as_shown(deed.shown, answer.printed)


@pytest.fixture(scope="module", name="walk")
def _walk() -> Iterator[Walk]:
    ports = Ports(*USUAL_PORTS)
    with Sandbox() as sandbox:
        env = sandbox.environment(
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            # Else in the reader's home, where only the page's own folder is to be.
            TMPDIR=str(sandbox.subfolder("tmp")),
            # A checkout that the sandbox lies in is none of the reader's.
            GIT_CEILING_DIRECTORIES=str(sandbox.folder.resolve()),
        )
        with Terminal(sandbox.subfolder("printed"), ROOT, env) as terminal:
            answers = tuple(_answers(terminal, ports))
            # For who states the page's time anew: pytest -rP shows it.
            print(f"its commands took {sum(each.seconds for each in answers):.0f} s")
            left = _left(sandbox, terminal)
        home = tuple(sorted(each.name for each in Path(env["HOME"]).glob("[!.]*")))
        yield Walk(answers, left, home)


def _answers(terminal: Terminal, ports: Ports) -> Iterator[Answer]:
    """Do one deed after the other; what comes after one that fails would only wait in vain."""
    for deed in DEEDS:
        answer = terminal.type(ports.put(deed.command))
        answer = Answer(ports.back(answer.printed), answer.code, answer.seconds)
        yield answer
        if _outcome(deed, answer) != deed.shown:
            return


def _left(sandbox: Sandbox, terminal: Terminal) -> tuple[str, ...]:
    """Return what runs still beside bash; a program that was told to end may take a moment."""

    def running() -> list[psutil.Process]:
        return [each for each in keeper.marked(sandbox.mark) if each.pid != terminal.pid]

    with suppress(TimeoutError):
        wait_until(lambda: not running(), within=60, what="the end of all programs")
    return tuple(str(each) for each in running())


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", STEPS)
def test_step_prints_what_the_page_shows(walk: Walk, step: str) -> None:
    """Each diff applies to what the steps before have left, and each command prints the same."""
    shown = [each.shown for each in DEEDS if each.step == step]

    assert shown == walk.printed(step)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_nothing_is_left(walk: Walk) -> None:
    """Who has cleared away has neither a program that runs nor a file of the tutorial."""
    assert ((), ()) == (walk.left, walk.home)


def test_page_has_ten_steps() -> None:
    """Each of the ten is a diff, and something to look at."""
    changed = {each.step for each in DEEDS if each.is_diff}
    looked_at = {each.step for each in DEEDS if each.shown}

    assert [str(number) for number in range(1, 11)] == [each.split()[0] for each in NUMBERED]
    assert set(NUMBERED) == changed
    assert set(NUMBERED) <= looked_at


def test_reading_time_is_that_of_the_page() -> None:
    """The page has as many words as it says, to the next fifty, and its minutes add up."""
    told = re.search(
        r"about (\d+) minutes: (\d+) to read all ([\d,]+) words,"
        r" code included, (\d+) in which commands run, and (\d+) to copy",
        " ".join(TEXT.split()),
    )
    assert told
    total, reading, words, running, copying = (int(each.replace(",", "")) for each in told.groups())

    assert 50 * round(len(TEXT.split()) / 50) == words
    assert round(words / WORDS_A_MINUTE) == reading
    assert reading + running + copying == total


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("", "anything\n"),
        ("ready\n", "ready"),
        ("ready\n", "ready  \r\n"),
        ("run ... ended\n", "run 7 (orders) ended\n"),
        ("...\nend\n", "end\n"),
        ("begin\n...\nend\n", "begin\none\ntwo\nend\n"),
    ],
)
def test_what_is_shown_tells_of_what_was_printed(shown: str, printed: str) -> None:
    """Dots stand for what varies, and ends of lines do not count."""
    assert shown == as_shown(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("ready\n", ""),
        ("ready\n", "not ready\n"),
        ("ready\n", "ready\nnot\n"),
        ("run ... ended\n", "run 7\nended\n"),
        ("a.b\n", "acb\n"),
        ("begin\n...\nend\n", "begin\nend\nmore\n"),
    ],
)
def test_what_is_shown_differs_from_what_was_printed(shown: str, printed: str) -> None:
    """What was printed is given back, so that a failure shows it."""
    assert printed == as_shown(shown, printed)


def test_commands_and_what_they_print_are_told_apart() -> None:
    """A command is a line with a dollar and what follows a backslash; a diff is whole."""
    page = "## 1 a\n\n```diff\n-x\n+y\n```\n\n```console\n$ b \\\n    c\nd\n$ e\n```\n"
    expected = (
        Deed("1 a", "git apply <<'END OF DIFF'\n-x\n+y\nEND OF DIFF", "", is_diff=True),
        Deed("1 a", "b \\\n    c", "d\n"),
        Deed("1 a", "e", ""),
    )

    assert expected == deeds(page)
