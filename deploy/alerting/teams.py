"""The file that says who is told of what: its shape, and what is wrong with a bad one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from generated import ROOT
from sources import Entry, bad, read

FILE = ROOT / "deploy" / "alertmanager" / "teams.yml"

Severity = Literal["critical", "warning", "info"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_FILE = r"[a-z0-9][a-z0-9_-]{0,63}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_DAY = f"({'|'.join(DAYS)})"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone: write one such as Europe/Berlin or UTC") from None
    return name


def _forward(hours: str) -> str:
    begin, end = hours.split("-")
    if begin >= end:
        raise ValueError("must begin before they end, on the same day: such as 09:00-17:00")
    return hours


def _text(pattern: str, *, such_as: str) -> AfterValidator:
    def matched(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be written {such_as}")
        return text

    return AfterValidator(matched)


_secret = _text(
    _FILE, such_as="as the name of a file in secrets/alerts: lower case letters, digits, _ and -"
)
_slack = _text(
    rf"(#[a-z0-9_-]{{1,80}}|{_FILE})",
    such_as='as the name of a file in secrets/alerts, or as a channel such as "#data-alerts"',
)
_address = _text(r"[^\s@,;:<>\"(){}\[\]]+@[^\s@,;:<>\"(){}\[\]]+", such_as="as name@example.com")
_days = _text(f"{_DAY}(-{_DAY})?", such_as="as monday-friday or as monday, in lower case")
_hours = _text(f"{_CLOCK}-({_CLOCK}|24:00)", such_as="as 09:00-17:00")
_smarthost = _text(r"[A-Za-z0-9.-]+:[0-9]{1,5}", such_as="as smtp.example.com:587")
_name = _text(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}", such_as="in letters, digits, spaces, . _ and -")

SecretFile = Annotated[str, _secret]
Address = Annotated[str, _address]


class Channels(Entry):
    """Where one kind of message goes; each value but addresses names a secret file.

    Args:
        slack: The file with an incoming webhook's address, or a ``#channel`` for the shared bot.
        webhook: Takes Alertmanager's own JSON, as Opsgenie and its like do.
    """

    slack: Annotated[str, _slack] = ""
    email: tuple[Address, ...] = ()
    pagerduty: SecretFile = ""
    webhook: SecretFile = ""
    teams: SecretFile = ""

    def __bool__(self) -> bool:
        """Tell whether a message would go anywhere."""
        return any((self.slack, self.email, self.pagerduty, self.webhook, self.teams))


class OfficeHours(Entry):
    """When warnings are told; the days and hours are those of *zone*."""

    days: Annotated[str, _days] = "monday-friday"
    hours: Annotated[str, _hours, AfterValidator(_forward)] = "09:00-17:00"
    zone: Annotated[str, AfterValidator(_zone)]


class Team(Entry):
    """Who is told by which severity, and when of warnings: None is at any time."""

    critical: Channels = Channels()
    warning: Channels = Channels()
    info: Channels = Channels()
    office_hours: OfficeHours | None = None

    def channels(self, severity: Severity) -> Channels:
        """Return where this goes; what is critical goes where warnings go, if nowhere else."""
        match severity:
            case "critical":
                return self.critical or self.warning
            case "warning":
                return self.warning
            case "info":
                return self.info


class MailServer(Entry):
    """The server that sends for all teams; its password is in the file ``email_password``."""

    sender: Address
    server: Annotated[str, _smarthost]
    user: str = ""
    tls: bool = True


class Teams(Entry):
    """The whole file; *default* is the team of alerts that have none or an unknown one."""

    default: str
    teams: dict[Annotated[str, _name], Team]
    email: MailServer | None = None
    dead_mans_switch: SecretFile = ""


def load(path: Path = FILE) -> Teams:
    """Return what the file says.

    Raises:
        BadSource: The file cannot be used; the text has a line for each problem.
    """
    teams = read(path, Teams)
    if problems := tuple(_contradictions(teams)):
        raise bad(path, problems)
    return teams


def _contradictions(teams: Teams) -> Iterator[str]:
    if teams.default not in teams.teams:
        yield f"default: {teams.default!r} is none of the teams: name one of them"
        return
    # As shipped nobody is told of anything; from the first channel on, nothing may be lost.
    told = any(team.critical or team.warning or team.info for team in teams.teams.values())
    for name, team in teams.teams.items():
        place = f"teams.{name}"
        if not team.warning and (told or name != teams.default):
            yield f"{place}.warning: has no channel, so alerts would be lost: add one"
        if teams.email is None and any((team.critical.email, team.warning.email, team.info.email)):
            yield f"{place}: has email, but there is no mail server: add email: at the top"
