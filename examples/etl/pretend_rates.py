"""A pretend service of exchange rates that fails when told: `python -m etl.pretend_rates`.

`GET /rates/2026-11-22` answers with the same rates whenever it is asked. It misbehaves

- for all who ask, after `PUT /fault` with `{"kind": "error"}` or with `ETL_PRETEND_FAULT=error`;
- for those alone whose address names a fault: `ETL_RATES_URL=http://127.0.0.1:8099/faulty/hang`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "PLN", "CZK", "CAD")

_PER_EURO = (1.0, 1.08, 0.85, 0.94, 162.0, 11.4, 11.6, 4.3, 24.9, 1.48)
_WOBBLE = 0.02


class Fault(StrEnum):
    """Ways to let a client down."""

    NONE = "none"
    ERROR = "error"
    BUSY = "busy"
    REFUSED = "refused"
    GARBAGE = "garbage"
    SLOW = "slow"
    HANG = "hang"


class Misbehaviour(BaseModel):
    """What is to happen to whoever asks.

    Args:
        seconds: How long `slow` takes.
        times: After so many answers all is well again; None for never.
    """

    kind: Fault = Fault.NONE
    seconds: float = Field(default=2.0, ge=0, le=3600)
    times: int | None = Field(default=None, ge=1)


@dataclass(slots=True)
class _Service:
    fault: Misbehaviour
    asked: Counter[str] = field(default_factory=Counter)

    def next(self) -> Misbehaviour:
        now = self.fault
        if now.times is not None:
            left = now.times - 1
            self.fault = now.model_copy(update={"times": left}) if left else Misbehaviour()
        return now


def make_app(fault: Misbehaviour | None = None) -> FastAPI:
    """Return the service, which starts with that fault."""
    app = FastAPI(title="Pretend exchange rates")
    service = _Service(fault or Misbehaviour())

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.put("/fault")
    async def misbehave(fault: Misbehaviour) -> Misbehaviour:
        service.fault = fault
        return fault

    @app.get("/asked")
    async def asked() -> dict[str, int]:
        return dict(service.asked)

    @app.get("/rates/{day}")
    async def rates(day: date) -> Response:
        service.asked[day.isoformat()] += 1
        return await _answer(day, service.next())

    @app.get("/faulty/{kind}/rates/{day}")
    async def faulty(kind: Fault, day: date, seconds: float = 2.0) -> Response:
        service.asked[day.isoformat()] += 1
        return await _answer(day, Misbehaviour(kind=kind, seconds=seconds))

    return app


def rates_on(day: date) -> dict[str, float]:
    """Return pretend rates: near the true ones, and the same for a day whenever it is asked."""
    chance = random.Random(day.toordinal())
    pairs = zip(CURRENCIES, _PER_EURO, strict=True)
    return {
        name: rate if name == "EUR" else round(rate * (1 + chance.uniform(-_WOBBLE, _WOBBLE)), 6)
        for name, rate in pairs
    }


async def _answer(day: date, fault: Misbehaviour) -> Response:
    match fault.kind:
        case Fault.ERROR:
            return JSONResponse({"detail": "out of order"}, status_code=500)
        case Fault.BUSY:
            return JSONResponse({"detail": "busy"}, status_code=429, headers={"Retry-After": "1"})
        case Fault.REFUSED:
            return JSONResponse({"detail": "who are you?"}, status_code=403)
        case Fault.GARBAGE:
            return Response("<html>welcome</html>", media_type="text/html")
        case Fault.SLOW:
            await asyncio.sleep(fault.seconds)
        case Fault.HANG:
            await asyncio.Event().wait()
        case Fault.NONE:
            pass
    return JSONResponse({"base": "EUR", "day": day.isoformat(), "rates": rates_on(day)})


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m etl.pretend_rates", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099)
    chosen = parser.parse_args()
    fault = Misbehaviour(kind=Fault(os.environ.get("ETL_PRETEND_FAULT") or "none"))
    # A client that hangs must not keep it from ending.
    uvicorn.run(
        make_app(fault),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
