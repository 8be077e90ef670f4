"""What an error is called, which errors are the same, and whose they are: see docs/errors.md."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from prefect_instrumentation import attributes
from prefect_instrumentation._errors import digests, facts
from prefect_instrumentation._errors.facts import Facts
from prefect_instrumentation._errors.rules import Rules, classify
from prefect_instrumentation._runs import StateChange


def describe(error: BaseException, state: StateChange | None = None) -> Mapping[str, str]:
    """Return the error's attributes: its type, its fingerprint and its category.

    Args:
        error: as it was raised; its traceback makes the fingerprint.
        state: that the run ended in; without one the error alone decides.
    """
    read = facts.read(error)
    return {
        attributes.ERROR_TYPE: read.types[0],
        attributes.ERROR_FINGERPRINT: digests.of_error(read),
        attributes.ERROR_CATEGORY: classify(Facts(read, state), _rules()),
    }


def describe_state(state: StateChange, function: str) -> Mapping[str, str]:
    """Return the same attributes for a run that failed without raising.

    Args:
        state: such as a Failed state that the user returned.
        function: full name of what the run called.
    """
    return {
        attributes.ERROR_TYPE: f"prefect.{state.name}",
        attributes.ERROR_FINGERPRINT: digests.of_state(state.name, function),
        attributes.ERROR_CATEGORY: category(None, state),
    }


def type_name(error: BaseException) -> str:
    """Return the full name of the error's class, without `builtins` or the name of a script."""
    return facts.name_of(type(error))


def fingerprint(error: BaseException) -> str:
    """Return 16 hex digits that are the same for the same failure of the same code."""
    return digests.of_error(facts.read(error))


def category(error: BaseException | None, state: StateChange | None) -> str:
    """Return whose the failure is: one of `_errors.rules.CATEGORIES`."""
    read = None if error is None else facts.read(error)
    return classify(Facts(read, state), _rules())


def where(error: BaseException) -> str:
    """Return the line that raised, such as `flows.py:12 in load`; "" where nothing tells."""
    return facts.where(error)


@functools.cache
def _rules() -> tuple[Rules, ...]:
    from prefect_instrumentation._errors.rule_file import read  # noqa: PLC0415 - errors are rare
    from prefect_instrumentation._errors.rule_table import BUILT_IN  # noqa: PLC0415 - likewise

    return (read(os.environ), *BUILT_IN)
