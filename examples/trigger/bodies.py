"""What a request to start a run may say, read with bounds: it comes from anybody with a key."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from trigger.problems import Invalid, Malformed, NotJson, TooLarge, TooSlow

MAX_BYTES = 65_536
SECONDS = 10
"""How long a body may take."""

MAX_DEPTH = 20
HYDRATED = "__prefect_kind"
"""Prefect would put a workspace's variables, or a template, in place of what has this key."""


class StartRun(BaseModel):
    """What to start a run with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Those of the flow; what is left out is as the deployment has it.",
        examples=[{"clients": {"retail": ["acme", "globex"]}}],
    )

    def digest(self, deployment: str) -> str:
        """Return what two requests have in common that ask for the same."""
        asked = json.dumps([deployment, self.parameters], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(asked.encode()).hexdigest()


async def read_start(request: Request) -> StartRun:
    """Return the body of a request, checked.

    Raises:
        Problem: It is not usable.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    if kind.strip().lower() != "application/json":
        raise NotJson("send the body with Content-Type: application/json")
    return parse(await _read(request))


def parse(body: bytes) -> StartRun:
    """Return what a body says; none at all says nothing.

    Raises:
        Malformed: It is no JSON.
        Invalid: It has something else in it, or what Prefect would not store.
    """
    try:
        start = StartRun.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _refusal(error) from None
    _check(start.parameters, MAX_DEPTH)
    return start


async def _read(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise TooLarge(f"send at most {MAX_BYTES} bytes")
    except ClientDisconnect:
        raise Malformed("the body broke off") from None
    except TimeoutError:
        raise TooSlow(f"send the body within {SECONDS} s") from None
    return body


def _refusal(error: ValidationError) -> Malformed | Invalid:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return Malformed(f"the body is no JSON: {first['msg'][:200]}")
    where = ".".join(str(part)[:40] for part in first["loc"]) or "body"
    return Invalid(f"{where}: {first['msg'][:200]}")


def _check(value: object, depth: int) -> None:
    """Refuse what no database takes, and what Prefect would replace."""
    if depth < 0:
        raise Invalid(f"parameters: nested deeper than {MAX_DEPTH} levels")
    match value:
        case dict():
            if HYDRATED in value:
                raise Invalid(f"parameters: the key {HYDRATED} is not taken")
            for key, each in value.items():
                _check(key, depth)
                _check(each, depth - 1)
        case list():
            for each in value:
                _check(each, depth - 1)
        case str() if "\0" in value:
            raise Invalid("parameters: a text holds a NUL character")
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN alone is not itself
            raise Invalid("parameters: a number is NaN or infinite")
        case int() if abs(value) >= 1 << 63:
            raise Invalid("parameters: a whole number has more than 63 bits")
