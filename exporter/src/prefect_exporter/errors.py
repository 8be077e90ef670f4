"""What can go wrong, as one small tree whose members carry facts.

ExporterError
├── Waiting               one collector waits for another's first good poll
├── ApiError              Prefect gave no usable answer        kind
│   ├── Unreachable       refused, reset, no such host, TLS    "unreachable"
│   ├── TimedOut          no whole answer within the deadline  "timeout"
│   ├── Rejected          an HTTP status that is not 2xx       "unauthorized", "forbidden", …
│   ├── Throttled         429, or 503 with Retry-After         "throttled"
│   ├── Redirected        3xx: never followed                  "redirected"
│   └── Malformed         not the JSON that Prefect sends      "malformed"
├── NotSent               somebody was not reached with a report
└── LedgerError           the state file is not usable
    ├── LedgerUnreadable  no permission, no folder, a folder   (fatal at start)
    ├── LedgerInUse       a second process holds it            (fatal at start)
    ├── LedgerTooNew      written by a newer version           (fatal at start)
    ├── LedgerFull        the disk is full; the commit is undone
    └── LedgerDamaged     not a database any more; it is moved aside
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar

_KINDS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 422: "unprocessable"}


class ExporterError(Exception):
    """Anything that this program expects to go wrong."""


class Waiting(ExporterError):
    """A collector waits for another one's first good poll."""


class ApiError(ExporterError):
    """Prefect gave no usable answer.

    Args:
        route: The route template that was asked, for example ``flow_runs/filter``.
        reason: One plain line for people; never holds a body, a header or a credential.
    """

    default_kind: ClassVar[str] = "error"

    def __init__(self, route: str, reason: str) -> None:
        super().__init__(f"{route}: {reason}")
        self.kind = self.default_kind
        self.route = route
        self.reason = reason


class Unreachable(ApiError):
    """No connection, or one that broke before the answer was whole."""

    default_kind = "unreachable"


class TimedOut(ApiError):
    """No whole answer within the deadline."""

    default_kind = "timeout"


class Malformed(ApiError):
    """A 2xx answer that is not the JSON that Prefect sends."""

    default_kind = "malformed"


class Redirected(ApiError):
    """An answer that points elsewhere; credentials never follow it."""

    default_kind = "redirected"


class Rejected(ApiError):
    """An HTTP status that is neither 2xx nor 3xx.

    Args:
        status: The HTTP status code.
    """

    def __init__(self, route: str, reason: str, *, status: int) -> None:
        super().__init__(route, reason)
        self.status = status
        self.kind = _KINDS.get(
            status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "rejected"
        )


class Throttled(Rejected):
    """Prefect asks for a pause.

    Args:
        retry_after: Seconds to wait before the next request; 0 where Prefect named none.
    """

    def __init__(self, route: str, reason: str, *, status: int, retry_after: float) -> None:
        super().__init__(route, reason, status=status)
        self.retry_after = retry_after
        self.kind = "throttled"


class NotSent(ExporterError):
    """Somebody was not reached with a report; everybody else was.

    Args:
        failed: The place of each such address in its list, from 1, and its kind, for example
            ``mailto``.
    """

    def __init__(self, failed: Sequence[tuple[int, str]]) -> None:
        named = ", ".join(f"address {place} ({kind})" for place, kind in failed)
        super().__init__(f"the report could not be sent to {named}")
        self.failed = tuple(failed)


class LedgerError(ExporterError):
    """The state file is not usable."""


class LedgerUnreadable(LedgerError):
    """The path cannot be opened for reading and writing."""


class LedgerInUse(LedgerError):
    """Another process holds the ledger."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version of this program."""


class LedgerFull(LedgerError):
    """The disk has no room; nothing of the commit was kept."""


class LedgerDamaged(LedgerError):
    """The file is no database any more."""
