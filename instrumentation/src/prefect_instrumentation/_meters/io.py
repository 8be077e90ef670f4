"""What runs read and write, and which run it is that does."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from prefect_instrumentation._calls import spec_here
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._meters.definitions import IO_BYTES, IO_RECORDS
from prefect_instrumentation._meters.instruments import Instruments, amount_of, process

NO_RUN = {"flow": "", "task": "", "deployment": ""}

current: ContextVar[tuple[Instruments, Mapping[str, str]]] = ContextVar(
    "prefect_instrumentation_meters", default=(process, NO_RUN)
)
"""The instruments and labels of the run whose own code is current."""


@guarded
def count(
    records: int | None, bytes_: int | None, source: str | None, destination: str | None
) -> None:
    """Count what was read or written; where a place is not named, `@traced` may have named it."""
    instruments, run = current.get()
    spec = spec_here()
    labels = {
        **run,
        "source": source or (spec and spec.source) or "",
        "destination": destination or (spec and spec.destination) or "",
    }
    for definition, value in ((IO_RECORDS, records), (IO_BYTES, bytes_)):
        amount = amount_of(value)
        if isinstance(amount, int):  # of any other the span's attributes tell
            instruments.record(definition, amount, labels)
