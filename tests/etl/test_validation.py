"""Which rows are good orders, and why others are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import rules
from etl.lake import Lake
from etl.model import Extracted, Reason, RowId, Validated
from etl.rules import FIELDS, MAX_AMOUNT, SKEW, STATUSES, judge
from etl.seed import BAD, order
from etl.source import MAX_ROW_BYTES, Row
from etl.spool import publish_pages, write_rows
from etl.validation import convert, validate
from order_rows import HOSTILE, good, row

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RATES = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2}


def _judged(*orders: bytes) -> list[tuple[str | None, str | None]]:
    """Return each order's reason and the field that it is about."""
    rows = [(f"1-{at}", len(raw), raw[:MAX_ROW_BYTES]) for at, raw in enumerate(orders)]
    judged = judge(pl.DataFrame(rows, schema=rules.RAW, orient="row"), NOW)
    return list(zip(judged["reason"], judged["field"], strict=True))


def _at(moment: datetime) -> bytes:
    return row(1, ordered_at=moment.isoformat())


def test_good_order_is_taken_as_it_is() -> None:
    """Its fields arrive with their types, the time in UTC."""
    raw = row(1, ordered_at="2026-11-21T09:30:00.5+02:00", amount=7, customer="Zoë 王")
    rows = pl.DataFrame([("1-0", len(raw), raw)], schema=rules.RAW, orient="row")
    found = judge(rows, NOW).select("reason", *FIELDS).row(0)

    moment = datetime(2026, 11, 21, 7, 30, 0, 500_000, tzinfo=UTC)
    assert (None, "o-1", "Zoë 王", 7.0, "USD", moment, "paid") == found


@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": "o" * 64},
        {"customer": "é" * 200},
        {"amount": MAX_AMOUNT},
        {"amount": 0.01},
        {"status": "cancelled"},
        {"ordered_at": "2026-11-21t09:30:00z"},
        {"ordered_at": "2026-11-21T09:30:00.123456789-23:59"},
        {"ordered_at": (NOW + SKEW).isoformat()},
        {"note": "of no concern", "more": [1, {"a": None}]},
    ],
    ids=str,
)
def test_last_good_value_is_good(fields: dict[str, object]) -> None:
    """Limits belong to what is allowed, and unknown fields are passed over."""
    assert [(None, None)] == _judged(row(1, **fields))


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_given(reason: Reason) -> None:
    """Every kind of bad order has its own reason, and the good ones beside it have none."""
    made = order(Random(1), NOW)
    clean = json.dumps(made).encode()
    found = _judged(clean, BAD[reason](made), clean)

    assert [None, reason.value, None] == [each for each, _ in found]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_order_is_rejected(name: str) -> None:
    """However it is made, the worker lives, and the rows around it are taken."""
    raw = HOSTILE[name].raw
    expected = "too_large" if len(raw) > MAX_ROW_BYTES else HOSTILE[name].reason

    assert [None, expected, None] == [each for each, _ in _judged(row(1), raw, row(2))]


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (row(1, order_id=""), "missing_field", "order_id"),
        (row(1, status=None), "missing_field", "status"),
        (row(1, amount="12"), "wrong_type", "amount"),
        (row(1, order_id="o" * 65), "too_long", "order_id"),
        (row(1, customer="é" * 201), "too_long", "customer"),
        (row(1, amount=0), "bad_amount", "amount"),
        (row(1, amount=1e9 + 0.01), "bad_amount", "amount"),
        (row(1, currency="EURO"), "bad_currency", "currency"),
        (row(1, currency="EUR\n"), "bad_currency", "currency"),
        (row(1, ordered_at="2026-02-30T00:00:00Z"), "bad_time", "ordered_at"),
        (row(1, ordered_at="2026-11-21 08:00:00Z"), "bad_time", "ordered_at"),
        (row(1, ordered_at="+012026-01-01T00:00:00Z"), "bad_time", "ordered_at"),
        (_at(NOW + SKEW + timedelta(seconds=1)), "bad_time", "ordered_at"),
        (row(1, status="Paid"), "unknown_status", "status"),
        (row(1)[:-1] + b', "status": "paid"}', "not_json", ""),
        (b"\xef\xbb\xbf" + row(1), "not_json", ""),
        (b"x" * (MAX_ROW_BYTES + 1), "too_large", ""),
    ],
)
def test_first_bad_value_is_bad(raw: bytes, reason: str, field: str) -> None:
    """The field says what to look at; a name that occurs twice would mean this or that."""
    assert [(reason, field)] == _judged(raw)


def test_first_reason_of_several_is_given() -> None:
    """In the order in which `Reason` has them, and with its own field."""
    raw = row(1, customer="x" * 300, amount=-1, currency="?", status="lost")

    assert [("too_long", "customer")] == _judged(raw)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_ORDERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.just(good(1)[name]) | st.sampled_from(["", "EUR", "new", 1, -1]) | _JSON
        for name in FIELDS
    },
)


@given(st.lists(st.binary() | _ORDERS.map(lambda each: json.dumps(each).encode()), max_size=20))
def test_every_row_is_judged(orders: list[bytes]) -> None:
    """Whatever is sent, each row is either good in every field, or has a reason that there is."""
    rows = [(f"1-{at}", len(raw), raw) for at, raw in enumerate(orders)]
    judged = judge(pl.DataFrame(rows, schema=rules.RAW, orient="row"), NOW)
    accepted = judged.filter(pl.col("reason").is_null())
    reasons = set(judged["reason"].drop_nulls())

    assert [row_id for row_id, _, _ in rows] == judged["row_id"].to_list()
    assert reasons <= set(Reason)
    assert 0 == sum(accepted.select(FIELDS).null_count().row(0))
    assert accepted["status"].is_in(STATUSES).all()
    assert ((accepted["amount"] > 0) & (accepted["amount"] <= MAX_AMOUNT)).all()


def _extracted(lake: Lake, *orders: bytes) -> Extracted:
    """Put orders in the spool, three in a page."""
    rows = [Row(RowId(1, at), len(raw), raw) for at, raw in enumerate(orders)]
    pages = [rows[at : at + 3] for at in range(0, len(rows), 3)]

    def fill(folder: Path) -> tuple[str, dict[str, int | str]]:
        write_rows(folder, pages)
        return f"1-0-1-9.{len(rows)}", {}

    return Extracted("1-0-1-9", publish_pages(lake, fill), len(rows), 1)


def _ids(validated: Validated, kind: str) -> list[str]:
    files = list(validated.folder.glob(f"{kind}-*.parquet"))
    return sorted(row_id for file in files for row_id in pl.read_parquet(file)["row_id"])


def test_rows_are_sorted_into_files(lake: Lake) -> None:
    """Each row is in one file, over all pages, and the counts say how many."""
    extracted = _extracted(lake, row(1), b"bad", row(2), b"bad", row(3), row(4), b"bad")
    found = validate(lake, extracted, now=NOW)

    assert (4, 3) == (found.accepted, found.rejected)
    assert ["1-0", "1-2", "1-4", "1-5"] == _ids(found, "accepted")
    assert ["1-1", "1-3", "1-6"] == _ids(found, "rejected")


def test_rejected_row_keeps_what_was_sent(lake: Lake) -> None:
    """To the byte, as whoever made it has to find it again."""
    found = validate(lake, _extracted(lake, row(1), b"\xff\x00bad"), now=NOW)
    rejected = pl.read_parquet(next(found.folder.glob("rejected-*.parquet")))

    assert [("1-1", "not_json", "", b"\xff\x00bad", 5, NOW)] == rejected.rows()


def test_orders_are_converted(lake: Lake) -> None:
    """To cents; an order in a currency without a rate joins those rejected before."""
    orders = [row(1, amount=10.01, currency="USD"), row(2, currency="CHF"), b"bad"]
    found = convert(lake, validate(lake, _extracted(lake, *orders), now=NOW), RATES)
    accepted = pl.read_parquet(found.folder / "accepted-*.parquet")
    rejected = pl.read_parquet(found.folder / "rejected-*.parquet").sort("row_id")

    assert (1, 2) == (found.accepted, found.rejected)
    assert [("1-0", 9.01)] == accepted.select("row_id", "amount_eur").rows()
    assert [("1-1", "bad_currency"), ("1-2", "not_json")] == rejected[["row_id", "reason"]].rows()


def test_steps_done_twice_are_done_once(lake: Lake) -> None:
    """A task that is tried again finds its result, also where the rates differ by then."""
    extracted = _extracted(lake, row(1, currency="USD"), b"bad")
    first = convert(lake, validate(lake, extracted, now=NOW), RATES)
    again = convert(lake, validate(lake, extracted, now=NOW + timedelta(days=900)), {})

    assert first == again
    assert ["1-0"] == _ids(again, "accepted")


def test_nothing_but_bad_rows_is_fine(lake: Lake) -> None:
    """A chunk without one good row, or without one row, goes its way as well."""
    bad = convert(lake, validate(lake, _extracted(lake, b"bad", b"bad"), now=NOW), RATES)
    other = Lake(lake.destination, "globex")
    none = convert(other, validate(other, _extracted(other), now=NOW), RATES)

    assert ((0, 2), (0, 0)) == ((bad.accepted, bad.rejected), (none.accepted, none.rejected))


def test_fuller_copy_is_judged_anew(lake: Lake) -> None:
    """Rows that were put back are loaded, also where a killed run had validated those before."""
    orders = [row(number) for number in range(10)]
    validate(lake, _extracted(lake, *orders[:9]), now=NOW)
    found = convert(lake, validate(lake, _extracted(lake, *orders), now=NOW), RATES)

    assert (10, [f"1-{at}" for at in range(10)]) == (found.accepted, _ids(found, "accepted"))
