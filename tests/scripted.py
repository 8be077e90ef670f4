"""A client with a script for a network, and a clock that skips every wait."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

import httpx

from prefect_exporter.api import RunFilter
from prefect_exporter.client import Connection, Exchange, PrefectClient

ResultT = TypeVar("ResultT")
Answer = Callable[[httpx.Request], httpx.Response]

RUN_ID = UUID("fed145de-fcf9-452f-b99a-253d5439b878")
ROW = {"id": str(RUN_ID), "flow_id": str(RUN_ID), "run_count": 1, "total_run_time": 0.5}
CONNECTION = Connection(
    url="http://prefect.test/api",
    api_key=None,
    auth_string=None,
    headers={},
    ca_file=None,
    verify=True,
    request_timeout_seconds=30,
    attempts=4,
    requests_per_minute=None,
    page_size=200,
)


class _Skipping(selectors.SelectSelector):
    """A selector that jumps to the end of each wait, and a little further, as real ones do."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += (timeout or 0) + 1e-6
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time, and whose clock says that it did."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the seconds waited so far."""
        return self._skipping.now


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run *work* with a clock that skips every wait."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(work)


def now() -> float:
    """Return the seconds waited so far, without the little further."""
    return round(asyncio.get_running_loop().time(), 3)


@dataclass
class Scripted:
    """A transport that notes each request and when it came, and answers from a list.

    The last answer is given again and again.
    """

    answers: list[httpx.Response | Answer]
    requests: list[httpx.Request] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)

    def respond(self, request: httpx.Request) -> httpx.Response:
        """Note the request and give the next answer."""
        self.requests.append(request)
        self.times.append(now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request) if callable(answer) else answer

    def client(self, **changes: Any) -> PrefectClient:  # noqa: ANN401 - fields of Connection
        """Return a client that talks to this and to nobody else."""
        return PrefectClient(
            replace(CONNECTION, **changes),
            observe=self.exchanges.append,
            clock=now,
            transport=httpx.MockTransport(self.respond),
        )

    @property
    def bodies(self) -> list[Any]:
        """The JSON of every request that had a body."""
        return [json.loads(request.content) for request in self.requests if request.content]

    @property
    def paths(self) -> list[str]:
        """The path of every request."""
        return [request.url.path.removeprefix("/api/") for request in self.requests]


def answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Return an answer that streams, as one from the network does."""
    return raw(json.dumps(value).encode(), status, headers)


def raw(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return an answer with exactly this body."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


async def read_flow_runs(server: Scripted, **changes: Any) -> int:  # noqa: ANN401 - see client
    """Ask for one page of flow runs and return how many it has."""
    async with server.client(**changes) as client:
        return len((await client.flow_runs(RunFilter(), "ID_DESC")).rows)
