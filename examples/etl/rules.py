"""What makes a row a good order. Pure: rows in, the same rows out, each with its reason or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from etl.model import Reason
from etl.source import MAX_ROW_BYTES

RAW = {"row_id": pl.String(), "size": pl.UInt32(), "raw": pl.Binary()}
"""Columns of what was extracted: `size` is that of the whole order, `raw` what was kept of it."""

FIELDS = ("order_id", "customer", "amount", "currency", "ordered_at", "status")
LOADED = ["row_id", *FIELDS[:4], "amount_eur", *FIELDS[4:]]
"""Columns of a committed part."""

REJECTED = ["row_id", "reason", "field", "raw", "size", "seen"]
"""Columns of a file with rejected rows."""

STATUSES = ("new", "paid", "shipped", "cancelled")
MAX_AMOUNT = 1e9
MAX_LENGTHS = {"order_id": 64, "customer": 200}
# Clocks differ by so much at most, or somebody's is wrong.
SKEW = timedelta(minutes=5)

_NUMBERS = ("amount",)
_PARSED = {
    "reason": pl.String(),
    "field": pl.String(),
    **{name: pl.Float64() if name in _NUMBERS else pl.String() for name in FIELDS},
}
_RFC_3339 = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)


def judge(rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return rows of the columns `RAW` with their fields, and `reason`, `field` and `seen`.

    Args:
        rows: As they were extracted.
        now: What is later, by more than `SKEW`, is in the future.
    """
    parsed = [parse(raw, size) for raw, size in zip(rows["raw"], rows["size"], strict=True)]
    fields = pl.DataFrame(parsed, schema=_PARSED, orient="row")
    judged = rows.hstack(fields).with_columns(ordered_at=_moment(), seen=pl.lit(now))
    return _with_reasons(judged, _checks(now))


def convert(orders: pl.DataFrame, rates: Mapping[str, float]) -> pl.DataFrame:
    """Return good orders with `amount_eur`; without a rate for the currency it is the reason.

    Args:
        orders: As `judge` left those without a reason.
        rates: What one unit of a currency is in euros.
    """
    known = pl.DataFrame(
        {"currency": list(rates), "rate": list(rates.values())},
        schema={"currency": pl.String(), "rate": pl.Float64()},
    )
    priced = orders.join(known, on="currency", how="left", maintain_order="left")
    converted = priced.with_columns(amount_eur=(pl.col("amount") * pl.col("rate")).round(2))
    no_rate = pl.col("rate").is_null()
    return _with_reasons(converted, [(Reason.BAD_CURRENCY, "currency", no_rate)]).drop("rate")


def parse(raw: bytes, size: int) -> tuple[Any, ...]:
    """Read one order: its reason and the reason's field, or two Nones, then `FIELDS`.

    Whatever it is that was sent, and however it is made: what is not taken has a reason.
    """
    if size > MAX_ROW_BYTES:
        return _rejected(Reason.TOO_LARGE, "")
    try:
        # Numbers of any length become a float at once, as long ones would take int() very long.
        order = json.loads(raw.decode(), parse_int=float, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return _rejected(Reason.NOT_JSON, "")
    if not isinstance(order, dict):
        return _rejected(Reason.NOT_AN_OBJECT, "")
    for name in FIELDS:
        if order.get(name) in (None, ""):
            return _rejected(Reason.MISSING_FIELD, name)
    for name in FIELDS:
        if not _fits(name, order[name]):
            return _rejected(Reason.WRONG_TYPE, name)
    return (None, None, *(order[name] for name in FIELDS))


def _rejected(reason: Reason, field: str) -> tuple[Any, ...]:
    return (reason.value, field, *(None for _ in FIELDS))


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found = list(pairs)
    told = dict(found)
    if len(told) < len(found):
        # Which one counts differs from reader to reader.
        raise ValueError("a name occurs twice")
    return told


def _fits(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return isinstance(value, float)
    return isinstance(value, str) and _is_text(value)


def _is_text(value: str) -> bool:
    """Tell text from what only JSON can write: one half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _moment() -> pl.Expr:
    text = pl.col("ordered_at").str.to_uppercase()
    offset = text.str.replace("Z$", "+00:00")
    moment = offset.str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False
    )
    return pl.when(text.str.contains(_RFC_3339)).then(moment)


def _checks(now: datetime) -> list[tuple[Reason, str, pl.Expr]]:
    amount, moment = pl.col("amount"), pl.col("ordered_at")
    too_long = [
        (Reason.TOO_LONG, name, pl.col(name).str.len_chars() > most)
        for name, most in MAX_LENGTHS.items()
    ]
    usable = amount.is_finite() & (amount > 0) & (amount <= MAX_AMOUNT)
    return [
        *too_long,
        (Reason.BAD_AMOUNT, "amount", ~usable),
        (Reason.BAD_CURRENCY, "currency", ~pl.col("currency").str.contains("^[A-Z]{3}$")),
        (Reason.BAD_TIME, "ordered_at", moment.is_null() | (moment > now + SKEW)),
        (Reason.UNKNOWN_STATUS, "status", ~pl.col("status").is_in(STATUSES)),
    ]


def _with_reasons(rows: pl.DataFrame, checks: list[tuple[Reason, str, pl.Expr]]) -> pl.DataFrame:
    """Give each row the first of the reasons that hold, where it has none."""
    reasons = [pl.when(failed).then(pl.lit(reason.value)) for reason, _, failed in checks]
    fields = [pl.when(failed).then(pl.lit(field)) for _, field, failed in checks]
    unjudged = pl.col("reason").is_null()
    return rows.with_columns(
        reason=pl.coalesce("reason", *reasons),
        field=pl.when(unjudged).then(pl.coalesce("field", *fields)).otherwise("field"),
    )
