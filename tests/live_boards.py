"""What dashboards show of a Prometheus with real data, and why some of it is nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread

from demo.installation import Installation, install
from demo.sandbox import Sandbox
from pictures.asking import Answer, Ask, last, run_queries
from pictures.boards import Board, queries
from pictures.choosing import choose
from pictures.demonstration import keep_busy

_SECONDS_BETWEEN_RUNS = 1.5
_SECONDS_BETWEEN_LOOKS = 5.0
_WINDOW_SECONDS = 900.0

# A flow of the demo that now succeeds, now fails, and is tried again.
_OF_INTEREST = {"flow": "flaky", "deployment": "flaky"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why queries show nothing.

    Args:
        queries: A regular expression that the query's name or its text matches.
        why: What would have to be there.
        always: Whether they never show anything; else it depends on chance, or on a version.
    """

    queries: str
    why: str
    always: bool = True

    def covers(self, answer: Answer) -> bool:
        """Return whether this is about the query."""
        said = f"{answer.query.name}\n{answer.query.text}"
        return re.search(self.queries, said) is not None


@contextmanager
def busy_demo() -> Iterator[Installation]:
    """Run the demo, with more to do than usual, until the block ends."""
    with Sandbox() as sandbox:
        parts = install(sandbox, lambda _: nullcontext())
        ended = Event()
        pause = partial(ended.wait, _SECONDS_BETWEEN_RUNS)
        driver = Thread(target=keep_busy, args=(parts, pause))
        driver.start()
        try:
            yield parts
        finally:
            ended.set()
            driver.join()


def asked(
    boards: Sequence[Board], sources: Mapping[str, Ask], *, everything: bool
) -> Sequence[Answer]:
    """Return what all boards show of the last quarter of an hour."""
    window = last(_WINDOW_SECONDS)
    answers: list[Answer] = []
    for board in boards:
        choice = choose(
            board, sources["prometheus"], window, everything=everything, preferred=_OF_INTEREST
        )
        answers += run_queries(sources, queries(board), choice, window)
    return answers


def settled(
    boards: Sequence[Board], sources: Mapping[str, Ask], reasons: Sequence[Reason], within: float
) -> Sequence[Answer]:
    """Return what all boards show as soon as nothing is missing, or else after *within* seconds."""
    deadline = time.monotonic() + within
    while True:
        answers = asked(boards, sources, everything=True)
        if not missing(answers, reasons) or time.monotonic() > deadline:
            return answers
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def missing(answers: Sequence[Answer], reasons: Sequence[Reason]) -> Sequence[str]:
    """Return the queries that show nothing for no reason, by name."""
    return [
        answer.query.name
        for answer in answers
        if not answer.has_data and not any(reason.covers(answer) for reason in reasons)
    ]


def needless(answers: Sequence[Answer], reasons: Sequence[Reason]) -> Sequence[str]:
    """Return the reasons that are none: what they are about shows something, or does not exist."""
    return [
        f"{reason.queries}: {', '.join(shown) or 'no such query'}"
        for reason in reasons
        if (shown := _shown(answers, reason)) or not any(map(reason.covers, answers))
    ]


def _shown(answers: Sequence[Answer], reason: Reason) -> Sequence[str]:
    if not reason.always:
        return []
    return [each.query.name for each in answers if reason.covers(each) and each.has_data]


def refused(answers: Sequence[Answer]) -> Mapping[str, str]:
    """Return what is wrong with queries, by name."""
    return {f"{each.query.name}: {each.text}": each.error for each in answers if each.error}


def unchoosable(boards: Sequence[Board], prometheus: Ask) -> set[str]:
    """Return the variables without values, each behind its dashboard's uid."""
    window = last(_WINDOW_SECONDS)
    choices = {board["uid"]: choose(board, prometheus, window) for board in boards}
    return {
        f"{uid} / {name}"
        for uid, choice in choices.items()
        for name, chosen in choice.items()
        if not chosen.values
    }
