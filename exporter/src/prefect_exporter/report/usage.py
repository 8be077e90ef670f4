"""What runs use, as Prometheus has it: peak memory and CPU of each flow, start delay of each pool.

``prefect_sdk_*`` are of ``prefect-instrumentation`` (docs/meters.md) and know no target: flows and
deployments go by their names. ``prefect_flow_run_start_delay_seconds`` is this exporter's.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import SecretStr

from prefect_exporter.moments import SECOND
from prefect_exporter.report.rendering.words import visible
from prefect_exporter.report.workspace import Workspace

TIMEOUT_SECONDS = 60.0
MOST_BYTES = 64 * 1024 * 1024
"""Of one answer: some hundred thousand series."""

LEAST_RUN = 0.5
"""Prometheus' increase is no whole number; what is below half a run is none."""

# A series that is new in the period counts as a whole: increase() misses its first value.
_GROWN = (
    "sum by ({by}) ((last_over_time({series}[{window}])"
    " unless last_over_time({series}[1h] offset {window})) or increase({series}[{window}]))"
)
_FLOWS = "flow, deployment"


class Unusable(Exception):
    """Prometheus was not to be asked, or did not answer: one sentence that says why."""


class Name(NamedTuple):
    """Whose runs, by names; *deployment* is "" without one."""

    flow: str
    deployment: str


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """The peaks of one deployment's processes in the period, in bytes.

    Args:
        runs: How many told theirs, about.
        mean: Of their peaks.
        at_least: The highest peak was above it; *at_most*: and not above that. Infinite where
            it was beyond the last bucket.
    """

    runs: float
    mean: float
    at_least: float
    at_most: float


class Delay(NamedTuple):
    """Seconds from due to start, of one work pool."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Usage:
    """All that Prometheus told of the period.

    Args:
        memory: Of flows whose runs are one process each.
        cpu_seconds: Likewise; programs that a run starts are not in it.
        spread: Flows whose tasks run in processes of their own, so that no one process is the run.
        start_delays: By work pool.
    """

    memory: Mapping[Name, PeakMemory] = field(default_factory=dict)
    cpu_seconds: Mapping[Name, float] = field(default_factory=dict)
    spread: frozenset[Name] = frozenset()
    start_delays: Mapping[str, Delay] = field(default_factory=dict)


class _Sample(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct, frozen=True):
    result: list[_Sample] = []


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Data = _Data()
    error: str = ""


async def read_usage(url: str, workspace: Workspace, auth: SecretStr | None = None) -> Usage:
    """Ask a Prometheus of what the period's runs used.

    Args:
        url: Of Prometheus, or of what speaks its HTTP API, without credentials.
        workspace: For its period and target.
        auth: ``Bearer <token>`` or ``user:password``.

    Raises:
        Unusable: The address has credentials, or nothing there answers as Prometheus does.
    """
    try:
        where, _ = urlsplit(url), httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise Unusable("the address of Prometheus is none") from None
    if where.scheme not in ("http", "https") or not where.hostname:
        raise Unusable("the address of Prometheus is not an http:// or https:// address")
    if where.username or where.password:
        raise Unusable("the address of Prometheus holds credentials: put them into a file")
    if where.query or where.fragment:
        raise Unusable("the address of Prometheus has more than a path: leave out ? and #")
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, auth=_credentials(auth)) as client:
        asking = _Asking(client, f"{url.rstrip('/')}/api/v1/query", workspace)
        return await _usage(asking, workspace.question.target)


class _Bearer(httpx.Auth):
    def __init__(self, header: str) -> None:
        self.header = header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self.header
        yield request


def _credentials(auth: SecretStr | None) -> httpx.Auth | None:
    if auth is None:
        return None
    text = auth.get_secret_value().strip()
    user, colon, password = text.partition(":")
    if text.startswith("Bearer "):
        # The error of who cannot send it would quote it.
        if not (text.isascii() and text.isprintable()):
            raise Unusable("the token of Prometheus is not one line of ASCII")
        return _Bearer(text)
    if not colon:
        raise Unusable("credentials of Prometheus are neither `Bearer <token>` nor `user:password`")
    return httpx.BasicAuth(user, password)


async def _usage(asking: _Asking, target: str) -> Usage:
    memory = "prefect_sdk_process_peak_memory_bytes"
    delay = f"prefect_flow_run_start_delay_seconds_bucket{{target={json.dumps(target)}}}"
    buckets = await asking.grown(f'{memory}_bucket{{task=""}}', f"{_FLOWS}, le")
    sums = await asking.grown(f'{memory}_sum{{task=""}}', _FLOWS)
    cpu = await asking.grown('prefect_sdk_process_cpu_seconds_total{task=""}', _FLOWS)
    spread = await asking.grown('prefect_sdk_process_cpu_seconds_total{task!=""}', _FLOWS)
    delays = await asking.grown(delay, "work_pool, le")
    return Usage(
        dict(_memory(_by(buckets, "flow", "deployment"), sums)),
        {_name(each): value for each, value in cpu},
        frozenset(_name(each) for each, _ in spread),
        dict(_delays(_by(delays, "work_pool"))),
    )


_Values = list[tuple[dict[str, str], float]]


class _Asking:
    """Questions to one Prometheus about one period."""

    def __init__(self, client: httpx.AsyncClient, address: str, workspace: Workspace) -> None:
        self.client = client
        self.address = address
        period = workspace.period
        self.window = f"{max(1, (period.until_us - period.since_us) // SECOND)}s"
        self.at = f"{period.until_us / SECOND:.3f}"

    async def grown(self, series: str, by: str) -> _Values:
        """Return by how much a counter grew in the period, by labels."""
        query = _GROWN.format(series=series, by=by, window=self.window)
        status = 0
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, body = await self._post({"query": query, "time": self.at})
            answer = msgspec.json.decode(body, type=_Answer)
        except TimeoutError:
            seconds = f"{TIMEOUT_SECONDS:.0f} s"
            raise Unusable(f"Prometheus at {self.address} did not answer in {seconds}") from None
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Unusable(f"Prometheus at {self.address} did not answer: {reason}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unusable(f"{self.address} does not answer as Prometheus does: {status}") from None
        if answer.status != "success":
            raise Unusable(f"Prometheus at {self.address} refused: {visible(answer.error[:200])}")
        values = [(each.metric, _number(each.value[1])) for each in answer.data.result]
        return [(labels, value) for labels, value in values if math.isfinite(value)]

    async def _post(self, data: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body."""
        body = bytearray()
        async with self.client.stream("POST", self.address, data=dict(data)) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise Unusable(f"{self.address} answers with more than {MOST_BYTES:,} bytes")
        return response.status_code, bytes(body)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _name(labels: Mapping[str, str]) -> Name:
    return Name(labels.get("flow", ""), labels.get("deployment", ""))


def _by(values: _Values, *names: str) -> dict[tuple[str, ...], list[tuple[float, float]]]:
    """Return cumulative buckets, in order of their upper bounds, by labels."""
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for labels, value in values:
        bound = _number(labels.get("le", ""))
        if not math.isnan(bound):
            found.setdefault(tuple(labels.get(n, "") for n in names), []).append((bound, value))
    return {key: sorted(buckets) for key, buckets in found.items()}


def _memory(
    by_name: Mapping[tuple[str, ...], list[tuple[float, float]]], sums: _Values
) -> Iterator[tuple[Name, PeakMemory]]:
    totals = {_name(labels): value for labels, value in sums}
    for (flow, deployment), buckets in by_name.items():
        name = Name(flow, deployment)
        runs = buckets[-1][1]
        if runs < LEAST_RUN or name not in totals:
            continue
        # The greatest peak lies between the last bound that misses a run and the next one.
        place = next(at for at, (_, value) in enumerate(buckets) if runs - value < LEAST_RUN)
        at_least = buckets[place - 1][0] if place else 0.0
        yield name, PeakMemory(runs, totals[name] / runs, at_least, buckets[place][0])


def _delays(
    by_pool: Mapping[tuple[str, ...], list[tuple[float, float]]],
) -> Iterator[tuple[str, Delay]]:
    for (pool,), buckets in by_pool.items():
        if buckets[-1][1] >= LEAST_RUN:
            yield pool, Delay(_quantile(buckets, 0.5), _quantile(buckets, 0.95))


def _quantile(buckets: list[tuple[float, float]], q: float) -> float:
    """Return what Prometheus' histogram_quantile does: in proportion within a bucket."""
    rank = q * buckets[-1][1]
    place = next(at for at, (_, value) in enumerate(buckets) if value >= rank)
    low, below = buckets[place - 1] if place else (0.0, 0.0)
    high, value = buckets[place]
    if math.isinf(high) or value == below:
        return low
    return low + (high - low) * (rank - below) / (value - below)
