"""The colours of all boards: one meaning, one colour, told apart by people who see no red or green.

They are those of Okabe and Ito, https://jfly.uni-koeln.de/color/. A colour never stands alone: a
name, a number or a word says the same.
"""

from __future__ import annotations

from types import MappingProxyType

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#999999"

GOOD, WARNING, BAD, NEUTRAL, UNKNOWN = GREEN, ORANGE, VERMILION, SKY, GREY

OUTCOMES = MappingProxyType(
    {
        "completed": GREEN,
        "cached": SKY,
        "failed": VERMILION,
        "timed_out": ORANGE,
        "crashed": PURPLE,
        "cancelled": GREY,
    }
)
CATEGORIES = MappingProxyType(
    {
        "user_code": VERMILION,
        "data": ORANGE,
        "timeout": YELLOW,
        "upstream": PURPLE,
        "infrastructure": BLUE,
        "configuration": SKY,
        "cancelled": GREY,
    }
)
# By the beginning of the type of a state and its name.
STATES = MappingProxyType(
    {
        "^RUNNING": GREEN,
        "^PENDING": SKY,
        "^SCHEDULED": BLUE,
        "^SCHEDULED Late": VERMILION,
        "^SCHEDULED Awaiting": ORANGE,
        "^PAUSED": YELLOW,
        "^CANCELLING": PURPLE,
    }
)
# Of lines that have names and no meaning of their own.
LINES = (SKY, ORANGE, PURPLE, BLUE, YELLOW, GREEN)
QUANTILES = MappingProxyType({"p50": SKY, "p95": BLUE, "p99": PURPLE})


def plain(color: str = NEUTRAL) -> build.ThresholdsConfig:
    """Return thresholds for a number that is neither good nor bad."""
    return _steps((None, color))


def rising(warning: float, bad: float) -> build.ThresholdsConfig:
    """Return thresholds for a number that is better the lower it is."""
    return _steps((None, GOOD), (warning, WARNING), (bad, BAD))


def falling(bad: float, warning: float) -> build.ThresholdsConfig:
    """Return thresholds for a number that is better the higher it is.

    Args:
        bad: Below it, things are bad.
        warning: Below it and not below *bad*, they want a look.
    """
    return _steps((None, BAD), (bad, WARNING), (warning, GOOD))


def _steps(*steps: tuple[float | None, str]) -> build.ThresholdsConfig:
    return build.ThresholdsConfig().steps([model.Threshold(value, color) for value, color in steps])
