"""The one place that asks Prefect: through its own client, which carries trace and id on."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound

from trigger.problems import Invalid, KeyReused, Misconfigured, Unavailable, Unknown

log = logging.getLogger("trigger.prefect")

CALLER = "trigger.caller"
DEPLOYMENT = "trigger.deployment"
DIGEST = "trigger.digest"
REQUEST = "trigger.request"
CORRELATION = "__CORRELATION_ID"
"""The labels of a run: the first four are ours, the last is prefect-instrumentation's."""

ANSWER_SECONDS = 20.0
RETRY_AFTER = 5
READY_SECONDS = 5.0

_MAX_DETAIL = 500
_SURROUNDED = re.compile(
    r"(?:Error creating flow run: )?Validation failed(?: for (?P<field>field .*?))?\."
    r" Failure reason: (?P<why>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Order:
    """A run that somebody wants.

    Args:
        caller: The name of the key.
        deployment: As ``flow/deployment``.
        digest: Of all that is asked for; another one is another order.
        key: The caller's Idempotency-Key; None for an order like no other.
    """

    caller: str
    deployment: str
    parameters: dict[str, Any]
    digest: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """The run of an order, and whether it was this one that made it."""

    run: FlowRun
    is_new: bool


class Runs:
    """Runs of deployments, as one client of a Prefect server has them.

    Args:
        client: Open, of that server.
        now: A clock in seconds that only goes forward.
    """

    def __init__(self, client: PrefectClient, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._now = now
        self._asking = asyncio.Lock()
        self._ready: tuple[float, bool] | None = None

    async def start(self, order: Order) -> Placed:
        """Have the run of an order, which the database allows but once.

        Raises:
            Unknown: Prefect has no such deployment.
            Invalid: Prefect does not take the parameters.
            KeyReused: The key belongs to another order.
            Misconfigured, Unavailable: Prefect refuses, or does not answer.
        """
        request = uuid.uuid4().hex
        async with _asking(f"No deployment {order.deployment} that this key may start"):
            deployment = await self._client.read_deployment_by_name(order.deployment)
            _check_names(order.parameters, deployment.parameter_openapi_schema)
            run = await self._client.create_flow_run_from_deployment(
                deployment.id,
                parameters=order.parameters,
                tags=[f"started-by:{order.caller}"],
                # Without a key too: Prefect's client asks again where an answer is lost.
                idempotency_key=prefect_key(order, request),
                labels={
                    CALLER: order.caller,
                    DEPLOYMENT: order.deployment,
                    DIGEST: order.digest,
                    REQUEST: request,
                },
            )
        if run.labels.get(DIGEST) != order.digest:
            raise KeyReused("this Idempotency-Key was used for another request; take a new one")
        return Placed(run, is_new=run.labels.get(REQUEST) == request)

    async def read(self, run_id: UUID, caller: str) -> FlowRun:
        """Return a run that this caller has started; raises `Unknown` for all others."""
        missing = f"No run {run_id} that this key has started"
        async with _asking(missing):
            run = await self._client.read_flow_run(run_id)
        if run.labels.get(CALLER) != caller:
            raise Unknown(missing)
        return run

    async def cancel(self, run_id: UUID, caller: str) -> FlowRun:
        """Have a run cancelled, and return it as it then is; one that has ended stays as it is."""
        run = await self.read(run_id, caller)
        if run.state is not None and (run.state.is_final() or run.state.is_cancelling()):
            return run
        async with _asking(f"No run {run_id} that this key has started"):
            await self._client.set_flow_run_state(run_id, State(type=StateType.CANCELLING))
        return await self.read(run_id, caller)

    async def is_ready(self) -> bool:
        """Return whether Prefect lets this service in; asked once in some seconds, whoever asks."""
        async with self._asking:
            if self._ready is None or self._now() - self._ready[0] > READY_SECONDS:
                self._ready = (self._now(), await self._asked())
        return self._ready[1]

    async def _asked(self) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                answer = await self._client.request("POST", "/deployments/count", json={})
        except (httpx.HTTPError, TimeoutError):
            return False
        return answer.is_success


def prefect_key(order: Order, request: str) -> str:
    """Return the key that Prefect's database holds unique in a flow; each caller has his own."""
    whole = f"{order.caller}\0{order.key}" if order.key else request
    return f"trigger-{hashlib.sha256(whole.encode()).hexdigest()}"


@asynccontextmanager
async def _asking(missing: str) -> AsyncIterator[None]:
    """Turn what can go wrong with Prefect into a problem, and take no longer than bearable."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except ObjectNotFound:
        raise Unknown(missing) from None
    except httpx.HTTPStatusError as error:
        log.warning("prefect.refused", extra={"status": error.response.status_code})
        raise _problem(error.response, missing) from None
    except (httpx.HTTPError, TimeoutError) as error:
        log.warning("prefect.failed", extra={"problem": type(error).__name__})
        raise _unavailable() from None


def _problem(answer: httpx.Response, missing: str) -> Exception:
    match answer.status_code:
        case 401 | 403:
            return Misconfigured("Prefect does not let this service in; tell who runs it")
        case 404:
            return Unknown(missing)
        case 400 | 409 | 422:
            return Invalid(_detail(answer))
        case 429 | 500 | 502 | 503 | 504:
            return _unavailable()
    return Misconfigured(f"Prefect answers {answer.status_code}; tell who runs this service")


def _unavailable() -> Unavailable:
    return Unavailable(
        "Prefect does not answer; ask again, with the same Idempotency-Key",
        retry_after=RETRY_AFTER,
    )


def _detail(answer: httpx.Response) -> str:
    """Return what Prefect says of the parameters, without what surrounds it."""
    try:
        told = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        told = None
    text = told if isinstance(told, str) else "Prefect does not take these parameters"
    if found := _SURROUNDED.fullmatch(text):
        text = ": ".join(filter(None, (found["field"], found["why"])))
    return text if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL] + "..."


def _check_names(parameters: Mapping[str, object], schema: Mapping[str, Any] | None) -> None:
    """Refuse a parameter that the flow does not have, which Prefect would find only in the run."""
    known = (schema or {}).get("properties")
    unknown = [name for name in parameters if isinstance(known, dict) and name not in known]
    if unknown:
        raise Invalid(f"the flow has no parameter {unknown[0][:100]!r}")
