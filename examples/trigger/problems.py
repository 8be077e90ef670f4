"""Every answer that is no success, in one shape: `application/problem+json`, as RFC 9457 has it.

Problem
├── Malformed         400  the body is no JSON
├── NotAllowedIn      401  no key, or one that nobody has
├── Unknown           404  no such deployment or run, or one that is not for this caller
├── TooSlow           408  the body did not come in time
├── KeyReused         409  the Idempotency-Key was used for something else
├── TooLarge          413  the body has too many bytes
├── NotJson           415  the body says that it is something else
├── Invalid           422  the parameters are not those of the deployment
├── TooMany           429  wait a while                                           retry_after
├── Misconfigured     502  Prefect refuses this service
└── Unavailable       503  Prefect gave no answer                                 retry_after
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


class Described(BaseModel):
    """A problem as it is sent."""

    type: str = Field("about:blank", description="Always this: the status says it all.")
    title: str = Field(description="The status, in words.", examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(
        description="What is wrong here, and what to do.",
        examples=["field 'day': 5 is not of type 'string'"],
    )


class Problem(Exception):
    """Why a request is refused.

    Args:
        detail: One plain line for whoever asked; never holds a key or an address inside.
        retry_after: Seconds after which to ask again; None where that would not help.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says in its headers."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Malformed(Problem):
    """The body is no JSON."""

    status = HTTPStatus.BAD_REQUEST


class NotAllowedIn(Problem):
    """No key, or one that nobody has."""

    status = HTTPStatus.UNAUTHORIZED

    @property
    def headers(self) -> dict[str, str]:
        """HTTP asks for the name of a scheme here."""
        return {"WWW-Authenticate": "X-API-Key"}


class Unknown(Problem):
    """No such thing, or not for this caller: which of the two is nobody's business."""

    status = HTTPStatus.NOT_FOUND


class TooSlow(Problem):
    """The body did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class KeyReused(Problem):
    """The Idempotency-Key was used for something else."""

    status = HTTPStatus.CONFLICT


class TooLarge(Problem):
    """The body has too many bytes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class NotJson(Problem):
    """The body says that it is something else."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Invalid(Problem):
    """The request is understood, and not one that can be carried out."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooMany(Problem):
    """Too many requests of one caller, or too many wrong keys from one address."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Misconfigured(Problem):
    """Prefect refuses this service, whoever asks: its operator has to mend that."""

    status = HTTPStatus.BAD_GATEWAY


class Unavailable(Problem):
    """Prefect gave no usable answer in time."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


def described(*kinds: type[Problem]) -> dict[int | str, dict[str, object]]:
    """Return these problems as FastAPI takes them for the description of a route."""
    return {
        kind.status.value: {
            "description": (kind.__doc__ or "").splitlines()[0],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Described"}}},
        }
        for kind in kinds
    }


def answer_with_problems(app: FastAPI) -> None:
    """Have every refusal and every error of the application answered in the one shape."""
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - FastAPI gives a handler what it is for
    return _answer(error.status, error.detail, error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    return _answer(Invalid.status, f"{where}: {first['msg']}", {})


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    status = HTTPStatus(error.status_code)
    return _answer(status, status.description or status.phrase, dict(error.headers or {}))


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    # Whoever serves the application logs the error itself.
    detail = "This is a defect of the service; its log says more."
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, detail, {})


def _answer(status: HTTPStatus, detail: str, headers: dict[str, str]) -> JSONResponse:
    body = Described(type="about:blank", title=status.phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)
