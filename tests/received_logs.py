"""Log records as OTLP brought them, as values that can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from received_values import Attributes, attributes, value


@dataclass(frozen=True, slots=True)
class ReceivedLog:
    """One log record as it arrived.

    Args:
        time_ns: nanoseconds since 1970.
        severity: such as `INFO` or `ERROR3`; `UNSPECIFIED` for none.
        severity_text: what its sender calls it.
        body: whatever it is, mostly text.
        attributes: arrays are tuples here, nested ones mappings.
        trace_id, span_id: in hexadecimal, "" for none.
        resource: the attributes of whoever sent it.
        scope: the name of the instrumentation.
    """

    time_ns: int
    severity: str
    severity_text: str
    body: object
    attributes: Attributes
    trace_id: str
    span_id: str
    resource: Attributes
    scope: str


def read_logs(request: ExportLogsServiceRequest) -> Iterator[ReceivedLog]:
    """Yield the log records of one export."""
    for each in request.resource_logs:
        resource = attributes(each.resource.attributes)
        for scope in each.scope_logs:
            for record in scope.log_records:
                yield _log(record, resource, scope.scope.name)


def _log(record: LogRecord, resource: Attributes, scope: str) -> ReceivedLog:
    return ReceivedLog(
        time_ns=record.time_unix_nano,
        severity=SeverityNumber.Name(record.severity_number).removeprefix("SEVERITY_NUMBER_"),
        severity_text=record.severity_text,
        body=value(record.body),
        attributes=attributes(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        resource=resource,
        scope=scope,
    )
