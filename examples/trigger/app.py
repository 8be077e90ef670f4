"""A web service that starts runs of deployments: `uvicorn trigger.app:app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response, Security
from fastapi.security import APIKeyHeader
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL

from prefect_instrumentation import CorrelationMiddleware, annotate, counter, setup
from trigger import answers, problems
from trigger.answers import Started, Status
from trigger.bodies import StartRun, read_start
from trigger.keys import KeyFile
from trigger.limiting import Limits
from trigger.problems import described
from trigger.runs import Order, Runs
from trigger.settings import BadSettings, Settings, load_settings

log = logging.getLogger("trigger")
started_total = counter(
    "trigger_runs_total", unit="{run}", description="Runs asked for, by what became of it."
)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with."""

    allowed: frozenset[str]
    keys: KeyFile
    limits: Limits
    runs: Runs


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


Serving = Annotated[Service, Depends(_service)]


async def _caller(
    request: Request,
    service: Serving,
    key: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
) -> str:
    """Return the name of the key; whoever has none gets no further."""
    name = service.keys.name_of(key) if key else None
    if name is not None:
        annotate(caller=name)
        return name
    await service.limits.guess(request.client.host if request.client else "")
    log.warning("caller.refused", extra={"has_key": key is not None})
    raise problems.NotAllowedIn("send a key that is known here as X-API-Key")


Caller = Annotated[str, Depends(_caller)]


async def _writer(service: Serving, caller: Caller) -> str:
    await service.limits.write(caller)
    return caller


async def _reader(service: Serving, caller: Caller) -> str:
    await service.limits.read(caller)
    return caller


Writer = Annotated[str, Depends(_writer)]
Reader = Annotated[str, Depends(_reader)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern="^[!-~]{1,128}$",
        description="With the same one, the same request starts one run, however often it is sent.",
    ),
]


@router.post(
    "/deployments/{flow}/{deployment}/runs",
    status_code=202,
    summary="Start a run",
    responses={
        200: {"model": Started, "description": "This request has started that run before."},
        **described(
            problems.Malformed,
            problems.NotAllowedIn,
            problems.Unknown,
            problems.TooSlow,
            problems.KeyReused,
            problems.TooLarge,
            problems.NotJson,
            problems.Invalid,
            problems.TooMany,
            problems.Misconfigured,
            problems.Unavailable,
        ),
    },
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": StartRun.model_json_schema()}}}
    },
)
async def start(  # noqa: PLR0913, PLR0917 - what FastAPI reads from a request, a parameter each
    flow: str,
    deployment: str,
    service: Serving,
    caller: Writer,
    body: Annotated[StartRun, Depends(read_start)],
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Started:
    """Start a run of a deployment, and do not wait for it."""
    name = f"{flow}/{deployment}"
    if name not in service.allowed:
        raise problems.Unknown(f"No deployment {name[:200]} that this key may start")
    order = Order(caller, name, body.parameters, body.digest(name), idempotency_key)
    placed = await service.runs.start(order)
    started_total.add(1, deployment=name, outcome="started" if placed.is_new else "repeated")
    log.info("run.started", extra=_facts(caller, name, placed.run.id) | {"new": placed.is_new})
    response.status_code = 202 if placed.is_new else 200
    told = answers.started(placed.run)
    response.headers["Location"] = told.status_url
    return told


_READ = described(
    problems.NotAllowedIn,
    problems.Unknown,
    problems.Invalid,
    problems.TooMany,
    problems.Misconfigured,
    problems.Unavailable,
)


@router.get("/runs/{run_id}", responses=_READ, summary="Look at a run")
async def look(run_id: UUID, service: Serving, caller: Reader) -> Status:
    """Return how a run is doing that this key has started."""
    return answers.status(await service.runs.read(run_id, caller))


@router.post(
    "/runs/{run_id}/cancel",
    status_code=202,
    summary="Cancel a run",
    responses={200: {"model": Status, "description": "It has ended."}, **_READ},
)
async def cancel(run_id: UUID, service: Serving, caller: Writer, response: Response) -> Status:
    """Have a run cancelled; one that has ended stays as it is, and the answer says how."""
    told = answers.status(await service.runs.cancel(run_id, caller))
    log.info("run.cancelled", extra=_facts(caller, f"{told.flow}/{told.deployment}", run_id))
    response.status_code = 200 if told.has_ended else 202
    return told


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> dict[str, str]:
    """Say so, and ask nobody."""
    return {"status": "alive"}


@router.get("/readyz", responses=described(problems.Unavailable), summary="Can it start runs")
async def readyz(service: Serving) -> dict[str, str]:
    """Say whether Prefect lets this service in; what it said counts for some seconds."""
    if not await service.runs.is_ready():
        raise problems.Unavailable("Prefect does not answer, or does not let us in", retry_after=5)
    return {"status": "ready"}


def _facts(caller: str, deployment: str, run_id: UUID) -> dict[str, object]:
    return {"caller": caller, "started_deployment": deployment, "run": str(run_id)}


Connect = Callable[[], AbstractAsyncContextManager[PrefectClient]]


def create_app(settings: Settings, connect: Connect = get_client) -> FastAPI:
    """Return the application.

    Args:
        settings: Who may start what, and how often.
        connect: Gives an open client of Prefect for as long as the application runs.

    Raises:
        BadSettings: The file of keys cannot be used.
    """
    keys, limits = KeyFile(settings.api_keys_file), Limits(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connect() as client:
            allowed = frozenset(settings.deployments)
            app.state.service = Service(allowed, keys, limits, Runs(client))
            try:
                yield
            finally:
                await limits.close()

    app = FastAPI(title="Start runs of Prefect deployments", version="1", lifespan=lifespan)
    app.include_router(router)
    app.add_middleware(CorrelationMiddleware)
    problems.answer_with_problems(app)
    return app


def _configured() -> FastAPI:
    setup(service_name="trigger", logs=True, meters=True)
    # Prefect's client would start a server of its own in this process.
    if not PREFECT_API_URL.value():
        raise BadSettings("PREFECT_API_URL is not set; name the API of your Prefect server")
    return create_app(load_settings())


app: FastAPI
"""That of the environment; made when a server asks for it, so that tests may import the module."""


def __getattr__(name: str) -> FastAPI:
    """Make the application.

    Raises:
        SystemExit: The settings cannot be used; with a line for each problem.
    """
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return _configured()
    except BadSettings as error:
        raise SystemExit(str(error)) from None
