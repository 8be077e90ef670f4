"""A user's own rules, which are asked before all others: a TOML file, as docs/errors.md has it.

The same file as the instrumentation's, which leaves out a bad rule, as it runs inside of flows.
Here it is refused: whoever sets it looks at the exporter's start.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from prefect_exporter.failures.rules import Rule, Rules

MAX_RULES = 1000
"""Most rules of a file; every failure is held against all of them."""

MAX_FILE = 1_000_000
"""Most bytes of the file."""

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Names = frozenset[_Name]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: Literal[
        "user_code",
        "data",
        "timeout",
        "upstream",
        "infrastructure",
        "cancelled",
        "configuration",
    ]
    types: _Names = frozenset()
    packages: _Names = frozenset()
    states: _Names = frozenset()
    statuses: _Names = frozenset()
    message: _Name | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: Annotated[tuple[_Table, ...], msgspec.Meta(max_length=MAX_RULES)] = ()


def read(path: str) -> Rules:
    """Return the rules of a file, in their order.

    Raises:
        ValueError: It cannot be read, or holds something else than rules.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise ValueError(f"has more than {MAX_FILE:,} bytes")
        tables = msgspec.toml.decode(raw, type=_File).rule
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"holds no rules: {error}") from None
    return tuple(_rule(number, table) for number, table in enumerate(tables, 1))


def _rule(number: int, table: _Table) -> Rule:
    names = (table.types, table.packages, table.states, table.statuses)
    if not any(names) and table.message is None:
        raise ValueError(f"has a [[rule]] without a condition, number {number}")
    try:
        message = None if table.message is None else re.compile(table.message)
    except re.error as error:
        problem = f"has a [[rule]], number {number}, whose message is no regular expression"
        raise ValueError(f"{problem} ({error})") from None
    return Rule(
        table.category,
        types=table.types,
        packages=table.packages,
        message=message,
        states=table.states,
        statuses=table.statuses,
    )
