"""Every rule for sources; adding one is adding a file and its line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prefect_exporter.report.code.rules.cache_missing import cache_missing
from prefect_exporter.report.code.rules.exception_swallowed import exception_swallowed
from prefect_exporter.report.code.rules.large_data_passed import large_data_passed
from prefect_exporter.report.code.rules.network_timeout_missing import network_timeout_missing
from prefect_exporter.report.code.rules.parallelism_missing import parallelism_missing
from prefect_exporter.report.code.rules.retries_missing import retries_missing
from prefect_exporter.report.code.rules.timeout_missing import timeout_missing
from prefect_exporter.report.code.rules.uninstrumented import uninstrumented
from prefect_exporter.report.code.sources import Project
from prefect_exporter.report.model import Finding

RULES: tuple[Callable[[Project], Iterable[Finding]], ...] = (
    exception_swallowed,
    network_timeout_missing,
    timeout_missing,
    retries_missing,
    large_data_passed,
    parallelism_missing,
    cache_missing,
    uninstrumented,
)
