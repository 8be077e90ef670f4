"""The way of an alert to its receiver: by team, then by severity."""

from __future__ import annotations

from typing import Any

from alerting.receivers import DEAD_MANS_SWITCH, NOBODY, SEVERITIES, receiver_of
from alerting.setup import Setup, Timing
from alerting.teams import DAYS, OfficeHours, Severity, Team, Teams

# One kind of trouble, of one owner, in one Prefect, is one message: it has one runbook.
_GROUP_BY = ["alertname", "target", "team"]


def root(teams: Teams, setup: Setup) -> dict[str, Any]:
    """Return Alertmanager's ``route``; what no branch takes is the default team's."""
    others = [name for name in teams.teams if name != teams.default]
    switch = DEAD_MANS_SWITCH if teams.dead_mans_switch else NOBODY
    return {
        "receiver": receiver_of(teams, teams.default, "warning"),
        "group_by": _GROUP_BY,
        **_times(setup.timings["warning"]),
        "routes": [
            {"matchers": ['alertname="Watchdog"'], "receiver": switch, **_times(setup.watchdog)},
            {"matchers": ['severity="none"'], "receiver": NOBODY},
            *(_team(teams, name, setup) for name in others),
            *(_severity(teams, teams.default, severity, setup) for severity in SEVERITIES),
        ],
    }


def time_intervals(teams: Teams) -> list[dict[str, Any]]:
    """Return Alertmanager's ``time_intervals``: the office hours, each under its team's name."""
    return [
        {"name": name, "time_intervals": [_interval(team.office_hours)]}
        for name, team in teams.teams.items()
        if team.office_hours
    ]


def _team(teams: Teams, name: str, setup: Setup) -> dict[str, Any]:
    return {
        "matchers": [f'team="{name}"'],
        # Of a severity that is none of ours, at any hour: rather too early than lost.
        "receiver": receiver_of(teams, name, "warning"),
        "routes": [_severity(teams, name, severity, setup) for severity in SEVERITIES],
    }


def _severity(teams: Teams, name: str, severity: Severity, setup: Setup) -> dict[str, Any]:
    return {
        "matchers": [f'severity="{severity}"'],
        "receiver": receiver_of(teams, name, severity),
        **_times(setup.timings[severity]),
        **_when(teams.teams[name], name, severity),
    }


def _when(team: Team, name: str, severity: Severity) -> dict[str, Any]:
    if severity == "critical" or team.office_hours is None:
        return {}
    return {"active_time_intervals": [name]}


def _times(timing: Timing) -> dict[str, str]:
    return {
        "group_wait": timing.wait,
        "group_interval": timing.interval,
        "repeat_interval": timing.repeat,
    }


def _interval(office_hours: OfficeHours) -> dict[str, Any]:
    begin, end = office_hours.hours.split("-")
    return {
        "weekdays": _weekdays(office_hours.days),
        "times": [{"start_time": begin, "end_time": end}],
        "location": office_hours.zone,
    }


def _weekdays(days: str) -> list[str]:
    """Return each day: a range of Alertmanager's own cannot go over the end of Saturday."""
    first, _, last = days.partition("-")
    begin = DAYS.index(first)
    return [DAYS[(begin + more) % 7] for more in range((DAYS.index(last or first) - begin) % 7 + 1)]
