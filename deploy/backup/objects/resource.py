"""What one kind of object is: how it is read, what is kept of it, how it is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backup.errors import SourceUnavailable
from backup.objects.api import Api, Row

Rows = Sequence[Row]
Read = Mapping[str, Rows]
"""The rows of each kind that has been read before, by the kind's name."""


def _as_it_is(row: Row, _: Read) -> Row:
    return row


def _all(rows: Rows, _: Read) -> Rows:
    return rows


def _in_any_order(rows: Rows) -> Rows:
    return rows


def _not_at_all(_: Api, __: Row) -> None:
    pass


def _nothing(_: Row, __: Row) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object.

    Args:
        name: Its folder's.
        read: Asks for all there are; gets what was read before.
        fields: What is kept, beside ``id``. All else the server makes itself: times, states, who.
        key: The fields that name one for people, also on another server.
        create: Makes one of a row without ``id`` and returns what the server made.
        tidy: Changes a row as the server gave it, before *fields* are taken.
        chosen: The rows that are worth a backup, of those read; gets the chosen of later kinds.
        ordered: Puts rows so that what one needs stands before it.
        by_hand: What of a kept row, its first argument, the live one lacks and nobody but a person
            can give.
        ours: Fields that are this backup's own words: neither compared nor sent.
        change: Changes one to what was kept. Only of a kind that the server makes by itself
            together with another, and only where this restore made that other one.
        part_of: That other kind, and the field that names it.
        optional: Whether a server may do without it, as Prefect Cloud does.
        named_uniquely: Whether only one can have a key.
        names_others: Whether an id in it that nothing here has is worth a word.
    """

    name: str
    read: Callable[[Api, Read], Rows]
    fields: tuple[str, ...]
    key: tuple[str, ...]
    create: Callable[[Api, Row], Row]
    tidy: Callable[[Row, Read], Row] = _as_it_is
    chosen: Callable[[Rows, Read], Rows] = _all
    ordered: Callable[[Rows], Rows] = _in_any_order
    by_hand: Callable[[Row, Row], Iterable[str]] = _nothing
    ours: tuple[str, ...] = ()
    change: Callable[[Api, Row], None] = _not_at_all
    part_of: tuple[str, str] | None = None
    optional: bool = False
    named_uniquely: bool = True
    names_others: bool = False

    def rows(self, api: Api, before: Read) -> Rows:
        """Return all there are, with what is kept and nothing else.

        Raises:
            SourceUnavailable: The API gave no good answer.
        """
        return [self.told(row, before) for row in self.read(api, before)]

    def told(self, row: Row, before: Read) -> Row:
        """Return what is kept of a row that the server gave.

        Raises:
            SourceUnavailable: It is not as Prefect's are.
        """
        try:
            tidied = self.tidy(row, before)
            kept = {field: tidied[field] for field in ("id", *self.fields) if field in tidied}
            if all(isinstance(kept[field], str) for field in self.key):
                return kept
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            pass
        raise SourceUnavailable(f"the API gives {self.name} that are not as Prefect's are")

    def key_of(self, row: Row) -> tuple[str, ...]:
        """Return a row's name for people."""
        return tuple(str(row.get(field)) for field in self.key)

    def body(self, row: Row) -> Row:
        """Return what of a row the server knows and another server may have too."""
        return {name: value for name, value in row.items() if name not in ("id", *self.ours)}


def listed(route: str, **query: object) -> Callable[[Api, Read], Rows]:
    """Return a *read* that asks one filter route."""
    return lambda api, _: api.rows(route, **query)


def posted(path: str) -> Callable[[Api, Row], Row]:
    """Return a *create* that posts the row to one path."""
    return lambda api, row: api.create(path, row)
