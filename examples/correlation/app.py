"""A shop that takes orders: `uvicorn app:app`."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from prefect.deployments import arun_deployment

from prefect_instrumentation import CorrelationMiddleware, setup

setup(service_name="shop", logs=True, meters=True)
log = logging.getLogger("shop")
app = FastAPI()
app.add_middleware(CorrelationMiddleware)


@app.post("/orders", status_code=202)
async def order(item: str, quantity: int) -> dict[str, str]:
    """Start a run of the deployment `fulfil/shop`, and do not wait for it."""
    log.info("order taken", extra={"item": item, "quantity": quantity})
    parameters = {"item": item, "quantity": quantity}
    run = await arun_deployment("fulfil/shop", parameters=parameters, timeout=0)
    return {"run": str(run.id)}
