"""A query without data needs a reason, and a reason needs a query without data."""

from __future__ import annotations

from live_boards import Reason, missing, needless
from pictures.asking import Answer
from pictures.boards import Query

_DATA = [{"metric": {}, "value": [0, "1"]}]


def answer(text: str, *, data: bool) -> Answer:
    """Return what came of a query."""
    return Answer(Query("board", "panel", 1, "A", "prometheus", text), text, _DATA * data, 0.1)


def test_query_without_data_is_missing_unless_excused() -> None:
    """Only what no reason covers is missing."""
    answers = [answer("pg_up", data=False), answer("up", data=False), answer("runs", data=True)]

    assert ["board / panel / A"] == missing(answers, [Reason(r"\bpg_", "no PostgreSQL")])


def test_reason_is_needless_once_there_is_data() -> None:
    """Data that came, and a query that went, are told of; what depends on chance is not."""
    answers = [answer("pg_up", data=True)]

    assert [r"\bpg_: board / panel / A", "redis_: no such query"] == needless(
        answers,
        [Reason(r"\bpg_", ""), Reason("redis_", ""), Reason("up", "at times", always=False)],
    )
