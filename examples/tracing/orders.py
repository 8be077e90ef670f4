"""A flow with a readable trace: `python orders.py` runs it in this process."""

from __future__ import annotations

from prefect import flow, task

from prefect_instrumentation import annotate, record_io, setup, traced


@traced(source="s3://shop/orders", record=["day"])
@task(retries=2)
def extract(day: str) -> list[int]:
    """Return the amounts of a day's orders."""
    amounts = [len(day), 20, 30]
    record_io(records=len(amounts))
    return amounts


@traced
def total(amounts: list[int]) -> int:
    """Add up; a plain function has a span of its own with `@traced`."""
    annotate(orders=len(amounts))
    return sum(amounts)


@traced(destination="s3://lake/totals")
@task
def load(amount: int) -> None:
    """Write the total."""
    record_io(records=1, bytes=amount.bit_length())


@flow
def orders(day: str = "monday") -> int:
    """Add up the orders of a day."""
    amount = total(extract(day))
    load(amount)
    return amount


if __name__ == "__main__":
    setup(service_name="orders")
    orders()
