"""Send a report to where people read: mail, Slack, or whatever else Apprise has an address for.

A message is plain text: the summary and what to mend first. The whole report goes with it as a
file where the service takes files, as mail does. Addresses hold passwords and tokens, so none of
them is ever in an error or in the log: it is named by its place and its kind.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from prefect_exporter.errors import NotSent
from prefect_exporter.report.model import Finding, Report, Severity
from prefect_exporter.report.recommendations import first
from prefect_exporter.report.rendering.savings import saves
from prefect_exporter.report.rendering.words import clipped, moment, visible

if TYPE_CHECKING:
    from apprise import Apprise

_MOST_PARAGRAPHS = 3
_MOST_TITLE = 120
_MOST_BODY = 2_800
"""Slack shows no more of one text than 3,000 characters."""
_KIND = re.compile("([a-z][a-z0-9]{1,19})://")
# What a chat takes for a call to everybody or for a link is shown by its likeness.
_LIKENESS = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})


def read_addresses(path: Path) -> list[SecretStr]:
    """Return the addresses of a file: one a line, without empty lines and ``#`` comments.

    Raises:
        OSError: The file cannot be read.
    """
    lines = (
        line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return [SecretStr(line) for line in lines if line and not line.startswith("#")]


def send(report: Report, html: str, addresses: Sequence[SecretStr]) -> None:
    """Send the summary of a report, with *html* as a file, to each address.

    Raises:
        NotSent: Some did not take it; the others have got it.
    """
    failed = []
    for place, address in enumerate(addresses, 1):
        service = _service(address)
        if service is None or not _sent(service, report, html):
            failed.append((place, _kind(address)))
    if failed:
        raise NotSent(failed)


def title(report: Report) -> str:
    """Return one line: whose report it is, and how much there is to mend."""
    counts = [
        f"{sum(each.severity is severity for each in report.findings)} {severity.value}"
        for severity in Severity
    ]
    return f"Prefect {_plain(report.scope.target, _MOST_TITLE)}: {', '.join(counts)}"


def summary(report: Report) -> str:
    """Return the summary of a report as plain text, short enough for a chat."""
    scope = report.scope
    lines = [f"{moment(scope.since)} to {moment(scope.until)} UTC.", ""]
    paragraphs = next((each.paragraphs for each in report.sections if each.id == "summary"), ())
    lines += [_plain(each, 600) for each in paragraphs[:_MOST_PARAGRAPHS]]
    if report.findings:
        lines += ["", "First:"]
    for number, each in enumerate(first(report.findings), 1):
        lines += [f"{number}. {_told(each.findings[0])}"]
    return clipped("\n".join(lines), _MOST_BODY)


def _told(finding: Finding) -> str:
    what = f"{finding.severity.value.capitalize()}: {_plain(finding.title, 200)}"
    return f"{what} (saves {saves(finding)})" if saves(finding) else what


def _plain(text: str, most: int) -> str:
    return visible(clipped(text, most)).translate(_LIKENESS).replace("://", "\u2236//")


def _service(address: SecretStr) -> Apprise | None:
    """Return what sends to an address; None where nothing knows such an address."""
    # It takes a second to import, and only a report that is sent needs it.
    from apprise import Apprise, AppriseAsset, NotifyFormat  # noqa: PLC0415

    # Its log lines hold addresses.
    logging.getLogger("apprise").disabled = True
    asset = AppriseAsset(app_id="prefect-exporter", app_desc="Report on Prefect", app_url="")
    service = Apprise(asset=asset)
    if not service.add(address.get_secret_value()):
        return None
    # Whatever the address asks for: a name is never taken for a mark of Markdown or HTML.
    for each in service:
        each.notify_format = NotifyFormat.TEXT
    return service


def _sent(service: Apprise, report: Report, html: str) -> bool:
    from apprise import AppriseAttachment, NotifyFormat  # noqa: PLC0415 - as above
    from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

    name = f"prefect-report-{report.generated[:10]}.html"
    file = AttachMemory(html.encode(), name, "text/html")  # type: ignore[no-untyped-call]  # its own
    return bool(
        service.notify(
            title=title(report),
            body=summary(report),
            body_format=NotifyFormat.TEXT,
            attach=AppriseAttachment([file]),
        )
    )


def _kind(address: SecretStr) -> str:
    found = _KIND.match(address.get_secret_value().lower())
    return found[1] if found else "not an address"
