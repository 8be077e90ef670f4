"""Values as OTLP brought them, as Python has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Attributes: TypeAlias = Mapping[str, object]


def attributes(given: Iterable[KeyValue]) -> Attributes:
    """Return attributes by their names; arrays are tuples, as the SDK holds them."""
    return {each.key: value(each.value) for each in given}


def value(given: AnyValue) -> object:
    """Return one value, nested or not."""
    match given.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return tuple(value(each) for each in given.array_value.values)
        case "kvlist_value":
            return attributes(given.kvlist_value.values)
        case kind:
            plain: object = getattr(given, kind)
            return plain
