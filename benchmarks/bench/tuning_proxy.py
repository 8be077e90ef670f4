"""What the proxy before the replicas can save them: zipping, connections, static files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx

from bench.alternating import Comparison, Figures, compare
from bench.machine import cpu_seconds, percentile
from bench.proxies import Proxy, start_proxy
from bench.tuning_place import Place, Say
from demo.prefect_server import PrefectServer

ZIPPING = (
    "compression algo gzip",
    "compression type application/json text/html text/css text/javascript application/javascript",
    "compression offload",
)
"""Lines with which the proxy zips in place of Prefect, whose Python does it in its only thread."""

_CACHE = (
    "cache ui",
    "    total-max-size 64",
    "    max-object-size 10000000",
    "    max-age 300",
    "    process-vary on",
)
_CACHED = ("http-request cache-use ui", "http-response cache-store ui")
_PAGES = 60
_SMALL = 300


@dataclass(frozen=True, slots=True)
class _Case:
    """Two ways of the proxy, and the request that tells them apart."""

    setting: str
    before: tuple[str, Sequence[str]]
    after: tuple[str, Sequence[str]]
    request: tuple[str, str, Mapping[str, object] | None]
    number: int
    sections: Sequence[str] = ()


def measure_proxy(there: Place, server: PrefectServer, rounds: int, say: Say) -> list[Comparison]:
    """Compare ways of the proxy before one server, while nothing else asks it."""
    page = ("POST", "/api/flow_runs/filter", {"limit": 200, "sort": "END_TIME_DESC"})
    small = ("POST", "/api/flow_runs/count", {"flow_runs": {"name": {"any_": ["none"]}}})
    asset = ("GET", _largest_asset(server), None)
    cases = (
        _Case("who zips, 200 flow runs", ("Prefect", ()), ("HAProxy", ZIPPING), page, _PAGES),
        _Case(
            "http-reuse, counts",
            ("safe", ("http-reuse safe",)),
            ("always", ("http-reuse always",)),
            small,
            _SMALL,
        ),
        _Case("cache, a file of the UI", ("none", ()), ("5min", _CACHED), asset, _PAGES, _CACHE),
    )
    return [_measure(there, server, case, rounds, say) for case in cases]


def _measure(there: Place, server: PrefectServer, case: _Case, rounds: int, say: Say) -> Comparison:
    say(f"{case.setting}: {rounds} rounds of two ...")
    port = httpx.URL(server.url).port or 80
    name = "".join(letter for letter in case.setting.lower() if letter.isalpha())
    proxies = [
        start_proxy(there.sandbox, f"{name}-{place}", [port], lines=lines, sections=case.sections)
        for place, (_, lines) in enumerate((case.before, case.after))
    ]

    def lap(proxy: Proxy) -> Callable[[], Figures]:
        return lambda: _ask(server, proxy, case)

    try:
        before, after = (lap(proxy) for proxy in proxies)
        return compare(case.setting, ((case.before[0], before), (case.after[0], after)), rounds)
    finally:
        for proxy in proxies:
            proxy.process.stop()


def _ask(server: PrefectServer, proxy: Proxy, case: _Case) -> Figures:
    method, path, body = case.request
    seconds, size = [], 0
    before = cpu_seconds(server.process.pid), cpu_seconds(proxy.pid)
    # As many short-lived clients, a connection each.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=proxy.url, limits=limits, trust_env=False, timeout=60) as client:
        for _ in range(case.number):
            began = time.monotonic()
            answer = client.request(method, path, json=body).raise_for_status()
            seconds.append(time.monotonic() - began)
            size = answer.num_bytes_downloaded
    after = cpu_seconds(server.process.pid), cpu_seconds(proxy.pid)
    each = 1000 / case.number
    return {
        "server CPU, ms each": (after[0] - before[0]) * each,
        "proxy CPU, ms each": (after[1] - before[1]) * each,
        "p50, ms": 1000 * percentile(seconds, 50),
        "kB each": size / 1000,
    }


def _largest_asset(server: PrefectServer) -> str:
    """Return the path of the script that the UI's first page loads."""
    page = httpx.get(server.url, trust_env=False, follow_redirects=True).text
    return next(part for part in page.split('"') if part.endswith(".js") and "/assets/" in part)
