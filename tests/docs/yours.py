"""What excerpts in the pages leave to their readers: imports, functions and data of theirs."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import flow, task

from prefect_instrumentation import error_context

__all__ = ["Order", "charge", "error_context", "fetch", "flow", "orders", "task"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a reader's shop."""

    id: int


orders = [Order(1), Order(2)]


def charge(order: Order) -> None:
    """Take the money for an order."""


def fetch(url: str) -> bytes:
    """Read a page of a reader's choice."""
    return url.encode()
