"""Who we are to Prefect: the headers of every request, and the CSRF token some servers want."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from uuid import uuid4

import httpx
import msgspec
from pydantic import SecretStr

from prefect_exporter import __version__

# The first three are those that Prefect's own client keeps to itself; gzip is all that we unpack.
_OURS = frozenset({"user-agent", "prefect-csrf-token", "prefect-csrf-client", "accept-encoding"})


class CsrfToken(msgspec.Struct, frozen=True):
    """The answer of ``GET /csrf-token``; only what may stand in a header is taken."""

    token: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,512}\Z")]


@dataclass(slots=True)
class Csrf:
    """The CSRF token of one client; servers without CSRF protection never see one."""

    client: str = field(default_factory=lambda: str(uuid4()))
    token: str | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the two headers that prove the token, or none before there is one."""
        if self.token is None:
            return {}
        return {"Prefect-Csrf-Token": self.token, "Prefect-Csrf-Client": self.client}


def standing_headers(
    api_key: SecretStr | None, auth_string: SecretStr | None, custom: Mapping[str, SecretStr]
) -> httpx.Headers:
    """Return the headers of every request.

    As in Prefect's client, the auth string wins over the API key, and a custom header over both.
    """
    headers = httpx.Headers()
    if auth_string is not None:
        basic = b64encode(auth_string.get_secret_value().encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    elif api_key is not None:
        headers["Authorization"] = f"Bearer {api_key.get_secret_value()}"
    for name, value in custom.items():
        if name.lower() not in _OURS:
            headers[name] = value.get_secret_value()
    headers["User-Agent"] = f"prefect-exporter/{__version__}"
    headers["Accept-Encoding"] = "gzip"
    return headers
