"""How one Prefect server is reached: the connection pool, its TLS, and why a connection failed."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from prefect_exporter.auth import standing_headers
from prefect_exporter.errors import Unreachable

_POOL = httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=60)
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (ssl.SSLCertVerificationError, "TLS certificate not trusted"),
    (ssl.SSLError, "TLS failed"),
    ((socket.gaierror, UnicodeError), "no such host"),
    (ConnectionRefusedError, "connection refused"),
    ((ConnectionResetError, BrokenPipeError), "connection reset"),
    (TimeoutError, "connecting timed out"),
    (httpx.RemoteProtocolError, "the connection ended before a whole HTTP answer"),
    (httpx.ProxyError, "the proxy refused"),
    (
        (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError),
        "an address or a header that cannot be sent",
    ),
)
_LOCAL_ONLY = (
    "; a server bound to 127.0.0.1 cannot be reached from a container or another machine: "
    "prefect server start --host 0.0.0.0"
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that the client needs to know of one target.

    Args:
        url: The address of the API, for example ``https://prefect.example.com/api``.
        api_key: For Prefect Cloud: sent as bearer token.
        auth_string: ``user:password``; wins over the API key.
        headers: Further headers of every request.
        ca_file: Certificates to trust instead of the usual ones.
        verify: Whether the server's certificate is checked at all.
        request_timeout_seconds: For one whole answer, connecting included.
        attempts: Tries of one request, the first included.
        requests_per_minute: The budget, retries included; None where there is none.
        page_size: Rows of one page; lowered for good where Prefect allows fewer.

    Raises:
        ValueError: The address holds credentials, which logs would show.
    """

    url: str
    api_key: SecretStr | None
    auth_string: SecretStr | None
    headers: Mapping[str, SecretStr]
    ca_file: Path | None
    verify: bool
    request_timeout_seconds: float
    attempts: int
    requests_per_minute: int | None
    page_size: int

    def __post_init__(self) -> None:
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ValueError("the address must hold no credentials; use PREFECT_API_AUTH_STRING")


def open_http(
    connection: Connection, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    """Return a client that stays on its host, keeps no cookies, and sends who we are.

    Raises:
        OSError: The file of certificates cannot be read, or holds none.
        ValueError: The environment names a proxy that cannot be used.
    """
    headers = standing_headers(connection.api_key, connection.auth_string, connection.headers)
    tls = _tls(connection)
    try:
        return httpx.AsyncClient(
            headers=headers,
            verify=tls,
            # HTTPS_PROXY and NO_PROXY hold for this program as for any other. A netrc file does
            # not: httpx reads one only where told to, so credentials come from settings alone.
            trust_env=True,
            follow_redirects=False,
            event_hooks={"response": [_set_location_aside]},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # One deadline for the whole answer stands around each request instead.
            timeout=None,  # noqa: S113
            limits=_POOL,
            transport=transport,
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        raise ValueError("HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used") from None


def unreachable(route: str, url: str, error: Exception) -> Unreachable:
    """Return the error in plain words; what the library said may hold an address or a header."""
    for cause in _causes(error):
        if reason := _reason(cause):
            refused = isinstance(cause, ConnectionRefusedError)
            hint = _LOCAL_ONLY if refused and not _is_loopback(url) else ""
            return Unreachable(route, reason + hint)
    return Unreachable(route, "the connection failed")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _set_location_aside(response: httpx.Response) -> None:
    """Keep httpx from building the next request, which fails on an address that it dislikes."""
    response.extensions["location"] = response.headers.pop("Location", "")


def _tls(connection: Connection) -> ssl.SSLContext:
    if connection.verify and connection.ca_file is not None:
        return ssl.create_default_context(cafile=connection.ca_file)
    return _usual_tls(verify=connection.verify)


@cache
def _usual_tls(*, verify: bool) -> ssl.SSLContext:
    """Return what all targets without a file of their own share: 0.8 MiB and 20 ms for each."""
    return httpx.create_ssl_context(verify=verify)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the innermost errors first: they are the exact ones."""
    if error is None:
        return
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    yield from _causes(error.__cause__ or error.__context__)
    yield error


def _reason(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return "no route to the host"
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return "this process may not open more files; raise its limit (ulimit -n)"
    return next((reason for kinds, reason in _REASONS if isinstance(error, kinds)), None)
