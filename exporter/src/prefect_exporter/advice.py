"""What a person can do about each kind of failure to read Prefect."""

from __future__ import annotations

_ADVICE = {
    "unreachable": "Check PREFECT_API_URL, and that the server runs and can be reached from here.",
    "timeout": "The server is slow or overloaded; PREFECT_EXPORTER_REQUEST_TIMEOUT allows more.",
    "malformed": "Check that PREFECT_API_URL ends in /api and that no proxy answers in its place.",
    "redirected": "Give PREFECT_API_URL the address that it redirects to; it is never followed.",
    "unauthorized": "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING.",
    "forbidden": "The credentials are known but may not read this; check their role.",
    "not_found": "Check PREFECT_API_URL: a server's ends in /api, a Cloud workspace's in its id.",
    "server_error": "The Prefect server fails on its own; its log says why.",
    "throttled": "Prefect wants fewer requests; PREFECT_EXPORTER_REQUESTS_PER_MINUTE is a budget.",
}


def advice(kind: str | None) -> str:
    """Return one sentence on what to do about errors of *kind*; empty where nothing is known."""
    return _ADVICE.get(kind or "", "")
