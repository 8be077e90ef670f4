"""The file of teams: what it may say, and what is said of one that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerting.teams import load
from alertmanagers import SHIPPED
from generated import ROOT
from sources import BadSource

_GOOD = """\
default: platform
dead_mans_switch: dead_mans_switch
email: {sender: prefect@example.com, server: "smtp.example.com:587", user: prefect}
teams:
  platform:
    critical: {pagerduty: platform_pagerduty}
    warning: {slack: platform_slack}
  Data Science:
    warning: {slack: "#data", email: [data@example.com], teams: data_teams, webhook: data_hook}
    info: {slack: "#noise"}
    office_hours: {days: monday-thursday, hours: 08:30-24:00, zone: America/New_York}
"""


_NO_SETTINGS = "has no settings: write them below it, each as `name: value`, or {} for none"


def _teams_file(folder: Path, text: str) -> Path:
    file = folder / "teams.yml"
    file.write_text(text)
    return file


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    """Each setting has its place, and what is critical goes where warnings go if nowhere else."""
    teams = load(_teams_file(tmp_path, _GOOD))
    science = teams.teams["Data Science"]

    assert science.channels("critical") == science.warning
    assert (science.warning.slack, science.info.slack) == ("#data", "#noise")
    assert science.office_hours is not None
    assert science.office_hours.days == "monday-thursday"
    assert teams.teams["platform"].channels("critical").pagerduty == "platform_pagerduty"


def test_examples_in_the_shipped_file_can_be_used(tmp_path: Path) -> None:
    """Whoever takes the signs of comments away from the settings has a file that is right."""
    shipped = (SHIPPED.parent / "teams.yml").read_text()
    text = re.sub(r"^( *)#(?! \S|$)|\{\} +# ", r"\1", shipped, flags=re.MULTILINE)

    teams = load(_teams_file(tmp_path, text))

    assert set(teams.teams) == {"platform", "payments"}
    assert (teams.dead_mans_switch, teams.email is None) == ("dead_mans_switch", False)


def test_page_shows_a_team_and_a_mistake_as_they_are(tmp_path: Path) -> None:
    """The example of docs/on-call.md can be used, and its bad line is told in its words."""
    page = (ROOT / "docs" / "on-call.md").read_text()
    (example,) = re.findall(r"^  payments:\n(?:    .*\n)+", page, flags=re.MULTILINE)
    (told,) = re.findall(r"^deploy/alertmanager/teams.yml: (teams.*)$", page, flags=re.MULTILINE)
    top = 'default: payments\nemail: {sender: a@b.c, server: "x:25"}\nteams:\n'

    assert load(_teams_file(tmp_path, top + example)).teams["payments"].office_hours is not None
    with pytest.raises(BadSource, match=re.escape(told)):
        load(_teams_file(tmp_path, top + example.replace("warning: {slack", "warning: {slak")))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "default: a\nteams: {a: {warning: {slak: x}}}",
            "teams.a.warning.slak: is no setting: remove it, or mend its spelling",
        ),
        (
            "default: a\nteams: {a: {warning: {slack: #x\n}}}",
            (
                "teams.a.warning.slack: is no text: write it,"
                " in quotes where it begins with # or is a number"
            ),
        ),
        (
            "default: a\nteams: {a: {critical: {pagerduty: ../../etc/passwd}}}",
            (
                "teams.a.critical.pagerduty: must be written as the name of a file"
                " in secrets/alerts: lower case letters, digits, _ and -"
            ),
        ),
        (
            'default: a\nteams: {a: {warning: {slack: "https://hooks.slack.com/services/X"}}}',
            (
                "teams.a.warning.slack: must be written as the name of a file in secrets/alerts,"
                ' or as a channel such as "#data-alerts"'
            ),
        ),
        (
            'default: a\nteams: {a: {warning: {email: ["a@b.c\\nBcc: x@y.z"]}}}',
            "teams.a.warning.email[0]: must be written as name@example.com",
        ),
        (
            "default: a\nteams: {a: {office_hours: {zone: Mars}}}",
            "teams.a.office_hours.zone: is no time zone: write one such as Europe/Berlin or UTC",
        ),
        (
            "default: a\nteams: {a: {office_hours: {zone: UTC, hours: 17:00-09:00}}}",
            (
                "teams.a.office_hours.hours: must begin before they end, on the same day:"
                " such as 09:00-17:00"
            ),
        ),
        (
            "default: a\nteams: {a: {office_hours: {zone: UTC, days: weekdays}}}",
            (
                "teams.a.office_hours.days: must be written"
                " as monday-friday or as monday, in lower case"
            ),
        ),
        (
            "default: a\nteams: {a: {}, 'x\"} ': {}}",
            'teams.x"} : must be written in letters, digits, spaces, . _ and -',
        ),
        ("default: a\nteams: {a: }", f"teams.a: {_NO_SETTINGS}"),
        ("default: a\nteams: {a: {warning: slack}}", f"teams.a.warning: {_NO_SETTINGS}"),
        (
            "default: a\nteams: {a: {warning: {email: x@y.z}}}",
            (
                "teams.a.warning.email: is no list: begin each entry with `- `,"
                " or write all as [one, another]"
            ),
        ),
        ("teams: {a: {}}", "default: is missing: add it"),
        (
            "default: b\nteams: {a: {}}",
            "default: 'b' is none of the teams: name one of them",
        ),
        (
            "default: a\nteams: {a: {warning: {slack: x}}, b: {critical: {slack: x}}}",
            "teams.b.warning: has no channel, so alerts would be lost: add one",
        ),
        (
            "default: a\nteams: {a: {}, b: {warning: {slack: x}}}",
            "teams.a.warning: has no channel, so alerts would be lost: add one",
        ),
        (
            "default: a\nteams: {a: {critical: {slack: x}}}",
            "teams.a.warning: has no channel, so alerts would be lost: add one",
        ),
        (
            "default: a\nteams: {a: {warning: {email: [x@y.z]}}}",
            "teams.a: has email, but there is no mail server: add email: at the top",
        ),
    ],
)
def test_bad_file_is_told_by_place_and_mend(tmp_path: Path, text: str, line: str) -> None:
    """One line names the file, the place in it, what is wrong, and what to do."""
    file = _teams_file(tmp_path, text)

    with pytest.raises(BadSource) as raised:
        load(file)

    assert str(raised.value) == f"{file}: {line}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("default: a\nteams:\n  a: {}\n  a: {}", "line 4: a stands twice: remove one"),
        ("default: [", "line 1: expected the node content, but found '<stream end>'"),
        ("default: a\nteams: {a: {warning: {slack: #x}}}\n", "put what begins with # in quotes"),
        ("default: \x00", "special characters are not allowed"),
    ],
)
def test_unreadable_file_is_told_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    """What is no YAML, and a team that stands twice, is refused in one line."""
    file = _teams_file(tmp_path, text)

    with pytest.raises(BadSource) as raised:
        load(file)

    assert str(raised.value).startswith(f"{file}: ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(BadSource, match=r"teams\.yml: cannot be read: .*No such file"):
        load(tmp_path / "teams.yml")
