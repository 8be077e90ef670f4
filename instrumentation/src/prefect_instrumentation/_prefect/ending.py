"""What a process that a signal is about to end still does for its spans."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

from prefect_instrumentation import _settings
from prefect_instrumentation._guard import guarded
from prefect_instrumentation._propagation import SPAN_ENDED
from prefect_instrumentation._runs import Observer

MARK_TIMEOUT = 0.5
"""Seconds that the label may take; where spans have arrived, they took little of their second.

Whoever gives them more than a second gives the label half of that.
"""


@guarded
def flush_before_kill(observer: Observer, engine: Any) -> None:  # noqa: ANN401 - a flow run engine
    """Send the spans; where a runner sets the run's last state, leave word that they arrived.

    Prefect re-raises the signal right after, so neither `finally` nor `atexit` follows.
    """
    by_runner = not engine.flow_run.state.is_final()
    if not observer.flush() or not by_runner:
        return
    mark = guarded(_mark)
    context = contextvars.copy_context()
    marker = threading.Thread(target=context.run, args=(mark, engine.flow_run.id), daemon=True)
    marker.start()
    marker.join(max(MARK_TIMEOUT, _settings.current().exit_timeout / 2))


def _mark(run_id: Any) -> None:  # noqa: ANN401 - a UUID
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - Prefect is imported

    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(run_id, {SPAN_ENDED: "true"})
