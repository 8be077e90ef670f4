"""What a process of a pool runs in tests: it imports this by its name."""

from __future__ import annotations

from prefect_instrumentation._errors.context import error_context


def fail_elsewhere(order: int) -> None:
    """Fail, with a fact."""
    with error_context(order=order):
        raise ValueError("no")
