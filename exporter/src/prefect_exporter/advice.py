"""What each kind of failure of a poll means, and what a person can do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """A kind of failure in words; *mend* is one sentence."""

    title: str
    mend: str


_ADVICE = {
    "unreachable": Advice(
        "Prefect cannot be reached",
        "Check PREFECT_API_URL (in a targets file: url), and that the server runs and can be "
        "reached from here.",
    ),
    "timeout": Advice(
        "Prefect answers too slowly",
        "The server may be overloaded; PREFECT_EXPORTER_REQUEST_TIMEOUT allows it more time.",
    ),
    "malformed": Advice(
        "What answers is not the Prefect API",
        "Check that PREFECT_API_URL (in a targets file: url) ends in /api and that no proxy "
        "answers in its place.",
    ),
    "redirected": Advice(
        "Prefect's address redirects elsewhere",
        "Give PREFECT_API_URL (in a targets file: url) the address that it redirects to; it is "
        "never followed.",
    ),
    "unauthorized": Advice(
        "Prefect refuses the credentials",
        "Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING (in a targets file: what its api_key_… "
        "or auth_string_… names).",
    ),
    "forbidden": Advice(
        "Prefect forbids this",
        "The credentials are known but may not read this; check their role.",
    ),
    "not_found": Advice(
        "There is no Prefect API at this address",
        "Check PREFECT_API_URL (in a targets file: url): a server's ends in /api, a Cloud "
        "workspace's in its id.",
    ),
    "server_error": Advice(
        "The Prefect server fails", "It fails on its own; the server's log says why."
    ),
    "throttled": Advice(
        "Prefect asks for fewer requests",
        "Polls go on after the pause; PREFECT_EXPORTER_REQUESTS_PER_MINUTE sets a budget.",
    ),
    "unprocessable": Advice(
        "Prefect does not take what it is asked",
        "Its version may not fit this exporter's; the error names the request.",
    ),
    "internal": Advice(
        "The exporter itself fails",
        "This is a defect of the exporter, not of Prefect: see its log, and report it.",
    ),
    "ledger": Advice(
        "The ledger cannot be written", "Check that its disk has room and takes writes."
    ),
}


def advice(kind: str | None) -> Advice | None:
    """Return what to do about errors of *kind*; None where nothing general is known."""
    return _ADVICE.get(kind or "")
