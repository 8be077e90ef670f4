"""The file that says who is told of what: its shape, and what is wrong with a bad one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

Severity = Literal["critical", "warning", "info"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_FILE = r"[a-z0-9][a-z0-9_-]{0,63}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_DAY = f"({'|'.join(DAYS)})"
_HINTS = {
    "extra_forbidden": "is no setting: remove it, or mend its spelling",
    "missing": "is missing: add it",
    "string_type": "is no text: write it, in quotes where it begins with #",
    "dict_type": "has nothing below it: write what it has, or {}",
    "model_type": "has nothing below it: write what it has, or {}",
}


class BadTeams(Exception):
    """The file cannot be used; of each problem the message has a line with place and mend."""


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


def _text(pattern: str, *, such_as: str) -> StringConstraints:
    _HINTS[f"^{pattern}$"] = f"must be written {such_as}"
    return StringConstraints(pattern=f"^{pattern}$")


_secret = _text(_FILE, such_as="as the name of a file in secrets/alerts: lower case, such as slack")
_slack = _text(
    rf"(#[a-z0-9_-]{{1,80}}|{_FILE})",
    such_as='as the name of a file in secrets/alerts, or as a channel such as "#data-alerts"',
)
_address = _text(r"[^\s@,;:<>\"(){}\[\]]+@[^\s@,;:<>\"(){}\[\]]+", such_as="as name@example.com")
_days = _text(f"{_DAY}(-{_DAY})?", such_as="as monday-friday")
_hours = _text(f"{_CLOCK}-({_CLOCK}|24:00)", such_as="as 09:00-17:00")
_smarthost = _text(r"[A-Za-z0-9.-]+:[0-9]{1,5}", such_as="as smtp.example.com:587")
_name = _text(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}", such_as="in letters, digits, spaces, . _ and -")

SecretFile = Annotated[str, _secret]
Address = Annotated[str, _address]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Channels(_Strict):
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


class OfficeHours(_Strict):
    """When warnings are told; the days and hours are those of *zone*."""

    days: Annotated[str, _days] = "monday-friday"
    hours: Annotated[str, _hours, AfterValidator(_forward)] = "09:00-17:00"
    zone: Annotated[str, AfterValidator(_zone)]


class Team(_Strict):
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


class MailServer(_Strict):
    """The server that sends for all teams; its password is in the file ``email_password``."""

    sender: Address
    server: Annotated[str, _smarthost]
    user: str = ""
    tls: bool = True


class Teams(_Strict):
    """The whole file; *default* is the team of alerts that have none or an unknown one."""

    default: str
    teams: dict[Annotated[str, _name], Team]
    email: MailServer | None = None
    dead_mans_switch: SecretFile = ""


def read(path: Path) -> Teams:
    """Return what the file says.

    Raises:
        BadTeams: It cannot be read, or something in it is wrong; all of it is named.
    """
    try:
        teams = Teams.model_validate(_load(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadTeams(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        lines = [f"{path}: {_place(each['loc'])} {_problem(each)}" for each in error.errors()]
        raise BadTeams("\n".join(dict.fromkeys(lines))) from error
    problems = [f"{path}: {problem}" for problem in _contradictions(teams)]
    if problems:
        raise BadTeams("\n".join(problems))
    return teams


class _Loader(yaml.SafeLoader):
    """YAML in which nothing is said twice: the first of two teams of one name would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        """Refuse a key that stands twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice} stands twice: remove one", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _load(path: Path) -> object:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  it is a SafeLoader


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "the file"


def _problem(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "string_pattern_mismatch":
        return _HINTS[error["ctx"]["pattern"]]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    return _HINTS.get(kind, f"cannot be used: {error['msg']}")


def _contradictions(teams: Teams) -> Iterator[str]:
    if teams.default not in teams.teams:
        yield f"default is {teams.default!r}, which is none of the teams: name one of them"
    for name, team in teams.teams.items():
        place = f"teams.{name}"
        if name != teams.default and not team.warning:
            yield f"{place}.warning has no channel, so alerts would be lost: add one"
        if teams.email is None and any((team.critical.email, team.warning.email, team.info.email)):
            yield f"{place} has email, but there is no mail server: add email: at the top"
