"""Loggers that Prefect makes for a flow run from outside of it, as its workers and runners do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import wrapt

from prefect_instrumentation._guard import attempt, guarded

MODULE = "prefect.logging.loggers"
SEAM = "_get_deployment_name"
"""What Prefect 3.8's `flow_run_logger` hands the run to; older ones have no such place."""

_note: Callable[[str, Mapping[str, object]], None] | None = None
_undo: list[Callable[[], None]] = []
_hooked = False


def hook(note: Callable[[str, Mapping[str, object]], None]) -> None:
    """Have each run's id and labels told before a line of its logger is written."""
    global _note, _hooked  # noqa: PLW0603 - one process, one logging
    _note = note
    if MODULE in sys.modules:
        _wrap(sys.modules[MODULE])
    elif not _hooked:
        _hooked = True
        wrapt.register_post_import_hook(_wrap, MODULE)


def unhook() -> None:
    """Tell nothing any more."""
    global _note  # noqa: PLW0603 - as above
    _note = None
    while _undo:
        _undo.pop()()


@guarded
def _wrap(module: Any) -> None:  # noqa: ANN401 - a module
    original = getattr(module, SEAM, None)
    if _note is None or original is None or _undo:
        return

    @functools.wraps(original)
    def deployment_name(flow_run: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a run
        attempt(lambda: _tell(flow_run))
        return original(flow_run, *args, **kwargs)

    setattr(module, SEAM, deployment_name)
    _undo.append(functools.partial(setattr, module, SEAM, original))


def _tell(flow_run: Any) -> None:  # noqa: ANN401 - a run, or None
    if _note is not None and flow_run is not None:
        _note(str(flow_run.id), flow_run.labels)
