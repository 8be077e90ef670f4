"""The live status page: how Prefect and the exporter are doing, in words that need no manual."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import jinja2
from markupsafe import Markup, escape

from prefect_exporter.advice import Advice, advice
from prefect_exporter.health.ages import ago, span
from prefect_exporter.health.charts import Chart, chart
from prefect_exporter.health.model import Health
from prefect_exporter.status import CollectorStatus, Status

_UNKNOWN = Advice("Prefect gives no usable answer", "")
_ORDER = ("bad", "warn", "idle", "good", "off")


@dataclass(frozen=True, slots=True)
class Row:
    """One collector as the page shows it; *tone* is bad, warn, idle, good or off."""

    collector: CollectorStatus
    state: str
    tone: str
    last_success: str
    took: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure of a target; *errors* is each error with the collectors it stops."""

    target: str
    title: str
    mend: str
    errors: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Group:
    """The collectors of one target, worst first; *headline* is a tone and words for all of them."""

    target: str
    headline: tuple[str, str]
    rows: Sequence[Row]


def render_page(status: Status, health: Health, nonce: str, *, links_metrics: bool = True) -> str:
    """Return the page as HTML; *nonce* marks the style and script that its policy lets through."""
    rows = sorted((_row(row, status.at) for row in status.collectors), key=_urgency)
    return _TEMPLATE.render(
        status=status,
        health=health,
        charts=_charts(health),
        several=len(status.targets) > 1,
        groups=_groups(status, rows),
        problems=_failures(row.collector for row in rows),
        headline=_headline(status, rows),
        links_metrics=links_metrics,
        started=_ago(status.started, status.at),
        loaded=_ago(status.configuration.loaded, status.at),
        ledger_size=_size(status.ledger_bytes),
        nonce=nonce,
    )


def of_target(status: Status, target: str) -> Status:
    """Return the status as it is with one target alone."""
    return replace(
        status,
        targets=tuple(each for each in status.targets if each.name == target),
        collectors=tuple(each for each in status.collectors if each.target == target),
    )


def unready_line(row: CollectorStatus, now: datetime) -> str:
    """Return why ``/readyz`` waits for a collector; says its error's kind, not its text."""
    if row.last_success is None:
        state = "has not read Prefect yet"
    else:
        state = f"last read Prefect {_ago(row.last_success, now)}"
    return f"{row.target}/{row.name}: {state}" + (f" ({row.error_kind})" if row.error_kind else "")


def _charts(health: Health) -> list[Chart]:
    return [
        chart("completed", "Completed", health.rate.completed),
        chart("failed", "Failed", health.rate.failed),
    ]


def _row(row: CollectorStatus, now: datetime) -> Row:
    match row.succeeded, row.fresh:
        case _ if not row.supported:
            state, tone = "Not supported by this server", "off"
        case False, _ if not _fails(row):
            state, tone = "Waits for another collector", "idle"
        case None, _:
            state, tone = "First poll is running", "idle"
        case True, True:
            state, tone = "Works", "good"
        case True, False:
            state, tone = "Overdue", "warn"
        case False, True:
            state, tone = "Fails; last values still hold", "warn"
        case _:
            state, tone = "Fails", "bad"
    last = _ago(row.last_success, now) if row.last_success else "never"
    return Row(row, state, tone, last, _took(row.duration_seconds) if row.polls else "-")


def _urgency(row: Row) -> tuple[int, str, str]:
    return _ORDER.index(row.tone), row.collector.target, row.collector.name


def _groups(status: Status, rows: Iterable[Row]) -> list[Group]:
    """Return the rows by target, in the order of each one's worst row."""
    by_target: dict[str, list[Row]] = {}
    for row in rows:
        by_target.setdefault(row.collector.target, []).append(row)
    return [
        Group(target, _headline(of_target(status, target), own), own)
        for target, own in by_target.items()
    ]


def _failures(collectors: Iterable[CollectorStatus]) -> list[Failure]:
    failures: dict[tuple[str, str], Failure] = {}
    for row in filter(_fails, collectors):
        error = row.error or "no reason was given"
        known = advice(row.error_kind) or _UNKNOWN
        failure = Failure(row.target, known.title, known.mend, defaultdict(list))
        failure = failures.setdefault((row.target, known.title), failure)
        failure.errors[error].append(row.name)
    return list(failures.values())


def _fails(row: CollectorStatus) -> bool:
    return row.succeeded is False and row.error_kind != "waiting"


def _headline(status: Status, rows: Sequence[Row]) -> tuple[str, str]:
    failing = sum(_fails(row.collector) for row in rows)
    if failing:
        tone = "warn" if status.ready else "bad"
        return tone, f"{failing} of {len(rows)} collectors {'fails' if failing == 1 else 'fail'}"
    if not status.ready:
        return "idle", "Waiting for the first values"
    if status.configuration.problems:
        return "warn", "The new configuration cannot be used"
    if any(row.tone == "warn" for row in rows):
        return "warn", "Some collectors are overdue"
    return "good", "Everything works"


def _ago(then: datetime, now: datetime) -> str:
    return ago((now - then) / timedelta(seconds=1))


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1_000:.0f} ms"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1_024:  # noqa: PLR2004 - the step between binary units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_024
    return f"{count:.1f} GiB"


def _visible(value: object) -> object:
    """Spell out what nobody can see, such as an override of the writing direction.

    That also makes any text fit for UTF-8, a path with bytes that are none included.
    """
    # What is marked as HTML was made here, of values that came by here.
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)


def _parted(name: str) -> Markup:
    """Return a name that may break behind its first slash: before it, mostly, stands the flow."""
    before, slash, after = str(_visible(name)).partition("/")
    return escape(before) + (Markup("/<wbr>") + after if slash else "")


_PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("prefect_exporter"),
    autoescape=True,
    finalize=_visible,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {"ago": ago, "span": span, "took": _took, "parted": _parted}
_TEMPLATE = _PAGES.get_template("status.html")
