"""What tags say: owners and objectives."""

from __future__ import annotations

import pytest

from prefect_exporter.tags import objectives, tag_value


@pytest.mark.parametrize(
    ("tags", "value"),
    [
        (["team:payments"], "payments"),
        (["team=payments"], "payments"),
        (["urgent", "team=a:b", "team:c"], "a:b"),
        (["team: payments "], "payments"),
        (["team:", "team=", "team: ", "team:late"], "late"),
        (["teams:a", "my team:b", "Team:c", "team"], ""),
        ([], ""),
    ],
)
def test_first_tag_with_a_value_is_shown(tags: list[str], value: str) -> None:
    """The first tag in order that gives the key a value counts."""
    assert value == tag_value(tags, "team")


def test_long_value_is_cut() -> None:
    """A value is no longer than any other label's."""
    assert 128 == len(tag_value(["team:" + "x" * 10_000], "team"))


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("slo:fresh=2h", {"fresh": 7200.0}),
        ("slo:duration=30m", {"duration": 1800.0}),
        ("slo:delay=90", {"delay": 90.0}),
        ("slo:success=99.5%", {"success": 0.995}),
        ("slo:success=0.995", {"success": 0.995}),
        ("slo", {}),
        ("team:slo:fresh=2h", {}),
    ],
)
def test_objective_is_read(tag: str, wanted: dict[str, float]) -> None:
    """Durations are told in seconds, success as a ratio; other tags are none of these."""
    assert (wanted, ()) == objectives([tag])


@pytest.mark.parametrize(
    "text",
    [
        "fresh",
        "fresh=",
        "fresh=soon",
        "fresh=-1h",
        "fresh=0s",
        "fresh=1e9",
        "fresh=\u0661h",
        "success=100%",
        "success=1",
        "success=99,5%",
        "success=nan",
        "success=inf",
        "success=0",
        "success=\u0660.5",
        "latency=1s",
        "=1s",
        "fresh=" + "9" * 1_000_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_cannot_be_aimed_at_is_bad(text: str) -> None:
    """A tag that nobody can meet, or read, has no number and is told."""
    assert ({}, (f"slo:{text}",)) == objectives([f"slo:{text}"])


def test_first_good_tag_decides() -> None:
    """A bad tag hides no good one, and a later one changes nothing."""
    wanted, bad = objectives(["slo:fresh=x", "slo:fresh=1h", "slo:fresh=2h"])

    assert ({"fresh": 3600.0}, ("slo:fresh=x",)) == (wanted, bad)
