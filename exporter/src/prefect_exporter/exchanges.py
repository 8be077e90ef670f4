"""Requests that keep to the rules: deadline, retries, budget, pauses, CSRF; each one observed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeVar

import httpx
import msgspec
import stamina
from aiolimiter import AsyncLimiter
from msgspec.json import Decoder

from prefect_exporter.answers import BODY_LIMIT, Answer, CsrfWanted, read_answer
from prefect_exporter.auth import Csrf, CsrfToken
from prefect_exporter.errors import ApiError, Rejected, Throttled, TimedOut, Unreachable
from prefect_exporter.transport import Connection, open_http, unreachable

AnswerT = TypeVar("AnswerT")

LONG_PAUSE = 10
"""Seconds; a longer ``Retry-After`` is not waited for within a request."""

_TRANSIENT = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_CSRF_TOKEN = Decoder(CsrfToken)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange, retries and CSRF tokens included.

    Args:
        route: The route without ids, one of a small fixed set.
        status: The HTTP status as text; where none came, the kind of the error.
        error_kind: The kind of the error; ``cancelled`` where nobody waited; None after a success.
        seconds: From the start of the request to the end of the decoded answer.
        response_bytes: Bytes of the body as they came over the wire, so compressed.
    """

    route: str
    status: str
    error_kind: str | None
    seconds: float
    response_bytes: int


@dataclass(frozen=True, slots=True)
class Call(Generic[AnswerT]):
    """One question.

    Args:
        route: Where it goes, without names and ids: one of a small fixed set.
        into: What its answer decodes to.
        body: With one it is a POST.
        params: The query.
        longest: The most bytes of its unpacked answer.
        path: Where it goes, with them, each quoted; the route itself where there are none.
    """

    route: str
    into: Decoder[AnswerT]
    body: Mapping[str, object] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    longest: int = BODY_LIMIT
    path: str | None = None


@dataclass(slots=True)
class _Sight:
    """What was seen of an exchange by the time it ended, however it ended."""

    response: httpx.Response | None = None
    error_kind: str | None = "cancelled"

    @property
    def status(self) -> str:
        return str(self.response.status_code if self.response else self.error_kind)

    @property
    def response_bytes(self) -> int:
        return self.response.num_bytes_downloaded if self.response else 0


class Exchanges:
    """All exchanges with one Prefect server.

    Args:
        connection: The server, and how it is treated.
        observe: Called once at the end of each exchange; must neither raise nor wait.
        budget: How fast it may ask; None where there is no limit.
        clock: Seconds that only rise.
        transport: Takes the place of the network.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        observe: Callable[[Exchange], None],
        budget: AsyncLimiter | None,
        clock: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._url = connection.url.rstrip("/")
        self._deadline_seconds = connection.request_timeout_seconds
        self._observe = observe
        self._clock = clock
        self._http = open_http(connection, transport)
        self._budget = budget
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=connection.attempts, timeout=None, wait_initial=0.2, wait_max=5
        )
        self._csrf = Csrf()
        self._csrf_lock = asyncio.Lock()
        self._large = asyncio.Lock()
        self._pause: Throttled | None = None
        self._pause_ends = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, call: Call[AnswerT]) -> Answer[AnswerT]:
        """Return the answer, after retries where they can help.

        Raises:
            TooLong: The answer has more bytes than the call allows.
            ApiError: There was no usable answer.
        """
        self._refuse_while_paused(call.route)
        return await self._retrying(backoff, self._with_csrf, call)

    async def _with_csrf(self, call: Call[AnswerT]) -> Answer[AnswerT]:
        token = self._csrf.token
        try:
            return await self._exchange(call)
        except CsrfWanted:
            await self._renew_csrf(token)
        return await self._exchange(call)

    async def _renew_csrf(self, refused: str | None) -> None:
        """Fetch a token, unless another request did so since *refused* was sent.

        Prefect knows one token for each client: a second fetch would make the first one useless.
        """
        async with self._csrf_lock:
            if self._csrf.token != refused:
                return
            params = {"client": self._csrf.client}
            answer = await self._exchange(Call("csrf-token", _CSRF_TOKEN, params=params))
            self._csrf.token = answer.value.token

    async def _exchange(self, call: Call[AnswerT]) -> Answer[AnswerT]:
        if self._budget is not None:
            await self._budget.acquire()
        # Another request may have been told to pause while this one waited.
        self._refuse_while_paused(call.route)
        try:
            with self._observed(call.route) as sight:
                return await self._transfer(call, sight)
        except Throttled as error:
            if error.retry_after > LONG_PAUSE:
                self._pause, self._pause_ends = error, self._clock() + error.retry_after
            raise

    def _refuse_while_paused(self, route: str) -> None:
        left = self._pause_ends - self._clock()
        if self._pause is not None and left > 0:
            reason = f"not asked: Prefect wants a pause of {left:.0f} s more"
            raise Throttled(route, reason, status=self._pause.status, retry_after=left)

    @contextmanager
    def _observed(self, route: str) -> Iterator[_Sight]:
        sight = _Sight()
        began = self._clock()
        try:
            yield sight
            sight.error_kind = None
        except ApiError as error:
            sight.error_kind = error.kind
            raise
        finally:
            seconds = self._clock() - began
            self._observe(
                Exchange(route, sight.status, sight.error_kind, seconds, sight.response_bytes)
            )

    async def _transfer(self, call: Call[AnswerT], sight: _Sight) -> Answer[AnswerT]:
        try:
            async with (
                asyncio.timeout(self._deadline_seconds),
                self._http.stream(
                    "GET" if call.body is None else "POST",
                    f"{self._url}/{call.path or call.route}",
                    params=call.params,
                    content=None if call.body is None else msgspec.json.encode(call.body),
                    headers={"Content-Type": "application/json", **self._csrf.headers()},
                ) as response,
            ):
                sight.response = response
                return await read_answer(call.route, response, call.into, call.longest, self._large)
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no whole answer within {self._deadline_seconds:g} s"
            raise TimedOut(call.route, reason) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise unreachable(call.route, self._url, error) from None


def backoff(error: Exception) -> bool | float:
    """Return whether to try again, or the seconds to wait until then."""
    match error:
        case Throttled():
            return error.retry_after <= LONG_PAUSE and (error.retry_after or True)
        case Rejected():
            return error.status in _TRANSIENT
        case _:
            return isinstance(error, Unreachable | TimedOut)


def budget_of(per_minute: int) -> AsyncLimiter:
    """Allow a tenth of the budget at once and the rest evenly: so no minute sees more than it."""
    burst = max(1, per_minute // 10)
    return AsyncLimiter(burst, 60 * burst / max(1, per_minute - burst))
