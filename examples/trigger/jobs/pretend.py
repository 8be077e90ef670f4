"""Two systems that only pretend to work: `python -m trigger.jobs.pretend --port 8098`.

An Airbyte-like and a dbt-Cloud-like API, as far as `trigger.jobs` asks them. `PUT
/pretend/{system}/{name}` says how the next job of a connection or dbt job is to go; `GET
/pretend/jobs` shows all jobs. By default a job takes some seconds, and succeeds.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

Outcome = Literal["succeeded", "failed", "cancelled"]
Running = Literal["queued", "running"]

_AIRBYTE = {"queued": "pending"}
_DBT = {"queued": 1, "running": 3, "succeeded": 10, "failed": 20, "cancelled": 30}
_KEPT = 1_000
_NEVER = 3600.0


class Script(BaseModel):
    """How things are to go, of one connection or dbt job.

    Args:
        seconds: How long a job takes.
        message: What a failed job says.
        failure_type: Airbyte's word for it.
        busy: So many requests get 429 with Retry-After.
        broken: So many requests get 500.
        lost_starts: So many starts are done, and never answered.
        hangs: So many looks at a job are never answered.
    """

    seconds: float = 5.0
    outcome: Outcome = "succeeded"
    message: str = ""
    failure_type: str = "system_error"
    busy: int = 0
    broken: int = 0
    lost_starts: int = 0
    hangs: int = 0
    retry_after: int = 1


@dataclass(slots=True)
class PretendJob:
    """A job that does nothing but end."""

    id: int
    system: str
    name: str
    cause: str | None
    began: float
    script: Script
    stopped: bool = False

    def phase(self, now: float) -> Outcome | Running:
        """Return how far it is."""
        if self.stopped:
            return "cancelled"
        worked = now - self.began
        if worked >= self.script.seconds:
            return self.script.outcome
        return "queued" if worked < self.script.seconds / 10 else "running"


@dataclass(slots=True)
class World:
    """All jobs, and how the next ones go."""

    now: Callable[[], float] = time.monotonic
    jobs: list[PretendJob] = field(default_factory=list)
    scripts: dict[tuple[str, str], Script] = field(default_factory=dict)

    def script(self, system: str, name: str) -> Script:
        """Return how things go there."""
        return self.scripts.setdefault((system, name), Script())

    def of(self, system: str, name: str) -> list[PretendJob]:
        """Return its jobs, the newest first."""
        return [each for each in reversed(self.jobs) if (each.system, each.name) == (system, name)]

    def add(self, system: str, name: str, cause: str | None) -> PretendJob:
        """Start a job."""
        number = self.jobs[-1].id + 1 if self.jobs else 1
        job = PretendJob(number, system, name, cause, self.now(), self.script(system, name))
        self.jobs = [*self.jobs[1 - _KEPT :], job]
        return job

    def job(self, number: int) -> PretendJob:
        """Return a job by its number."""
        for each in self.jobs:
            if each.id == number:
                return each
        raise HTTPException(404, "no such job")

    def stop(self, number: int) -> PretendJob:
        """Stop a job; one that has ended stays as it is."""
        job = self.job(number)
        job.stopped = job.stopped or job.phase(self.now()) in {"queued", "running"}
        return job


async def misbehave(script: Script) -> None:
    """Give the bad answers that the script still has to give."""
    if script.busy:
        script.busy -= 1
        raise HTTPException(429, "slow down", {"Retry-After": str(script.retry_after)})
    if script.broken:
        script.broken -= 1
        raise HTTPException(500, "broken")


async def started(world: World, system: str, name: str, cause: str | None) -> PretendJob:
    """Start a job; whoever asked may never hear of it."""
    script = world.script(system, name)
    await misbehave(script)
    job = world.add(system, name, cause)
    if script.lost_starts:
        script.lost_starts -= 1
        await asyncio.sleep(_NEVER)
    return job


async def looked_at(world: World, number: int) -> PretendJob:
    """Return a job, if ever."""
    job = world.job(number)
    script = world.script(job.system, job.name)
    await misbehave(script)
    if script.hangs:
        script.hangs -= 1
        await asyncio.sleep(_NEVER)
    return job


def create_app(token: str | None = None) -> FastAPI:
    """Return both systems, and the routes that say how they go."""
    world = World()

    async def admitted(request: Request) -> None:
        told = request.headers.get("authorization", "").rpartition(" ")[2]
        if token is not None and told != token:
            raise HTTPException(401, "who are you?")

    app = FastAPI(title="Systems that pretend to work")
    _airbyte(app, world, [Depends(admitted)])
    _dbt(app, world, [Depends(admitted)])
    _control(app, world)
    return app


def _airbyte(app: FastAPI, world: World, guards: Sequence[Any]) -> None:
    router = APIRouter(prefix="/v1/jobs", dependencies=guards)

    @router.post("")
    async def start(body: dict[str, str]) -> dict[str, object]:
        name = body["connectionId"]
        running = world.of("airbyte", name)
        if running and running[0].phase(world.now()) in {"queued", "running"}:
            raise HTTPException(409, "a sync is under way")
        return shown(await started(world, "airbyte", name, None))

    @router.get("")
    async def listed(connectionId: str, limit: int = 20) -> dict[str, object]:  # noqa: N803 - their name
        await misbehave(world.script("airbyte", connectionId))
        return {"data": [shown(each) for each in world.of("airbyte", connectionId)[:limit]]}

    @router.get("/{number}")
    async def look(number: int) -> dict[str, object]:
        return shown(await looked_at(world, number))

    @router.delete("/{number}")
    async def cancel(number: int) -> dict[str, object]:
        return shown(world.stop(number))

    def shown(job: PretendJob) -> dict[str, object]:
        phase = job.phase(world.now())
        failure = {"failureType": job.script.failure_type, "externalMessage": job.script.message}
        return {
            "jobId": job.id,
            "status": _AIRBYTE.get(phase, phase),
            "rowsSynced": 1_000 if phase == "succeeded" else None,
            "bytesSynced": 64_000 if phase == "succeeded" else None,
            "failure": failure if phase == "failed" else None,
        }

    app.include_router(router)


def _dbt(app: FastAPI, world: World, guards: Sequence[Any]) -> None:
    router = APIRouter(prefix="/api/v2/accounts/{account}", dependencies=guards)

    @router.post("/jobs/{name}/run/")
    async def start(name: str, body: dict[str, str]) -> dict[str, object]:
        return {"data": shown(await started(world, "dbt-cloud", name, body.get("cause")))}

    @router.get("/runs/")
    async def listed(job_definition_id: str, limit: int = 20) -> dict[str, object]:
        await misbehave(world.script("dbt-cloud", job_definition_id))
        return {"data": [shown(each) for each in world.of("dbt-cloud", job_definition_id)[:limit]]}

    @router.get("/runs/{number}/")
    async def look(number: int) -> dict[str, object]:
        return {"data": shown(await looked_at(world, number))}

    @router.post("/runs/{number}/cancel/")
    async def cancel(number: int) -> dict[str, object]:
        return {"data": shown(world.stop(number))}

    def shown(job: PretendJob) -> dict[str, object]:
        phase = job.phase(world.now())
        return {
            "id": job.id,
            "status": _DBT[phase],
            "status_message": job.script.message if phase == "failed" else None,
            "trigger": {"cause": job.cause},
        }

    app.include_router(router)


def _control(app: FastAPI, world: World) -> None:
    @app.put("/pretend/{system}/{name}")
    async def say(system: str, name: str, script: Script) -> Script:
        world.scripts[system, name] = script
        return script

    @app.get("/pretend/jobs")
    async def jobs() -> list[dict[str, object]]:
        now = world.now()
        return [
            {
                "id": each.id,
                "system": each.system,
                "name": each.name,
                "cause": each.cause,
                "phase": each.phase(now),
            }
            for each in world.jobs
        ]


def main() -> None:
    """Serve both systems until somebody ends it."""
    parser = argparse.ArgumentParser(prog="python -m trigger.jobs.pretend")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8098)
    parser.add_argument("--token-file", type=Path, help="holds the token that both ask for")
    told = parser.parse_args()
    token = told.token_file.read_text(encoding="utf-8").strip() if told.token_file else None
    # Whoever waits for an answer that never comes is not waited for.
    uvicorn.run(
        create_app(token),
        host=told.host,
        port=told.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
