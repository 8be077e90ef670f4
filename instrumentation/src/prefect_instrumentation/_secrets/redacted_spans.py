"""Spans without secrets, whoever has made them, on their way to an exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AnyValue, Attributes

from prefect_instrumentation import attributes as names
from prefect_instrumentation._secrets import redactor
from prefect_instrumentation._secrets.redaction import Redactor
from prefect_instrumentation._secrets.secret_text import HIDDEN


def redacted(spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """Return the spans without secrets; one that holds none is returned itself."""
    hiding = redactor()
    return [_span(span, hiding) for span in spans]


class _Redacted(ReadableSpan):
    """A span with less in it than the one that was recorded, of which it keeps what was dropped."""

    def __init__(self, of: ReadableSpan, hiding: Redactor) -> None:
        super().__init__(
            name=hiding.text(of.name),
            context=of.context,
            parent=of.parent,
            resource=of.resource,
            attributes=_attributes(of.attributes, hiding),
            events=[_event(event, hiding) for event in of.events],
            links=[Link(link.context, _attributes(link.attributes, hiding)) for link in of.links],
            kind=of.kind,
            status=_status(of.status, hiding),
            start_time=of.start_time,
            end_time=of.end_time,
            instrumentation_scope=of.instrumentation_scope,
        )
        self._of = of

    @property
    def dropped_attributes(self) -> int:
        return self._of.dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self._of.dropped_events

    @property
    def dropped_links(self) -> int:
        return self._of.dropped_links


def _span(span: ReadableSpan, hiding: Redactor) -> ReadableSpan:
    said = [
        span.attributes,
        *(event.attributes for event in span.events),
        *(link.attributes for link in span.links),
    ]
    texts = [span.name, span.status.description or "", *(event.name for event in span.events)]
    if all(hiding.text(text) == text for text in texts) and all(
        _attributes(each, hiding) == dict(each or {}) for each in said
    ):
        return span
    return _Redacted(span, hiding)


def _event(event: Event, hiding: Redactor) -> Event:
    attributes = _attributes(event.attributes, hiding)
    return Event(hiding.text(event.name), attributes, event.timestamp)


def _status(status: Status, hiding: Redactor) -> Status:
    return Status(status.status_code, status.description and hiding.text(status.description))


def _attributes(attributes: Attributes, hiding: Redactor) -> dict[str, AnyValue]:
    return {
        hiding.text(name): _value(value, hiding)
        if name.startswith(names.PARAMETER_TYPE) or not hiding.hides(name, value)
        else HIDDEN
        for name, value in (attributes or {}).items()
    }


def _value(value: AnyValue, hiding: Redactor) -> AnyValue:
    if isinstance(value, str):
        return hiding.text(value)
    if isinstance(value, Mapping):
        return _attributes(value, hiding)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(_value(item, hiding) for item in value)
    if isinstance(value, bytes):
        shown = value.decode("utf-8", "backslashreplace")
        safe = hiding.text(shown)
        return value if safe == shown else safe.encode()
    return value
