"""Traces of flow runs as the instrumentation sends them: a flow's span and those of its tasks."""

from __future__ import annotations

import random
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

TASKS = 5
SPANS_PER_RUN = TASKS + 1
_FAILED_SHARE = 0.05
# As in the simulated day: seconds, by the mean and the spread of their logarithms.
_LONG, _SPREAD, _LONGEST_SECONDS = 3.0, 1.2, 600.0
_SECOND_NS = 1_000_000_000


class Traces:
    """Makes runs of so many flows; the same *seed* makes the same ones."""

    def __init__(self, flows: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._flows = flows

    def request(self, runs: int, now_ns: int) -> ExportTraceServiceRequest:
        """Return the spans of so many runs that have ended just now."""
        return ExportTraceServiceRequest(resource_spans=[self._run(now_ns) for _ in range(runs)])

    def _run(self, now_ns: int) -> ResourceSpans:
        chance = self._chance
        number = chance.randrange(self._flows)
        trace_id, flow_id = chance.randbytes(16), chance.randbytes(8)
        seconds = min(chance.lognormvariate(_LONG, _SPREAD), _LONGEST_SECONDS)
        began_ns = now_ns - int(seconds * _SECOND_NS)
        names = _names(number, trace_id)
        failed = chance.random() < _FAILED_SHARE
        step_ns = (now_ns - began_ns) // TASKS
        spans = [
            self._span(
                trace_id,
                f"task-{task}",
                names | _task(task, trace_id),
                began_ns + task * step_ns,
                began_ns + (task + 1) * step_ns,
                parent=flow_id,
                failed=failed and task == TASKS - 1,
            )
            for task in range(TASKS)
        ]
        flow = self._span(
            trace_id, f"flow-{number:05d}", names, began_ns, now_ns, own=flow_id, failed=failed
        )
        resource = ResourceSpans()
        resource.resource.attributes.extend(_attributes(_resource(number, trace_id)))
        resource.scope_spans.add().spans.extend([*spans, flow])
        return resource

    def _span(  # noqa: PLR0913  # what a span has
        self,
        trace_id: bytes,
        name: str,
        attributes: Mapping[str, str],
        began_ns: int,
        ended_ns: int,
        *,
        parent: bytes = b"",
        own: bytes = b"",
        failed: bool = False,
    ) -> Span:
        return Span(
            trace_id=trace_id,
            span_id=own or self._chance.randbytes(8),
            parent_span_id=parent,
            name=name,
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=began_ns,
            end_time_unix_nano=ended_ns,
            attributes=_attributes(attributes),
            events=[
                Span.Event(name="Running", time_unix_nano=began_ns),
                Span.Event(name="Failed" if failed else "Completed", time_unix_nano=ended_ns),
            ],
            status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_OK),
        )


def _names(number: int, run: bytes) -> dict[str, str]:
    return {
        "prefect.flow.name": f"flow-{number:05d}",
        "prefect.flow_run.id": run.hex(),
        "prefect.flow_run.name": f"quiet-{run[:3].hex()}",
        "prefect.deployment.name": f"deployment-{number:05d}",
        "prefect.work_pool.name": f"pool-{number % 20:02d}",
        "prefect.work_queue.name": f"queue-{number % 50:02d}",
        "prefect.run.attempt": "1",
        "prefect.run.type": "flow",
    }


def _task(task: int, run: bytes) -> dict[str, str]:
    return {
        "prefect.task.name": f"task-{task}",
        "prefect.task_run.id": run[::-1].hex(),
        "prefect.task_run.name": f"task-{task}-{run[:2].hex()}",
        "prefect.run.type": "task",
        "code.function.name": f"flows.task_{task}",
        "correlation_id": run[:8].hex(),
    }


def _resource(number: int, run: bytes) -> dict[str, str]:
    return {
        "service.name": f"team-{number % 50:02d}",
        "service.instance.id": run[:8].hex(),
        "deployment.environment.name": "production",
        "k8s.namespace.name": "flows",
        "k8s.pod.name": f"flow-{number:05d}-{run[:5].hex()}",
        "telemetry.sdk.language": "python",
    }


def _attributes(texts: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in texts.items()]
