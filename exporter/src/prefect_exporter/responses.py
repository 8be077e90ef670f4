"""Answers with the headers that every one of them has."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import HTMLResponse, PlainTextResponse

# No Strict-Transport-Security: it binds every port of the host, so it would take Prefect's own
# page and Grafana away from whoever serves those by plain HTTP beside a TLS exporter.
# https://www.rfc-editor.org/rfc/rfc6797#section-8.3
SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGE = (
    "default-src 'none'; style-src 'nonce-{nonce}';{more} base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_RENEWS = " script-src 'nonce-{nonce}'; connect-src 'self';"


def plain(text: str, status: int = HTTPStatus.OK) -> Response:
    """Return one or more lines of text."""
    return PlainTextResponse(f"{text}\n", status_code=status, headers=SAFE)


def page(render: Callable[[str], str], *, renews: bool = False) -> Response:
    """Return a page that *render* makes; only what bears its nonce is let through.

    Args:
        render: Makes the HTML from the nonce.
        renews: Whether a script of it may ask this server again.
    """
    nonce = secrets.token_urlsafe(16)
    more = _RENEWS.format(nonce=nonce) if renews else ""
    headers = {**SAFE, "Content-Security-Policy": _PAGE.format(nonce=nonce, more=more)}
    return HTMLResponse(render(nonce), headers=headers)


def content(body: bytes, media_type: str, policy: str | None = None) -> Response:
    """Return bytes as they are; without a *policy* a browser may do nothing with them."""
    headers = {**SAFE, "Content-Security-Policy": policy} if policy else SAFE
    return Response(body, media_type=media_type, headers=headers)
