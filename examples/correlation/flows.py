"""A warehouse that fulfils them: `python flows.py` serves the deployment `fulfil/shop`."""

from __future__ import annotations

from prefect import flow, get_run_logger, task

from prefect_instrumentation import counter, error_context, record_io, setup, traced

STOCK = {"tea": 10}

shipped = counter("shop_items_shipped", unit="{item}", description="Items that have left.")


@traced(source="postgres://warehouse/stock")
@task
def reserve(item: str, quantity: int) -> None:
    """Take items out of stock."""
    stock = STOCK.get(item, 0)
    with error_context(item=item, in_stock=stock):
        if quantity > stock:
            raise ValueError("not enough in stock")
    record_io(records=quantity)


@task
def ship(item: str, quantity: int) -> None:
    """Send items off."""
    shipped.add(quantity, item=item)
    get_run_logger().info("order shipped", extra={"item": item, "quantity": quantity})


@flow
def fulfil(item: str, quantity: int) -> None:
    """Fulfil one order."""
    reserve(item, quantity)
    ship(item, quantity)


if __name__ == "__main__":
    setup(service_name="warehouse", logs=True, meters=True)
    fulfil.serve(name="shop")
