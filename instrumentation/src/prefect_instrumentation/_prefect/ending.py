"""What a process that a signal is about to end still does for its spans."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

from prefect_instrumentation._guard import guarded
from prefect_instrumentation._propagation import SPAN_ENDED
from prefect_instrumentation._runs import Observer

LAST_WORDS = 1.0
"""Seconds that this may take."""


@guarded
def say_last_words(observer: Observer, engine: Any) -> None:  # noqa: ANN401 - a flow run engine
    """Send the spans; where a runner sets the run's last state, leave word that they arrived.

    Prefect re-raises the signal right after, so neither `finally` nor `atexit` follows.
    """
    run = engine.flow_run
    by_runner = not run.state.is_final()
    context = contextvars.copy_context()

    @guarded
    def speak() -> None:
        if observer.flush() and by_runner:
            _mark(run.id)

    speaker = threading.Thread(target=context.run, args=(speak,), daemon=True)
    speaker.start()
    speaker.join(LAST_WORDS)


def _mark(run_id: Any) -> None:  # noqa: ANN401 - a UUID
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - Prefect is imported

    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(run_id, {SPAN_ENDED: "true"})
