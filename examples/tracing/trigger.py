"""A web service that starts runs: `uvicorn trigger:app`."""

from __future__ import annotations

from fastapi import FastAPI
from prefect.deployments import arun_deployment

from prefect_instrumentation import CorrelationMiddleware, setup

setup(service_name="shop")
app = FastAPI()
app.add_middleware(CorrelationMiddleware)


@app.post("/orders/{day}")
async def order(day: str) -> dict[str, str]:
    """Start a run of the deployment `orders/nightly`, and do not wait for it."""
    run = await arun_deployment("orders/nightly", parameters={"day": day}, timeout=0)
    return {"run": str(run.id)}
