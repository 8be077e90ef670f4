"""What `helm test` asks: do the exporter, the collector and Jaeger do their work?

It runs in the exporter's image, in a pod of its own. Each line that it prints is one finding; it
ends with 1 where one of them is bad. It waits for what is still starting.

  EXPORTER_URLS      the address of each shard, with spaces between
  TARGETS            the names of the targets; none where the chart does not know them
  BEARER_TOKEN_FILE, BASIC_AUTH_FILE, CERTIFICATE_FILE   as the exporter has them, where it has them
  OTLP_URL           where flows send traces by HTTP; without it, none is sent
  JAEGER_URL         where the trace is looked for; without it, it is not
  TIMEOUT_SECONDS    how long each finding may take
"""

from __future__ import annotations

import os
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
from prometheus_client.parser import text_string_to_metric_families

PAUSE_SECONDS = 2.0
_ANSWER_SECONDS = 10.0


class NotYetError(Exception):
    """Something does not do its work, or not yet; the text says it to a person."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What one shard says.

    Args:
        url: Its address.
        up: Whether Prefect answers, by the name of each target that it reads.
    """

    url: str
    up: Mapping[str, bool]


def main() -> int:
    """Return the exit code."""
    environ = dict(os.environ)
    patience = float(environ.get("TIMEOUT_SECONDS", "60"))
    good = True
    for name, check in _checks(environ):
        try:
            print(f"ok: {_until(check, patience)}", flush=True)
        except NotYetError as error:
            print(f"FAILED: {name}: {error}", flush=True)
            good = False
    return 0 if good else 1


def _checks(environ: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], str]]]:
    """Give each check and what it is about."""
    if urls := environ.get("EXPORTER_URLS", "").split():
        targets = environ.get("TARGETS", "").split()
        guarded = _exporter_client(environ)
        yield "exporter", lambda: exporter_reads(guarded, urls, targets)
    if collector := environ.get("OTLP_URL"):
        # All within one run: what is sent again while Jaeger is slow is the same span.
        trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
        client = httpx.Client(timeout=_ANSWER_SECONDS)
        yield "collector", lambda: collector_takes(client, collector, trace_id, span_id)
        if jaeger := environ.get("JAEGER_URL"):
            yield "jaeger", lambda: jaeger_has(client, jaeger, trace_id)


def _until(check: Callable[[], str], patience_seconds: float) -> str:
    """Return what a check finds, asked again for as long.

    Raises:
        NotYetError: The last answer was no better.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return check()
        except NotYetError:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def exporter_reads(client: httpx.Client, urls: list[str], targets: list[str]) -> str:
    """Say how many targets the shards read.

    Raises:
        NotYetError: A shard does not answer, or a target is read by none, or by two, or is down.
    """
    shards = [_shard(client, url) for url in urls]
    readers = {name: [each for each in shards if name in each.up] for name in targets}
    for name, found in readers.items():
        if len(found) != 1:
            raise NotYetError(
                f"target {name} is read by {len(found)} of {len(shards)} shards, not by one. "
                "Does the log of the exporter say targets.rejected?"
            )
    for shard in shards:
        for name, up in shard.up.items():
            if not up:
                raise NotYetError(_why_down(client, shard.url, name))
    count = sum(len(each.up) for each in shards)
    if count == 0:
        raise NotYetError("it has no series of any target. Are there targets in the values?")
    return f"exporter: {count} target(s), read by {len(shards)} shard(s)"


def collector_takes(client: httpx.Client, url: str, trace_id: str, span_id: str) -> str:
    """Send a span as flows do, and say so.

    Raises:
        NotYetError: It does not take it.
    """
    _answer(client, "POST", f"{url}/v1/traces", json=_span(trace_id, span_id, time.time_ns()))
    return f"collector: it took the span of trace {trace_id}"


def jaeger_has(client: httpx.Client, url: str, trace_id: str) -> str:
    """Say that Jaeger has the trace.

    Raises:
        NotYetError: It has not.
    """
    try:
        _answer(client, "GET", f"{url}/api/traces/{trace_id}")
    except NotYetError as error:
        raise NotYetError(
            f"trace {trace_id} did not arrive ({error}). "
            "The logs of the gateway, and of the agent where there is one, say why."
        ) from None
    return f"jaeger: it has trace {trace_id}"


def _shard(client: httpx.Client, url: str) -> Shard:
    page = _answer(client, "GET", f"{url}/metrics").text
    # The whole of a large page is no work for a small pod.
    lines = "\n".join(each for each in page.splitlines() if each.startswith("prefect_server_up{"))
    families = text_string_to_metric_families(f"{lines}\n")
    samples = (sample for family in families for sample in family.samples)
    return Shard(url, {sample.labels["target"]: sample.value == 1 for sample in samples})


def _why_down(client: httpx.Client, url: str, target: str) -> str:
    """Return what the exporter says about a target that does not answer."""
    answer = _asked(client, "GET", f"{url}/readyz?{urlencode({'target': target})}")
    why = "; ".join(answer.text.strip().splitlines()[:3])
    return f"Prefect does not answer for target {target}: {why}"


def _answer(client: httpx.Client, method: str, url: str, json: object = None) -> httpx.Response:
    answer = _asked(client, method, url, json)
    if not answer.is_success:
        raise NotYetError(f"the answer at {url} is {answer.status_code}")
    return answer


def _asked(client: httpx.Client, method: str, url: str, json: object = None) -> httpx.Response:
    try:
        return client.request(method, url, json=json)
    except httpx.HTTPError as error:
        raise NotYetError(f"no answer at {url}: {error or type(error).__name__}") from None


def _exporter_client(environ: Mapping[str, str]) -> httpx.Client:
    """Return a client that shows the exporter's credential to the exporter alone."""
    headers, auth, trust = {}, None, ssl.create_default_context()
    if token := environ.get("BEARER_TOKEN_FILE"):
        headers["Authorization"] = f"Bearer {_read(token)}"
    elif credentials := environ.get("BASIC_AUTH_FILE"):
        user, _, password = _read(credentials).partition(":")
        auth = httpx.BasicAuth(user, password)
    if certificate := environ.get("CERTIFICATE_FILE"):
        # It is for the name that people know, and not for a pod's: this very one is trusted.
        trust = ssl.create_default_context(cafile=certificate)
        trust.check_hostname = False
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return httpx.Client(headers=headers, auth=auth, verify=trust, timeout=_ANSWER_SECONDS)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def _span(trace_id: str, span_id: str, now_ns: int) -> dict[str, object]:
    """Return a span that failed, as no gateway leaves such a one out."""
    span = {
        "traceId": trace_id,
        "spanId": span_id,
        "name": "helm test",
        "kind": 1,
        "startTimeUnixNano": str(now_ns - 1_000_000),
        "endTimeUnixNano": str(now_ns),
        "status": {"code": 2, "message": "only a test"},
    }
    service = {"key": "service.name", "value": {"stringValue": "helm-test"}}
    resource = {"attributes": [service]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}


if __name__ == "__main__":
    sys.exit(main())
