"""The command that a container's health check runs: alive or not, and why, in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server

import pytest

from certificates import certificate
from demo.processes import free_port
from prefect_exporter.environment import load_settings
from prefect_exporter.healthcheck import NotAlive, ask_health

START_SECONDS = 60
LISTEN_ADDRESS = "PREFECT_EXPORTER_LISTEN_ADDRESS"
HIDDEN = "hunter2-do-not-show"


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its Prefect variables, and with *settings*."""
    clean = {name: text for name, text in os.environ.items() if "PREFECT" not in name}
    return clean | dict(settings)


def healthcheck(settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command as a container does."""
    return subprocess.run(
        [sys.executable, "-m", "prefect_exporter", "healthcheck"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextlib.contextmanager
def serving(settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run an exporter with these settings until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect_exporter", "serve"],
        env=environment(settings),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def settled(settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Return the first answer that is no failure, or the last failure after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while (done := healthcheck(settings)).returncode and time.monotonic() < deadline:
        pass
    return done


def plain(folder: Path, port: int) -> dict[str, str]:
    """Return the settings of an exporter on loopback, whose Prefect does not answer."""
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        LISTEN_ADDRESS: f"127.0.0.1:{port}",
        "PREFECT_EXPORTER_STATE_PATH": str(folder / "ledger.sqlite"),
    }


@pytest.mark.parametrize(
    ("listen", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")],  # noqa: S104 - a firewall is not what is tested
)
def test_living_exporter_is_alive_though_prefect_is_down(
    tmp_path: Path, listen: str, asked: str
) -> None:
    """It asks where the settings say, by loopback where that is every interface: 0 and a line."""
    port = free_port()
    settings = plain(tmp_path, port) | {LISTEN_ADDRESS: f"{listen}:{port}"}
    with serving(settings):
        done = settled(settings)

    assert (0, f"alive: http://{asked}:{port}/healthz\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_tls_and_credentials_do_not_hinder_it(tmp_path: Path) -> None:
    """It asks by HTTPS where the exporter answers so, under any name, and shows no secret."""
    port = free_port()
    cert, key = certificate(tmp_path)
    settings = plain(tmp_path, port) | {
        "PREFECT_EXPORTER_TLS_CERT_FILE": str(cert),
        "PREFECT_EXPORTER_TLS_KEY_FILE": str(key),
        "PREFECT_EXPORTER_BASIC_AUTH": f"me:{HIDDEN}",
        "PREFECT_EXPORTER_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        LISTEN_ADDRESS: f"localhost:{port}",
    }
    with serving(settings):
        done = settled(settings)

    assert (0, f"alive: https://localhost:{port}/healthz\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_stopped_process_is_not_alive(tmp_path: Path) -> None:
    """An exporter that stands still, and one that has ended, are not alive: 1 and one line."""
    port = free_port()
    settings = plain(tmp_path, port)
    with serving(settings) as process:
        assert 0 == settled(settings).returncode
        process.send_signal(signal.SIGSTOP)
        stopped = healthcheck(settings)
    ended = healthcheck(settings)

    url = f"http://127.0.0.1:{port}/healthz"
    assert (1, "", f"prefect-exporter: no answer at {url}: timed out\n") == (
        stopped.returncode,
        stopped.stdout,
        stopped.stderr,
    )
    assert (1, "") == (ended.returncode, ended.stdout)
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"prefect-exporter: no answer at {url}: ")


def test_another_program_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not 200 comes from something else, or from an exporter that is broken."""

    class Gone(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gone) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(LISTEN_ADDRESS, f"127.0.0.1:{server.server_port}")
        with pytest.raises(NotAlive, match="is 503"):
            ask_health(load_settings())
        server.shutdown()


def test_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for what is outside does not answer for the exporter."""
    with create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv(LISTEN_ADDRESS, f"127.0.0.1:{free_port()}")
        with pytest.raises(NotAlive, match=r"refused|failed"):
            ask_health(load_settings())
