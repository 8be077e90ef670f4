"""Names of the attributes that spans of runs carry: ours, and where they fit OpenTelemetry's.

OpenTelemetry has no names for workflow engines yet, only for CI/CD pipelines, so Prefect's words
stand under `prefect.`: https://opentelemetry.io/docs/specs/semconv/registry/attributes/
"""

from __future__ import annotations

RUN_TYPE = "prefect.run.type"
"""`flow` or `task`."""

RUN_COUNT = "prefect.run.count"
"""How often the run was started, over all processes; 1 without a retry, 0 if it never was."""

FLOW_ID = "prefect.flow.id"
FLOW_NAME = "prefect.flow.name"
FLOW_RUN_ID = "prefect.flow_run.id"
FLOW_RUN_NAME = "prefect.flow_run.name"
FLOW_RUN_URL = "prefect.flow_run.url"
FLOW_RUN_TAGS = "prefect.flow_run.tags"
TASK_NAME = "prefect.task.name"
TASK_RUN_ID = "prefect.task_run.id"
TASK_RUN_NAME = "prefect.task_run.name"

DEPLOYMENT_ID = "prefect.deployment.id"
DEPLOYMENT_NAME = "prefect.deployment.name"
WORK_POOL_NAME = "prefect.work_pool.name"
WORK_QUEUE_NAME = "prefect.work_queue.name"

TAGS = "prefect.tags"

PARAMETER_TYPE = "prefect.parameter.type."
"""Followed by a parameter's name: the name of its value's type."""

PARAMETER_VALUE = "prefect.parameter.value."
"""Followed by a parameter's name, only for those that `@traced(record=...)` names."""

STATE_TYPE = "prefect.state.type"
STATE_NAME = "prefect.state.name"
STATE_MESSAGE = "prefect.state.message"

CACHED = "prefect.cached"
"""True where the result came from the cache and the task's code did not run."""

SOURCE = "prefect.source"
DESTINATION = "prefect.destination"
RECORDS = "prefect.io.records"
BYTES = "prefect.io.bytes"

SPAN_ORIGIN = "prefect.span.origin"
"""`server_record` where the exporter has told of a run whose process was killed."""

CORRELATION_ID = "correlation_id"

ERROR_TYPE = "error.type"
ERROR_FINGERPRINT = "prefect.error.fingerprint"
"""16 hex digits: the same for the same failure of the same code, whatever its message and lines."""

ERROR_CATEGORY = "prefect.error.category"
"""One of user_code, data, timeout, upstream, infrastructure, cancelled, configuration."""

ERROR_CONTEXT = "prefect.error.context."
"""Followed by a fact's name, of `error_context()`; on the event of the exception."""

EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"

CODE_FUNCTION_NAME = "code.function.name"
