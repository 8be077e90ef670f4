"""Metrics to a Prometheus Pushgateway, for those without a collector; whoever imports this pays.

Its limits are in docs/meters.md: https://prometheus.io/docs/practices/pushing/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.metrics.export import MetricReader

from prefect_instrumentation._guard import once
from prefect_instrumentation._meters.definitions import PROCESS_CPU
from prefect_instrumentation._settings import PUSHGATEWAY, Settings
from prefect_instrumentation._text import MAX_NAME, text

try:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry, Metric, push_to_gateway
    from prometheus_client.exposition import basic_auth_handler, default_handler
except ImportError:
    raise ImportError(f"{PUSHGATEWAY} needs prefect-instrumentation[pushgateway]") from None

Send = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where metrics are pushed.

    Args:
        address: without credentials.
        username, password: "" for none.
        job: the first label of the group.
        timeout: seconds, of each step of a push.
    """

    address: str
    username: str
    password: str
    job: str
    timeout: float

    def send(
        self,
        url: str,
        method: str,
        timeout: float | None,
        headers: list[tuple[str, str]],
        data: bytes,
    ) -> Send:
        """Prepare a request, as `prometheus_client` asks for it."""
        request = (url, method, timeout, headers, data)
        if self.username or self.password:
            return basic_auth_handler(*request, self.username, self.password)
        return default_handler(*request)


class _Families:
    """What a push holds; a registry in `prometheus_client`'s eyes."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families: dict[str, Metric] = {}
        for family in families:
            # A gateway refuses a whole push in which two meters have a metric of the same name.
            self._families.setdefault(family.name, family)

    def collect(self) -> Iterable[Metric]:
        return self._families.values()

    def group(self) -> dict[str, str]:
        """Return whose runs these are: of the first one that no other enclosed."""
        cpu = self._families.get(PROCESS_CPU.name.removesuffix("_total"))
        labels = cpu.samples[0].labels if cpu and cpu.samples else {}
        return {f"root_{name}": labels.get(name, "") for name in PROCESS_CPU.labels}


def build(settings: Settings) -> tuple[MetricReader, Callable[[], bool]]:
    """Return a reader for the meter provider, and what pushes all that it reads.

    A push replaces what processes of the same root run have pushed before. It returns whether
    the gateway has taken it, and tells once that one was not. It is to be called before the
    provider is shut down, and in a thread: a gateway that drips outlasts any timeout.

    Raises:
        ValueError: the address is none.
    """
    gateway = _gateway(settings)
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(
        disable_target_info=True, scope_info_enabled=False, registry=registry
    )
    return reader, partial(_push, gateway, registry)


def _push(gateway: Gateway, registry: CollectorRegistry) -> bool:
    try:
        families = _Families(registry.collect())
        if families.collect():
            with suppress_instrumentation():
                push_to_gateway(
                    gateway.address,
                    gateway.job,
                    families,
                    families.group(),
                    gateway.timeout,
                    gateway.send,
                )
    except Exception as error:  # noqa: BLE001 - the network's, and the gateway's refusals
        message = "The Pushgateway at %s has not taken the metrics: %s"
        once("pushgateway", message, gateway.address, ascii(text(error, MAX_NAME)))
        return False
    return True


def _gateway(settings: Settings) -> Gateway:
    parts = _split(settings.pushgateway)
    return Gateway(
        address=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        job=os.environ.get(OTEL_SERVICE_NAME, "").strip() or settings.service_name,
        timeout=settings.exit_timeout,
    )


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        is_address = parts.port != 0 and parts.hostname and parts.scheme in {"http", "https"}
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment:
        # What it is instead stays unsaid, for it may hold a password.
        raise ValueError(f"{PUSHGATEWAY} is not an address such as http://pushgateway:9091")
    return parts
