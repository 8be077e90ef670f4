"""Labels whose values cannot grow without bound, whatever the user's code puts into them."""

from __future__ import annotations

from collections.abc import Mapping

from prefect_instrumentation._secrets import redactor, shown
from prefect_instrumentation._secrets.secret_text import HIDDEN
from prefect_instrumentation._text import text

MAX_VALUES = 100
"""Most values of one label of one metric in a process; those that come later are `OTHER`."""

FEWER_VALUES = {"fingerprint": 50}
"""Labels that may have fewer."""

MAX_LABELS = 16
"""Most labels of one metric; a user's counter takes what names it is given."""

MAX_LENGTH = 200
"""Most characters of a value."""

OTHER = "other"


class Bounds:
    """Remembers which values each label has had, as they were given and as they are shown."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, dict[str, str]]] = {}

    def bounded(self, metric: str, labels: Mapping[str, object]) -> dict[str, str]:
        """Return the labels of one point as they may leave this process."""
        names = self._seen.setdefault(metric, {})
        bounded: dict[str, str] = {}
        hides = redactor().hides
        for name, value in labels.items():
            if name not in names and len(names) >= MAX_LABELS:
                continue
            seen = names.setdefault(name, {})
            if hides(name, value):
                bounded[name] = HIDDEN
            else:
                bounded[name] = _bounded(value, seen, FEWER_VALUES.get(name, MAX_VALUES))
        return bounded


def _bounded(value: object, seen: dict[str, str], most: int) -> str:
    if not (known := text(value)):
        return ""
    if known not in seen:
        if len(seen) >= most:
            return OTHER
        # Of the value itself: its text is cut, and a half of a secret is known for none.
        seen[known] = shown(value, MAX_LENGTH)
    return seen[known]
