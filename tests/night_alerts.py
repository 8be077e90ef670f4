"""Who was told what of a night, and what its dashboards show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from night_counts import query
from nights import BAD_DATA, Message, Night, soon
from pictures.asking import Answer, Ask, Window, last, run_queries
from pictures.boards import Board, every_board, queries
from pictures.choosing import choose
from pictures.variables import Choice

ALERTS = Counter(
    {
        ("data", "PrefectFlowRunFailed", "nightly-orders/nightly"): 1,
        ("retail", "PrefectFlowRunFailed", "client-batch/retail"): 1,
        ("wholesale", "PrefectFlowRunFailed", "client-batch/wholesale"): 1,
        ("logistics", "PrefectFlowRunFailed", "client-batch/logistics"): 1,
        ("platform", "PrefectRowsRejected", BAD_DATA): 1,
        ("platform", "PrefectDeadLettersWaiting", f"orders:{BAD_DATA}"): 1,
    }
)
"""Team, alert and what it is of; each is told once, and nothing else is."""

COMPONENTS = "flows|pipelines|schedules|slo|work-pools"
"""Of alerts that speak of runs and not of the machine, which may be slow."""

_ROUNDS = 8

SHOWN: Mapping[str, Sequence[str]] = {
    "prefect-overview": (
        "Failures, last hour",
        "Flow runs by outcome",
        "Most failures, last 24 hours",
    ),
    "prefect-flow": (
        "Success, last 24 hours",
        "Flow runs by outcome",
        "Duration of successful runs",
    ),
    "prefect-errors": (
        "Failures, last hour",
        "Failed flow runs by deployment",
        "Failure groups",
        "Attempts that raised, by category",
    ),
    "prefect-pipelines": (
        "Dead letters",
        "Rejected, last hour",
        "Rows by outcome",
        "Rejected share by client",
        "Records a second",
        "Steps",
        "Errors by category",
        "Recoveries that succeeded",
        "Peak memory by flow",
    ),
}
"""The panels, by board, that have to show something of the client with bad data."""

_CHOSEN = {
    "team": "retail",
    "flow": "client-batch",
    "deployment": "retail",
    "client": BAD_DATA,
    "queue": f"orders:{BAD_DATA}",
}


def check_messages(night: Night) -> None:
    """Assert that each alert of the night was told once, to its team, and nothing else was.

    After the last one the rules are evaluated for as long as a group of alerts waits before it
    tells of news: what would be told twice, or too much, has come by then.
    """
    soon(lambda: _told(night.messages()), lambda told: ALERTS <= told, within=180)
    rounds = _evaluations(night)
    soon(lambda: _evaluations(night), lambda now: now >= rounds + _ROUNDS)

    assert ALERTS == _told(night.messages())


def check_nothing_waits(night: Night) -> None:
    """Assert that no other alert about runs waits for its time; what comes and goes is none."""
    wanted = {name for _, name, _ in ALERTS}

    assert wanted == soon(lambda: _active(night), wanted, within=180)


def _active(night: Night) -> set[str]:
    rows = query(night, f'ALERTS{{component=~"{COMPONENTS}"}}')
    return {row["metric"]["alertname"] for row in rows}


def _told(messages: Sequence[Message]) -> Counter[tuple[str, str, str]]:
    return Counter(
        (each.team, each.labels["alertname"], _subject(each.labels))
        for each in messages
        if each.status == "firing"
    )


def _subject(labels: Mapping[str, str]) -> str:
    if "deployment" in labels:
        return f"{labels['flow']}/{labels['deployment']}"
    named = (labels[name] for name in ("client", "queue", "breaker") if name in labels)
    return next(named, "")


def _evaluations(night: Night) -> float:
    """Return how often the slowest group of rules was evaluated."""
    rows = query(night, "min(prometheus_rule_group_iterations_total)")
    return float(rows[0]["value"][1]) if rows else 0


BORN = frozenset(
    {"prefect-flow / Duration of successful runs", "prefect-pipelines / Peak memory by flow"}
)
"""Panels of histograms, of which a single run is no increase where scrapes are 15 s apart."""


def check_boards(night: Night, *, without: frozenset[str] = frozenset()) -> None:
    """Assert that the boards show the failed client, but for some panels, once it is chosen."""
    ask = night.prometheus()

    answers = soon(lambda: _answers(ask), lambda answers: _empty(answers) <= without)

    assert _empty(answers) <= without
    assert {} == {each.query.name: each.error for each in answers if each.error}


def _answers(ask: Ask) -> Sequence[Answer]:
    window = last(900)
    answers: list[Answer] = []
    for board in every_board():
        if board["uid"] in SHOWN:
            choice = _choice(board, ask, window)
            answers += run_queries({"prometheus": ask}, queries(board), choice, window)
    return answers


def _choice(board: Board, ask: Ask, window: Window) -> Choice:
    """Return what is chosen: `_CHOSEN`, and of what is not in it all."""
    one = choose(board, ask, window, everything=False, preferred=_CHOSEN)
    chosen = {name: value for name, value in one.items() if name in _CHOSEN}
    return {**choose(board, ask, window), **chosen}


def _empty(answers: Sequence[Answer]) -> set[str]:
    """Return the panels of `SHOWN` without any data."""
    shown = {(each.query.board, each.query.panel) for each in answers if each.has_data}
    wanted = {(board, panel) for board, panels in SHOWN.items() for panel in panels}
    return {f"{board} / {panel}" for board, panel in wanted - shown}
