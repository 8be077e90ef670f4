"""Services that take alerts, on loopback: they remember what they hear, and fail when told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One request: the path that it came to, its Authorization header and its JSON."""

    path: str
    authorization: str
    body: Any


@dataclass(slots=True)
class WebSink:
    """Answers every path; *failing* and *hanging* name those that do not do so well."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    done: Event = field(default_factory=Event)

    def bodies(self, path: str) -> list[Any]:
        """Return what came to the path, in order."""
        return [each.body for each in self.received if each.path == path]


@contextmanager
def web_sink() -> Iterator[WebSink]:
    """Listen until the block ends."""
    sink = WebSink()

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.received.append(Received(self.path, self.headers.get("Authorization", ""), body))
            if self.path in sink.hanging:
                sink.done.wait()
            self.send_response(500 if self.path in sink.failing else 200)
            self.end_headers()
            # Slack says so, and PagerDuty and the others do not mind.
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, 0), _Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    sink.url = f"http://{HOST}:{server.server_port}"
    try:
        yield sink
    finally:
        # Who hangs is let go before its thread is waited for.
        sink.done.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(slots=True)
class MailSink:
    """A mail server: where it listens, the logins that it saw, and the mails."""

    address: str = ""
    logins: list[tuple[str, str]] = field(default_factory=list)
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  the library's name
        """Keep the mail."""
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.received.append(mail)
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: object
    ) -> AuthResult:
        """Let everybody in, and remember who it was."""
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=True)


@contextmanager
def mail_sink(port: int) -> Iterator[MailSink]:
    """Listen until the block ends."""
    sink = MailSink(f"{HOST}:{port}")
    controller = Controller(
        sink,
        hostname=HOST,
        port=port,
        authenticator=sink.authenticate,
        auth_require_tls=False,
        # Its LOGIN asks for "User Name" where Alertmanager knows "username:" alone.
        auth_exclude_mechanism=["LOGIN"],
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
