"""The demo tells which alerts begin to fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx

from demo.alerts import NewAlerts
from demo.prometheus import Alert

FAILING = Alert({"alertname": "Failing", "severity": "warning", "flow": "etl"}, {})
LATE = Alert({"alertname": "Late", "severity": "critical"}, {})
SWITCH = Alert({"alertname": "Watchdog", "severity": "none"}, {})


def told(*rounds: Sequence[Alert] | httpx.HTTPError) -> list[list[Alert]]:
    """Return what is told in each round, of what fires then."""
    answers: Iterator[Sequence[Alert] | httpx.HTTPError] = iter(rounds)

    def firing() -> Sequence[Alert]:
        answer = next(answers)
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    alerts = NewAlerts(firing)
    return [alerts.since_last() for _ in rounds]


def test_alert_is_told_once() -> None:
    """What goes on firing is no news, and another alert is."""
    assert told([FAILING], [FAILING, LATE], [LATE, FAILING]) == [[FAILING], [LATE], []]


def test_alert_that_comes_again_is_told_again() -> None:
    """An alert that had ended begins anew."""
    assert told([LATE], [], [LATE]) == [[LATE], [], [LATE]]


def test_silence_of_prometheus_ends_no_alert() -> None:
    """Where nobody answers, nothing is told, then or afterwards."""
    assert told([LATE], httpx.ConnectError("refused"), [LATE]) == [[LATE], [], []]


def test_dead_mans_switch_is_no_news() -> None:
    """What always fires is not told."""
    assert told([SWITCH, LATE]) == [[LATE]]
