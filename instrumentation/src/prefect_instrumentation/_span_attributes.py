"""What a run's span says of it from its start, bounded; and the event of an exception."""

from __future__ import annotations

import traceback
from itertools import islice

from opentelemetry.util.types import AttributeValue

from prefect_instrumentation import _errors, _spec
from prefect_instrumentation import attributes as names
from prefect_instrumentation._errors.context import facts_of
from prefect_instrumentation._runs import Run
from prefect_instrumentation._secrets import redactor, shown
from prefect_instrumentation._text import MAX_NAME, text, type_name

MAX_ITEMS = 32
"""Most tags, and most parameters."""

MAX_STACKTRACE = 16_384
"""Most characters of an exception's stack; of a longer one the end stays, where the error is."""


def static(run: Run, spec: _spec.Spec | None, correlation_id: str) -> dict[str, AttributeValue]:
    """Return a run's attributes: those of its record, and those of its `@traced`."""
    found: dict[str, AttributeValue] = {
        names.RUN_TYPE: run.kind,
        names.CODE_FUNCTION_NAME: _spec.function_name(run.function),
        names.CORRELATION_ID: correlation_id,
    }
    found.update({name: text(value, MAX_NAME) for name, value in _identity(run) if value})
    found.update({name: shown(value, MAX_NAME) for name, value in _run_names(run) if value})
    for name, tags in ((names.TAGS, run.tags), (names.FLOW_RUN_TAGS, run.flow_run_tags)):
        if tags:
            found[name] = sorted(shown(tag, MAX_NAME) for tag in tags)[:MAX_ITEMS]
    for name, value in islice(run.parameters.items(), MAX_ITEMS):
        found[names.PARAMETER_TYPE + text(name, MAX_NAME)] = type_name(type(value))
    if spec:
        found.update(_spec.attributes_of(spec, run.parameters))
    return found


def exception(error: BaseException) -> dict[str, AttributeValue]:
    """Return the attributes of an exception's event; a hostile `__str__` costs the message."""
    try:
        stack = redactor().end_of("".join(traceback.format_exception(error)))
    except Exception:  # noqa: BLE001 - the user's own class may do anything
        stack = ""
    return {
        names.EXCEPTION_TYPE: _errors.type_name(error),
        names.EXCEPTION_MESSAGE: shown(error),
        names.EXCEPTION_STACKTRACE: text(stack, MAX_STACKTRACE),
        **{
            names.ERROR_CONTEXT + name: _spec.attribute_value(value)
            for name, value in facts_of(error).items()
        },
    }


def _identity(run: Run) -> tuple[tuple[str, str], ...]:
    is_task = run.kind == "task"
    return (
        (names.FLOW_NAME, run.flow),
        (names.FLOW_ID, run.flow_id),
        (names.FLOW_RUN_ID, run.flow_run_id),
        (names.FLOW_RUN_URL, run.url),
        (names.TASK_NAME, run.task),
        (names.TASK_RUN_ID, run.id if is_task else ""),
        (names.DEPLOYMENT_ID, run.deployment_id),
        (names.DEPLOYMENT_NAME, run.deployment),
        (names.WORK_POOL_NAME, run.work_pool),
        (names.WORK_QUEUE_NAME, run.work_queue),
    )


def _run_names(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what is made of parameters, often."""
    return (
        (names.FLOW_RUN_NAME, run.flow_run_name),
        (names.TASK_RUN_NAME, run.name if run.kind == "task" else ""),
    )
