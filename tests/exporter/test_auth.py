"""Who we say we are, and that nobody else learns how we prove it."""

from __future__ import annotations

import asyncio
import gc
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from misbehaving import MisbehavingPrefect
from prefect_exporter import __version__
from prefect_exporter.auth import standing_headers
from prefect_exporter.client import Connection, Exchange, PrefectClient
from prefect_exporter.errors import Rejected, Unreachable
from scripted import CONNECTION

NOBODY = replace(CONNECTION, attempts=1)


def test_api_key_is_a_bearer_token() -> None:
    """An API key alone is sent as bearer token."""
    headers = standing_headers(SecretStr("pnu_1"), None, {})

    assert "Bearer pnu_1" == headers["Authorization"]


def test_auth_string_wins_over_the_api_key() -> None:
    """Both set, the auth string is sent, as basic credentials in UTF-8."""
    headers = standing_headers(SecretStr("pnu_1"), SecretStr("admin:pä:ss"), {})

    assert "Basic " + b64encode("admin:pä:ss".encode()).decode() == headers["Authorization"]


def test_custom_headers_cannot_replace_our_own() -> None:
    """A custom header may set anything but the headers that the protocol needs."""
    custom = {
        "authorization": SecretStr("Bearer of-the-proxy"),
        "CF-Access-Client-Secret": SecretStr("clé"),
        "user-agent": SecretStr("x"),
        "Prefect-Csrf-Token": SecretStr("x"),
        "ACCEPT-ENCODING": SecretStr("br"),
    }
    headers = standing_headers(SecretStr("pnu_1"), None, custom)

    assert "Bearer of-the-proxy" == headers["Authorization"]
    assert "clé" == headers["CF-Access-Client-Secret"]
    assert f"prefect-exporter/{__version__}" == headers["User-Agent"]
    assert "gzip" == headers["Accept-Encoding"]
    assert "Prefect-Csrf-Token" not in headers


def test_connection_does_not_show_secrets() -> None:
    """Neither repr nor str of a connection holds a secret."""
    connection = replace(
        NOBODY,
        api_key=SecretStr("pnu_s3cret"),
        auth_string=SecretStr("admin:s3cret"),
        headers={"X-Token": SecretStr("s3cret")},
    )

    assert "s3cret" not in repr(connection) + str(connection)


@pytest.mark.parametrize(
    "url", ["http://admin:s3cret@prefect.test/api", "https://s3cret@prefect.test:4200/api"]
)
def test_address_with_credentials_is_refused(url: str) -> None:
    """Credentials in the address would reach logs and error texts, so none are taken."""
    with pytest.raises(ValueError, match="PREFECT_API_AUTH_STRING") as caught:
        replace(NOBODY, url=url)

    assert "s3cret" not in str(caught.value)


def test_header_that_cannot_be_sent_is_not_quoted() -> None:
    """A secret with a line break in it fails in plain words that do not hold it."""
    broken = replace(NOBODY, api_key=SecretStr("s3cret\r\nX-Injected: 1"))

    async def ask() -> None:
        async with MisbehavingPrefect() as server:
            await _version(replace(broken, url=server.url))

    with pytest.raises(Unreachable, match="a header that cannot be sent") as caught:
        asyncio.run(ask())

    assert "s3cret" not in str(caught.value)


def test_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of a netrc file for the same host are not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login admin password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def ask() -> MisbehavingPrefect:
        async with MisbehavingPrefect() as server:
            await _version(replace(NOBODY, url=server.url))
        return server

    server = asyncio.run(ask())

    assert "authorization" not in server.requests[0].headers


def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY holds for this program as for any other."""

    async def ask() -> MisbehavingPrefect:
        async with MisbehavingPrefect() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/api"))
            monkeypatch.setenv("NO_PROXY", "")
            with pytest.raises(Rejected):
                await _version(NOBODY)
        return proxy

    proxy = asyncio.run(ask())

    assert "http://prefect.test/api/admin/version" == proxy.requests[0].path


def test_proxy_that_is_no_proxy_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be used is a value error that does not show its address."""
    monkeypatch.setenv("ALL_PROXY", "ftp://admin:s3cret@proxy.test")

    with pytest.raises(ValueError, match="ALL_PROXY") as caught:
        PrefectClient(NOBODY, observe=_ignore)

    assert "s3cret" not in str(caught.value)


def test_cookies_are_not_kept() -> None:
    """A server cannot plant state that we would carry, and grow with, from then on."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        body = httpx.ByteStream(b'"3.8.8"')
        return httpx.Response(200, stream=body, headers={"Set-Cookie": "a=b"})

    async def ask() -> None:
        transport = httpx.MockTransport(answer)
        async with PrefectClient(NOBODY, observe=_ignore, transport=transport) as client:
            await client.version()
            await client.version()

    asyncio.run(ask())

    assert [False, False] == ["Cookie" in request.headers for request in seen]


def test_certificate_of_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    """A server whose certificate nobody vouches for hears no request."""
    with pytest.raises(Unreachable, match="TLS certificate not trusted"):
        asyncio.run(_over_tls(tmp_path, lambda connection, _: connection))


def test_ca_file_is_trusted(tmp_path: Path) -> None:
    """PREFECT_API_SSL_CERT_FILE names whom to trust."""
    trusting = asyncio.run(_over_tls(tmp_path, lambda it, ca: replace(it, ca_file=ca)))

    assert "3.8.8" == trusting


def test_verification_can_be_switched_off(tmp_path: Path) -> None:
    """PREFECT_API_TLS_INSECURE_SKIP_VERIFY takes any certificate."""
    careless = asyncio.run(_over_tls(tmp_path, lambda it, _: replace(it, verify=False)))

    assert "3.8.8" == careless


def test_clients_share_whom_they_usually_trust() -> None:
    """The system's authorities are in memory once, however many targets there are."""

    def held() -> int:
        # Not those that other tests have left behind.
        gc.collect()
        return sum(isinstance(each, ssl.SSLContext) for each in gc.get_objects())

    first = PrefectClient(NOBODY, observe=_ignore)
    before = held()
    more = [PrefectClient(NOBODY, observe=_ignore) for _ in range(3)]

    assert before == held(), (first, more)


def test_missing_ca_file_is_an_os_error(tmp_path: Path) -> None:
    """A file of certificates that is not there is found at the start."""
    with pytest.raises(FileNotFoundError):
        PrefectClient(replace(NOBODY, ca_file=tmp_path / "none.pem"), observe=_ignore)


async def _over_tls(folder: Path, adapt: Callable[[Connection, Path], Connection]) -> str:
    certificate = _self_signed(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with MisbehavingPrefect(tls=tls) as server:
        return await _version(adapt(replace(NOBODY, url=server.url), certificate))


async def _version(connection: Connection) -> str:
    async with PrefectClient(connection, observe=_ignore) as client:
        return await client.version()


def _self_signed(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, plain)
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _ignore(_: Exchange) -> None:
    pass
