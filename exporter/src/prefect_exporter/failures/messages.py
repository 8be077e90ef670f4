"""What the message of a state says: Prefect's own words, then a class' short name and its text."""

from __future__ import annotations

import re

from prefect_exporter.failures.bases import UNKNOWN_MODULE, bases
from prefect_exporter.failures.facts import MAX_MESSAGE, ErrorFacts, status_of

# https://github.com/PrefectHQ/prefect: states.py, flow_engine.py, task_engine.py, workers/base.py
_BEFORE = re.compile(
    r"(?:(?:Flow|Task) run encountered an exception[:.]?"
    r"|Validation of flow parameters failed with error:"
    r"|Execution (?:was interrupted by|encountered) an unexpected exception:"
    r"|Request failed while attempting to contact the server:"
    r"|Request to \S{1,1024} failed:"
    r"|Submission failed\."
    r") ([^\W\d][\w.]{0,255}):(?: (.*))?",
    re.DOTALL,
)


def error_of(message: str) -> ErrorFacts | None:
    """Return the error that a state's message speaks of; None where it speaks of none."""
    match = _BEFORE.fullmatch(message[:MAX_MESSAGE])
    if match is None:
        return None
    name, text = f"{UNKNOWN_MODULE}{match[1]}", match[2] or ""
    return ErrorFacts((name, *bases(name)), text, status_of(text))
