"""Make one report: from what the command was asked to the files that it writes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import click
from pydantic import SecretStr

from prefect_exporter.asking import client_of, one_target
from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import ExporterError
from prefect_exporter.exchanges import Exchange
from prefect_exporter.polling import now_us
from prefect_exporter.report import words
from prefect_exporter.report.arguments import (
    LONGEST_US,
    STDOUT,
    bad,
    check_output,
    format_of,
    moment_of,
    price_of,
    prices_of,
    text_of,
)
from prefect_exporter.report.model import Finding, Report, Severity
from prefect_exporter.report.outputs import rendered, told, write
from prefect_exporter.report.progress import Progress, progress
from prefect_exporter.report.question import Period, Prices, Question
from prefect_exporter.report.reading.pieces import AT_ONCE, Limits, Source
from prefect_exporter.report.reading.reader import notes, read, requests
from prefect_exporter.report.state import State, default_path, kept_in
from prefect_exporter.report.usage import Unusable, Usage, read_usage
from prefect_exporter.report.workspace import Workspace
from prefect_exporter.settings import Settings
from prefect_exporter.ui_links import ui_links

_NEEDED = ("apprise", "networkx", "pygal")
_CLOUD = "api.prefect.cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of ``prefect-exporter report``, as they were given."""

    since: str
    until: str | None
    flows: tuple[str, ...]
    tags: tuple[str, ...]
    target: str | None
    form: str | None
    outputs: tuple[str, ...]
    compare: bool
    fail_on: str | None
    prometheus_url: str | None
    prometheus_auth_file: str | None
    price_cpu_hour: float
    price_memory_gib_hour: float
    prices: tuple[str, ...]
    code: tuple[str, ...]
    owner_tags: tuple[str, ...]
    max_task_runs: int
    max_requests: int | None
    state: str | None
    fresh: bool
    send_to_file: str | None
    quiet: bool


def make(asked: Asked) -> bool:
    """Make the report, and return whether a finding is as severe as ``--fail-on`` says.

    Raises:
        BadSettings: An option or a setting cannot be used.
        ApiError: Prefect cannot be read.
        NotSent: Somebody was not reached with the report, which is written.
        ExporterError: What was read cannot be kept, or it was stopped.
    """
    _check_extra()
    settings = one_target(asked.target)
    question = question_of(asked, settings, now_us())
    forms = {each: format_of(each, asked.form) for each in asked.outputs or (STDOUT,)}
    for output in forms:
        check_output(output)
    addresses = _addresses(asked.send_to_file)
    path = Path(asked.state) if asked.state else default_path(_asked(asked, settings))
    try:
        with (
            kept_in(path),
            State(path, _asked(asked, settings), question, fresh=asked.fresh) as state,
        ):
            report = _made(asked, settings, state)
            texts = _write(report, forms)
            state.remove()
            if not asked.quiet:
                click.echo(told(report, forms), err=True)
    except KeyboardInterrupt:
        raise ExporterError("stopped; the same command goes on from here") from None
    _send(report, texts, addresses)
    return asked.fail_on is not None and fails(report, Severity(asked.fail_on))


def question_of(asked: Asked, settings: Settings, at_us: int) -> Question:
    """Return what is asked, at a time.

    Raises:
        BadSettings: An option cannot be used.
    """
    until_us = moment_of("--until", asked.until, at_us) if asked.until else at_us
    since_us = moment_of("--since", asked.since, until_us)
    if since_us >= until_us:
        bad("--since", asked.since, f"is not before --until, {words.rfc3339(until_us)}")
    if until_us - since_us > LONGEST_US:
        bad("--since", asked.since, "is more than 400 days before --until; give a later time")
    if until_us < 0:
        bad("--until", asked.until, "is before 1970")
    if until_us > at_us:
        bad("--until", asked.until, "is still to come; leave it out for now")
    return Question(
        target=settings.target,
        api_url=settings.api_url,
        links=ui_links(settings.api_url, settings.ui_url),
        period=Period(since_us, until_us),
        now_us=at_us,
        compare=asked.compare,
        flows=tuple(text_of("--flow", each) for each in asked.flows),
        tags=tuple(text_of("--tag", each) for each in asked.tags),
        owner_tags=tuple(text_of("--owner-tag", each) for each in asked.owner_tags),
        prices=Prices(
            price_of("--price-cpu-hour", asked.price_cpu_hour),
            price_of("--price-memory-gib-hour", asked.price_memory_gib_hour),
            prices_of(asked.prices),
        ),
        is_cloud=urlsplit(settings.api_url).hostname == _CLOUD,
        error_rules=settings.error_rules or (),
    )


def fails(report: Report, worst: Severity) -> bool:
    """Return whether a finding is at least so severe."""
    order = list(Severity)
    return any(order.index(each.severity) <= order.index(worst) for each in report.findings)


def _check_extra() -> None:
    lacking = [name for name in _NEEDED if find_spec(name) is None]
    if lacking:
        problem = f"report needs {', '.join(lacking)}: pip install 'prefect-exporter[report]'"
        raise BadSettings((problem,))


def _asked(asked: Asked, settings: Settings) -> str:
    """Return what decides what is read, as text: who asks the same goes on where it was."""
    parts = (settings.target, settings.api_url, asked.since, asked.until, asked.compare)
    return json.dumps([*parts, asked.flows, asked.tags, asked.max_task_runs])


def _made(asked: Asked, settings: Settings, state: State) -> Report:
    _tell_of(state, quiet=asked.quiet)
    with progress(quiet=asked.quiet) as shown:
        asyncio.run(_read(asked, settings, state, shown))
    workspace = Workspace(state.store, state.question)
    # Only now, as they take a while to import, and the first requests need none of them.
    from prefect_exporter.report.build import build  # noqa: PLC0415 - see above

    of_code, code_notes = _of_code(asked.code)
    return build(
        workspace,
        extra_findings=of_code,
        usage=_usage(asked, workspace),
        requests=requests(state.store),
        notes=[*notes(state.store), *code_notes],
    )


def _tell_of(state: State, *, quiet: bool) -> None:
    if state.goes_on and not quiet:
        begun = words.time(state.question.now_us)
        click.echo(f"going on with the report of {begun}; --fresh begins anew", err=True)


class _Meter:
    """Counts requests."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, _exchange: Exchange) -> None:
        self.requests += 1


async def _read(asked: Asked, settings: Settings, state: State, shown: Progress) -> None:
    meter = _Meter()
    # Where there is a budget nothing is gained by asking for more at once than it allows.
    at_once = AT_ONCE if settings.requests_per_minute is None else 1
    limits = Limits(min(asked.max_task_runs, sys.maxsize), asked.max_requests, at_once)
    async with client_of(settings, meter) as client:
        source = Source(client, state.store, state.question, limits)
        await read(source, lambda: meter.requests, shown)


def _of_code(paths: Sequence[str]) -> tuple[Sequence[Finding], Sequence[str]]:
    """Return findings and notes."""
    if not paths:
        return (), ()
    from prefect_exporter.report.code import examine  # noqa: PLC0415 - for those who ask for it

    examined = examine([Path(each) for each in paths])
    return examined.findings, examined.notes


def _usage(asked: Asked, workspace: Workspace) -> Usage | None:
    if asked.prometheus_url is None:
        return None
    auth = _auth(asked.prometheus_auth_file)
    try:
        return asyncio.run(read_usage(asked.prometheus_url, workspace, auth))
    except Unusable as error:
        raise ExporterError(f"--prometheus-url: {error}") from None


def _auth(path: str | None) -> SecretStr | None:
    if path is None:
        return None
    try:
        return SecretStr(Path(path).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeError):
        bad("--prometheus-auth-file", path, "cannot be read as text; check its permissions")


def _addresses(path: str | None) -> Sequence[SecretStr]:
    if path is None:
        return ()
    from prefect_exporter.report.sending import read_addresses  # noqa: PLC0415 - as send below

    try:
        return read_addresses(Path(path))
    except OSError as error:
        bad("--send-to-file", path, f"cannot be read: {error.strerror}")


def _write(report: Report, forms: Mapping[str, str]) -> Mapping[str, str]:
    """Write each output, and return the report's text by format."""
    texts = {form: rendered(report, form) for form in sorted({*forms.values()})}
    for output, form in forms.items():
        write(output, texts[form])
    return texts


def _send(report: Report, texts: Mapping[str, str], addresses: Sequence[SecretStr]) -> None:
    if addresses:
        from prefect_exporter.report.sending import send  # noqa: PLC0415 - for those who send it

        send(report, texts.get("html") or rendered(report, "html"), addresses)
