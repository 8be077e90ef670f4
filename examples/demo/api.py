"""Ask the Prefect API, and ask again where it has no time."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx
import stamina


def _busy(error: Exception) -> bool:
    return (
        isinstance(error, httpx.HTTPStatusError)
        and error.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    )


@stamina.retry(on=_busy, attempts=None, timeout=30.0)
def ask(client: httpx.Client, path: str, /, **body: object) -> Any:  # noqa: ANN401 - JSON of any shape
    """Post *body* to the API and return the JSON answer.

    A server on SQLite says 503, and has done nothing, while the database is locked: then this
    asks again for up to 30 s.

    Raises:
        httpx.HTTPError: The server cannot be reached or refuses.
    """
    return client.post(path, json=body).raise_for_status().json()


@stamina.retry(on=_busy, attempts=None, timeout=30.0)
def change(client: httpx.Client, path: str, /, **body: object) -> None:
    """Patch what is at *path*; otherwise as `ask`.

    Raises:
        httpx.HTTPError: The server cannot be reached or refuses.
    """
    client.patch(path, json=body).raise_for_status()


def api_client(url: str, auth: str | None = None) -> httpx.Client:
    """Return an HTTP client whose paths start below *url*, the API's; the caller closes it.

    Args:
        url: Without a slash at the end.
        auth: ``user:password``; None where the server asks for none.
    """
    user, _, password = (auth or "").partition(":")
    credentials = None if auth is None else (user, password)
    return httpx.Client(base_url=url, auth=credentials, timeout=30.0, trust_env=False)
