"""Whether the exporter beside this process lives: for containers, which have no curl."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus

import httpx

from prefect_exporter.errors import ExporterError
from prefect_exporter.settings import Settings
from prefect_exporter.values import Address

_LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class NotAlive(ExporterError):
    """The exporter does not answer at its listen address, or not as one that lives."""


def ask_health(settings: Settings, *, timeout_seconds: float = 5.0) -> str:
    """Return the address at which an exporter with these *settings* says that it lives.

    Raises:
        NotAlive: With one line that names the address and the reason.
    """
    scheme = "http" if settings.tls_cert_file is None else "https"
    url = f"{scheme}://{_reachable(settings.listen_address)}/healthz"
    try:
        # The certificate is for the name that others know. Nothing secret is sent, and whoever
        # answers here in the exporter's place has its address already.
        answer = httpx.get(url, timeout=timeout_seconds, trust_env=False, verify=False)  # noqa: S501 - see above
    except httpx.HTTPError as error:
        raise NotAlive(f"no answer at {url}: {error or type(error).__name__}") from None
    if answer.status_code != HTTPStatus.OK:
        raise NotAlive(f"the answer at {url} is {answer.status_code}")
    return url


def _reachable(address: Address) -> Address:
    """Return where to ask what listens on *address*, which may stand for every interface."""
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return address
    return Address(_LOOPBACK[ip.version], address.port) if ip.is_unspecified else address
