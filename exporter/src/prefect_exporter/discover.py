"""What one Prefect has, and the targets file to begin with."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import yaml

from prefect_exporter.api import Api, Page
from prefect_exporter.errors import Rejected
from prefect_exporter.labels import clip
from prefect_exporter.settings import Settings
from prefect_exporter.targets_file import SECRETS
from prefect_exporter.values import MAX_TAG_LABELS

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")

MOST_ROWS = 5_000
DEPLOYMENTS_AT_ONCE = 25
_MOST_TOLD = 20
_LACKING = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class Found:
    """What Prefect has; None where it does not have such a thing at all.

    Args:
        version: What the server says it is; None where it has no route to say so.
        pools: The names of its work pools.
        queues: How many work queues.
        deployments: How many deployments, at most ``MOST_ROWS``.
        flows: How many flows these belong to.
        tag_keys: How many of them carry a ``key:value`` or ``key=value`` tag, by key.
        automations: How many.
        limits: How many concurrency limits.
    """

    version: str | None
    pools: tuple[str, ...] | None
    queues: int | None
    deployments: int
    flows: int
    tag_keys: tuple[tuple[str, int], ...]
    automations: int | None
    limits: int | None


async def discover(api: Api, progress: Callable[[str], None]) -> Found:
    """Ask Prefect what it has; *progress* is told before what may take long.

    Raises:
        ApiError: There was no usable answer.
    """
    version = await if_told(api.version())
    pools = await _every(api.work_pools)
    queues = await _every(api.work_queues)
    automations = await _every(api.automations)
    limits = await _every(api.concurrency_limits)
    count, flows, keys = 0, set(), Counter[str]()
    more = True
    while more and count < MOST_ROWS:
        progress(f"asked for {count} deployments")
        page = await api.deployment_page(count, DEPLOYMENTS_AT_ONCE)
        count, more = count + len(page.rows), page.full
        for row in page.rows:
            flows.add(row.flow_id)
            # In the order of the tags: a set's order differs from one process to the next.
            keys.update(list(dict.fromkeys(key for tag in row.tags if (key := _key(tag)))))
    return Found(
        version=version,
        pools=None if pools is None else tuple(clip(pool.name) for pool in pools),
        queues=None if queues is None else len(queues),
        deployments=count,
        flows=len(flows),
        tag_keys=tuple(keys.most_common(_MOST_TOLD)),
        automations=None if automations is None else len(automations),
        limits=None if limits is None else len(limits),
    )


async def if_told(answer: Awaitable[AnswerT]) -> AnswerT | None:
    """Return an answer of Prefect; None where it has no such route, as Cloud may not have."""
    try:
        return await answer
    except Rejected as error:
        if error.status in _LACKING:
            return None
        raise


async def _every(ask: Callable[[int], Awaitable[Page[RowT]]]) -> Sequence[RowT] | None:
    rows: list[RowT] = []
    while len(rows) < MOST_ROWS:
        if (page := await if_told(ask(len(rows)))) is None:
            return None
        rows += page.rows
        if not page.full or not page.rows:
            break
    return rows


def _key(tag: str) -> str:
    """Return the key of a tag that could be a label: ``team`` of ``team:payments``."""
    key = tag.replace("=", ":", 1).partition(":")
    return key[0].strip() if key[1] and key[2].strip() and key[0].strip().isidentifier() else ""


def starting_file(found: Found, settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the text of a targets file for what was found.

    Args:
        found: What Prefect has.
        settings: How it was asked.
        environ: The variables that said how; the text has the names of secrets, not their values.
    """
    lines = [f"# {line}" for line in _remarks(found)]
    target: dict[str, object] = {"name": settings.target, "url": settings.api_url}
    target |= dict(_secrets(environ, settings.target))
    if settings.api_ca_file:
        target["ca_file"] = str(settings.api_ca_file)
    if settings.api_tls_insecure_skip_verify:
        target["tls_insecure_skip_verify"] = True
    text = yaml.safe_dump({"targets": [target]}, sort_keys=False, width=1000, allow_unicode=False)
    if found.pools:
        names = ", ".join(json.dumps(name) for name in found.pools[:_MOST_TOLD])
        lines += [f"# Work pools: {names}."]
    hints = [
        '    # work_pools: ["*", "!name-to-leave-out"]',
        '    # flows: ["etl-*"]',
        "    # requests_per_minute: 300",
        "    # collectors: {automations: off, deployments: 10m}",
    ]
    return "\n".join([*lines, _indented(text), *hints, ""])


def _remarks(found: Found) -> list[str]:
    counts = {
        "work pools": None if found.pools is None else len(found.pools),
        "work queues": found.queues,
        "automations": found.automations,
        "concurrency limits": found.limits,
    }
    had = [f"{number} {what}" for what, number in counts.items() if number is not None]
    lacks = [what for what, number in counts.items() if number is None]
    more = " or more" if found.deployments >= MOST_ROWS else ""
    version = f" {json.dumps(found.version)[1:-1]}" if found.version else ""
    remarks = [
        (
            f"Prefect{version}: {found.deployments}{more} deployments "
            f"of {found.flows} flows, {', '.join(had)}."
        )
    ]
    if lacks:
        remarks.append(f"It does not know: {', '.join(lacks)}.")
    if found.tag_keys:
        keys = ", ".join(f"{key} ({number})" for key, number in found.tag_keys)
        labels = [key for key, _ in found.tag_keys if key.isascii() and key != "slo"]
        remarks += [
            f"Keys of tags, with how many deployments carry them: {keys}.",
            f"As labels: PREFECT_EXPORTER_TAG_LABELS={','.join(labels[:MAX_TAG_LABELS])}",
        ]
    return remarks


def _secrets(environ: Mapping[str, str], target: str) -> Iterator[tuple[str, str]]:
    for key, name in SECRETS.items():
        if environ.get(name):
            # Another one: beside a targets file, the variables that name one server are an error.
            yield f"{key}_env", re.sub(r"\W", "_", f"{key}_{target}").upper()
        elif path := environ.get(f"{name}_FILE"):
            yield f"{key}_file", path


def _indented(text: str) -> str:
    """Return YAML with its list a step to the right, as people write it."""
    head, *rest = text.rstrip("\n").split("\n")
    return "\n".join([head, *(f"  {line}" for line in rest)])
