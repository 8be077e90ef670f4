"""Whose a failure is: the categories, and how rules decide, as docs/errors.md specifies it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from prefect_exporter.failures.bases import UNKNOWN_MODULE
from prefect_exporter.failures.facts import ErrorFacts, Facts, StateFacts

USER_CODE = "user_code"
CATEGORIES = (
    *(USER_CODE, "data", "timeout", "upstream", "infrastructure", "cancelled", "configuration"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Says the category of failures that meet all of its conditions, at least one.

    Args:
        category: One of ``CATEGORIES``.
        types: Full names, of the error's class or of one that it derives from.
        packages: First part of such a name.
        message: Is found in the error's message, or in that of the state.
        states: Types or names of the run's state, such as ``CRASHED`` or ``TimedOut``.
        statuses: Of an HTTP response, such as ``429``, or ``5xx`` for all of a hundred.
        raised_in: ``file:function`` of the innermost frame, whosever it is.
        in_api_client: Prefect's own client was asking Prefect's API.
    """

    category: str
    types: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    message: re.Pattern[str] | None = None
    states: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    raised_in: frozenset[str] = frozenset()
    in_api_client: bool = False


Rules: TypeAlias = Sequence[Rule]


@cache
def built_in() -> tuple[Rules, Rules]:
    """Return the specific rules and the general ones, as ``rules.toml`` has them."""
    text = files("prefect_exporter.failures").joinpath("rules.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    specific, general = (tuple(map(_rule, tables[name])) for name in ("specific", "general"))
    return specific, general


def classify(facts: Facts, own: Rules = ()) -> str:
    """Return the category that the first rule says which a failure meets, else ``user_code``.

    A list is asked of the error, then of what is one level below it, its cause and the members
    of a group, and so on, before the next list is asked of any.

    Args:
        facts: What is known of it.
        own: A user's rules, which are asked before the built-in ones.
    """
    levels = list(_levels(facts))
    for rules in (own, *built_in()):
        for subjects in levels:
            for rule in rules:
                if any(subject.meets(rule) for subject in subjects):
                    return rule.category
    return USER_CODE


@dataclass(frozen=True, slots=True)
class _Subject:
    """One error as rules look at it; the outermost together with the run's state."""

    error: ErrorFacts | None
    state: StateFacts | None = None

    def meets(self, rule: Rule) -> bool:
        """Return whether every condition of the rule is met."""
        return (
            (not rule.states or self._in_state(rule.states))
            and (not _asks_of_error(rule) or (self.error is not None and _is(self.error, rule)))
            and (rule.message is None or any(map(rule.message.search, self._messages())))
        )

    def _in_state(self, states: frozenset[str]) -> bool:
        return self.state is not None and not states.isdisjoint((self.state.type, self.state.name))

    def _messages(self) -> Iterator[str]:
        if self.error is not None:
            yield self.error.message
        if self.state is not None:
            yield self.state.message


def _levels(facts: Facts) -> Iterator[list[_Subject]]:
    subjects = [_Subject(facts.error, facts.state)]
    while subjects:
        yield subjects
        errors = [subject.error for subject in subjects if subject.error]
        subjects = [
            _Subject(below)
            for error in errors
            for below in (error.cause, *error.members)
            if below is not None
        ]


def _asks_of_error(rule: Rule) -> bool:
    return bool(
        rule.types or rule.packages or rule.statuses or rule.raised_in or rule.in_api_client
    )


def _is(error: ErrorFacts, rule: Rule) -> bool:
    return (
        (not rule.types or any(_is_named(name, rule.types) for name in error.types))
        and (not rule.packages or any(_package(name) in rule.packages for name in error.types))
        and (not rule.statuses or not rule.statuses.isdisjoint(_statuses(error.status)))
        and (not rule.raised_in or error.stack.innermost in rule.raised_in)
        and (not rule.in_api_client or error.stack.in_api_client)
    )


def _is_named(name: str, names: frozenset[str]) -> bool:
    if not name.startswith(UNKNOWN_MODULE):
        return name in names
    return name.removeprefix(UNKNOWN_MODULE) in _short(names)


@cache
def _short(names: frozenset[str]) -> frozenset[str]:
    return frozenset(each.rpartition(".")[2] for each in names)


def _package(name: str) -> str:
    package, dot, _ = name.removeprefix(UNKNOWN_MODULE).partition(".")
    return package if dot else ""


def _statuses(status: int) -> tuple[str, ...]:
    return (str(status), f"{status // 100}xx") if status else ()


def _rule(table: dict[str, Any]) -> Rule:
    message = table.pop("message", None)
    return Rule(
        category=table.pop("category"),
        message=None if message is None else re.compile(message),
        in_api_client=table.pop("in_api_client", False),
        **{condition: frozenset(names) for condition, names in table.items()},
    )
