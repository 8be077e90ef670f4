"""The whole of Alertmanager's configuration."""

from __future__ import annotations

from typing import Any

from alerting.inhibitions import inhibit_rules
from alerting.receivers import receivers
from alerting.routes import root, time_intervals
from alerting.setup import Setup
from alerting.teams import MailServer, Teams


def configuration(teams: Teams, setup: Setup | None = None) -> dict[str, Any]:
    """Return the document that alertmanager.yml holds; without *setup*, that of the stack."""
    setup = setup or Setup()
    mail = {"global": _mail(teams.email, setup)} if teams.email else {}
    intervals = {"time_intervals": listed} if (listed := time_intervals(teams)) else {}
    return {
        **mail,
        "templates": [setup.templates],
        "route": root(teams, setup),
        **intervals,
        "inhibit_rules": inhibit_rules(),
        "receivers": receivers(teams, setup),
    }


def _mail(server: MailServer, setup: Setup) -> dict[str, Any]:
    login = {
        "smtp_auth_username": server.user,
        "smtp_auth_password_file": f"{setup.secrets}/email_password",
    }
    return {
        "smtp_from": server.sender,
        "smtp_smarthost": server.server,
        "smtp_require_tls": server.tls,
        **(login if server.user else {}),
    }
