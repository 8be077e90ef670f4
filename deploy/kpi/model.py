"""What an indicator is, and how ``kpis.yml`` says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from prefect_exporter.durations import format_duration, parse_duration
from sources import Entry, bad, read

FILE = Path(__file__).parent / "kpis.yml"

_SHORTEST_SECONDS = 60
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
# Labels that the rules set themselves.
_TAKEN = frozenset({"alertname", "component", "kpi", "severity", "team"})


class Kind(StrEnum):
    """How the number of an indicator comes out of its metric."""

    COUNTER = "counter"
    """What a counter rose by within the window."""
    RATIO = "ratio"
    """The share of one counter's rise in another's within the window."""
    AGE = "age"
    """The seconds since a moment, which the metric tells as Unix time."""
    GAUGE = "gauge"
    """The metric as it is."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """One indicator and its target.

    Args:
        name: Letters, digits and ``_``.
        title: A few words for people.
        description: What it counts and why it matters.
        unit: ``seconds``, ``bytes``, ``ratio`` (0 to 1), or the word to show after a number.
        kind: What is done with the metric.
        metric: A counter, with or without labels in braces; of an age or gauge any expression.
        of: Of a ratio the counter of the whole; else "".
        by: Labels that tell apart what each has the target for itself; none for one sum.
        bound: Whether the target is the least or the most that is good.
        target: The bound, in the unit.
        window_seconds: What a counter or ratio is taken over; how long an age or gauge may be
            out of bounds.
        team: Whose it is, as routes know it.
        severity: ``critical``, ``warning`` or ``info``.
    """

    name: str
    title: str
    description: str
    unit: str
    kind: Kind
    metric: str
    of: str
    by: tuple[str, ...]
    bound: Literal["at_least", "at_most"]
    target: float
    window_seconds: float
    team: str
    severity: str

    @property
    def record(self) -> str:
        """The recorded series: labels *by* and ``team``, value in the unit."""
        return f"kpi:{self.name}"

    @property
    def window(self) -> str:
        """The window as PromQL writes it, such as ``1h30m``."""
        return format_duration(self.window_seconds)


def load(path: Path = FILE) -> tuple[Kpi, ...]:
    """Return the indicators of a file in its order.

    Raises:
        BadSource: The file cannot be used; the text has a line for each problem.
    """
    kpis = tuple(each.kpi() for each in read(path, _File).kpis)
    names = [each.name for each in kpis]
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise bad(path, [f"kpis: {again[0]!r} is the name of two: rename one"])
    return kpis


def _identifier(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: use letters, digits and _, and no digit first")
    return text


def _label(text: str) -> str:
    if text in _TAKEN:
        raise ValueError(f"{text!r} is a label that the alert has itself: take another")
    return _identifier(text)


def _duration(value: object) -> float:
    try:
        seconds = parse_duration(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no duration: write it as 90s, 15m, 1h30m or 7d") from None
    if not seconds.is_integer() or seconds < _SHORTEST_SECONDS:
        raise ValueError(f"{value!r} is too short for a window: take whole seconds from 1m on")
    return seconds


def _number(value: object) -> float:
    """Return a number that is also written as ``5%`` or ``2h``."""
    text = str(value)
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else parse_duration(text)
    except ValueError:
        raise ValueError(f"{value!r} is no number: write it as 1000, 0.05, 5% or 2h") from None


# A name, or a name with braces; whether Prometheus takes it is promtool's to say.
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})?", re.ASCII)


_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class _Target(Entry):
    at_least: _Number | None = None
    at_most: _Number | None = None
    over: Annotated[float, BeforeValidator(_duration)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("needs one bound: either `at_least:` or `at_most:`")
        return self

    def bounds(self) -> Iterator[tuple[Literal["at_least", "at_most"], float]]:
        if self.at_least is not None:
            yield "at_least", self.at_least
        if self.at_most is not None:
            yield "at_most", self.at_most


class _Kpi(Entry):
    name: Annotated[str, AfterValidator(_identifier)]
    title: Annotated[str, Field(min_length=1, max_length=60)]
    description: _Text
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    kind: Kind
    metric: _Text
    of: str = ""
    by: tuple[Annotated[str, AfterValidator(_label)], ...] = ()
    target: _Target
    team: _Text
    severity: Literal["critical", "warning", "info"] = "warning"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind is Kind.RATIO) != bool(self.of):
            raise ValueError("needs `of:`, the counter of the whole, with kind ratio and only then")
        return self

    @model_validator(mode="after")
    def _selectors(self) -> Self:
        if self.kind in (Kind.COUNTER, Kind.RATIO):
            for text in filter(None, (self.metric, self.of)):
                if not _SELECTOR.fullmatch(text):
                    raise ValueError(f'{text!r} is no counter: write it as name{{label="value"}}')
        return self

    def kpi(self) -> Kpi:
        bound, target = next(self.target.bounds())
        return Kpi(
            **self.model_dump(exclude={"target"}),
            bound=bound,
            target=target,
            window_seconds=self.target.over,
        )


class _File(Entry):
    kpis: tuple[_Kpi, ...]
