"""Every setting: its variable, default, bounds and meaning, in one frozen object."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from prefect_exporter import values
from prefect_exporter.client import Connection
from prefect_exporter.durations import format_duration
from prefect_exporter.failures import rule_file
from prefect_exporter.failures.rules import Rules
from prefect_exporter.otlp_settings import otlp_problem
from prefect_exporter.report_settings import report_problem
from prefect_exporter.selection import Patterns, Selection
from prefect_exporter.shards import SHARD, SHARDS, Shard
from prefect_exporter.values import Accept, Address, choice, seconds, whole

PREFIX = "PREFECT_EXPORTER_"

Flag = Annotated[bool, values.FLAG]
Secret = Annotated[SecretStr, values.TOKEN]
UserAndPassword = Annotated[SecretStr, values.CREDENTIALS]
Buckets = Annotated[tuple[float, ...], values.BUCKETS]
Chosen = Annotated[Patterns, values.PATTERNS]
OwnRules = Annotated[
    Rules, Accept("the path of a TOML file of rules, as docs/errors.md has them", rule_file.read)
]


def _setting(name: str, default: str | None, meaning: str) -> Any:  # noqa: ANN401 - as pydantic's Field: the default is text, the attribute is not
    return Field(default, validate_default=True, validation_alias=name, description=meaning)


class Settings(BaseSettings):
    """What the exporter was told, checked; ``environment.load_settings`` reads it.

    Durations are seconds, an optional setting that was not given is None, and a secret shows
    itself only by ``get_secret_value()``.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        enable_decoding=False,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    api_url: Annotated[str, values.API_URL] = _setting(
        "PREFECT_API_URL", "http://127.0.0.1:4200/api", "The Prefect API to read."
    )
    ui_url: Annotated[str, values.UI_URL] | None = _setting(
        "PREFECT_UI_URL",
        None,
        "Where Prefect's pages are, for links to them; without it, where the API is.",
    )
    api_key: Secret | None = _setting(
        "PREFECT_API_KEY", None, "The API key of a Prefect Cloud workspace."
    )
    api_auth_string: UserAndPassword | None = _setting(
        "PREFECT_API_AUTH_STRING",
        None,
        "Basic authentication of a self-hosted server; wins over the API key.",
    )
    api_headers: Annotated[Mapping[str, SecretStr], values.HEADERS] | None = _setting(
        "PREFECT_CLIENT_CUSTOM_HEADERS", None, "Headers to add to every request to Prefect."
    )
    api_ca_file: Annotated[Path, values.CA_FILE] | None = _setting(
        "PREFECT_API_SSL_CERT_FILE",
        None,
        "The certificate authorities to trust, in place of the system's.",
    )
    api_tls_insecure_skip_verify: Flag = _setting(
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
        "false",
        "Whether to accept any certificate of Prefect's; for tests only.",
    )
    target: Annotated[str, values.LABEL] = _setting(
        "PREFECT_EXPORTER_TARGET", "default", "The value of the `target` label on every series."
    )

    targets_file: Annotated[Path, values.READABLE] | None = _setting(
        "PREFECT_EXPORTER_TARGETS_FILE",
        None,
        "A file with several servers or workspaces, in place of the one that variables name.",
    )
    shard: Annotated[int, SHARD] = _setting(
        "PREFECT_EXPORTER_SHARD", "0", "Which of the processes that share the targets this one is."
    )
    shards: Annotated[int, SHARDS] = _setting(
        "PREFECT_EXPORTER_SHARDS", "1", "How many processes share the targets among them."
    )

    request_timeout_seconds: Annotated[float, seconds("1s", "5m")] = _setting(
        "PREFECT_EXPORTER_REQUEST_TIMEOUT", "30s", "How long one whole answer may take."
    )
    request_attempts: Annotated[int, whole(1, 10)] = _setting(
        "PREFECT_EXPORTER_REQUEST_ATTEMPTS", "3", "How often a request is tried within one poll."
    )
    requests_per_minute: Annotated[int, whole(1, 100_000)] | None = _setting(
        "PREFECT_EXPORTER_REQUESTS_PER_MINUTE",
        None,
        "The budget of requests to Prefect; without it there is no limit.",
    )
    page_size: Annotated[int, whole(1, 200)] = _setting(
        "PREFECT_EXPORTER_PAGE_SIZE", "200", "How many rows to ask for at a time."
    )

    poll_interval_seconds: Annotated[float, seconds("1s", "10m")] = _setting(
        "PREFECT_EXPORTER_POLL_INTERVAL", "15s", "The pause between polls of runs and events."
    )
    slow_interval_seconds: Annotated[float, seconds("10s", "1d")] = _setting(
        "PREFECT_EXPORTER_SLOW_INTERVAL", "5m", "The pause between lists of all deployments."
    )
    audit_interval_seconds: Annotated[float, seconds("10s", "1h")] = _setting(
        "PREFECT_EXPORTER_AUDIT_INTERVAL",
        "60s",
        "The pause between audits: counts compared with the server's.",
    )
    audit_horizon_seconds: Annotated[float, seconds("10m", "7d")] = _setting(
        "PREFECT_EXPORTER_AUDIT_HORIZON",
        "24h",
        "How far back an audit looks for ends that arrived late.",
    )
    flow_run_overlap_seconds: Annotated[float, seconds("10s", "1h")] = _setting(
        "PREFECT_EXPORTER_FLOW_RUN_OVERLAP",
        "60s",
        "How much of the time already read every poll of flow runs reads again.",
    )
    task_run_overlap_seconds: Annotated[float, seconds("10s", "1h")] = _setting(
        "PREFECT_EXPORTER_TASK_RUN_OVERLAP", "60s", "The same for task runs."
    )
    events_pages_per_poll: Annotated[int, whole(1, 1_000)] = _setting(
        "PREFECT_EXPORTER_EVENTS_PAGES_PER_POLL",
        "20",
        "How many pages of 50 events one poll reads at most.",
    )
    collectors: Annotated[Mapping[str, float | None], values.COLLECTORS] = _setting(
        "PREFECT_EXPORTER_COLLECTORS",
        "",
        "Collectors to switch off, or to poll at an interval of their own.",
    )
    active_pages: Annotated[int, whole(1, 1_000)] = _setting(
        "PREFECT_EXPORTER_ACTIVE_PAGES",
        "25",
        "How many pages of a list that is not counted one poll reads at most; "
        "more is shown as truncated.",
    )
    stale_after_seconds: Annotated[float, seconds("5s", "1d")] = _setting(
        "PREFECT_EXPORTER_STALE_AFTER",
        "5m",
        "How long the last good values of gauges stay while Prefect does not answer.",
    )
    late_after_seconds: Annotated[float, seconds("0s", "1h")] = _setting(
        "PREFECT_EXPORTER_LATE_AFTER", "15s", "How long after its due time a run counts as late."
    )

    heartbeat_stale_after_seconds: Annotated[float, seconds("1m", "1d")] = _setting(
        "PREFECT_EXPORTER_HEARTBEAT_STALE_AFTER",
        "9m",
        "How long after its last heartbeat a running flow run counts as one that died unseen.",
    )

    tag_labels: Annotated[tuple[str, ...], values.TAG_LABELS] = _setting(
        "PREFECT_EXPORTER_TAG_LABELS",
        "",
        "Keys of `key:value` tags to show on `prefect_deployment_info`, as `label_<key>`.",
    )
    flows: Chosen = _setting(
        "PREFECT_EXPORTER_FLOWS", "", "Which flows to look at; all, unless given."
    )
    deployments: Chosen = _setting("PREFECT_EXPORTER_DEPLOYMENTS", "", "The same for deployments.")
    work_pools: Chosen = _setting("PREFECT_EXPORTER_WORK_POOLS", "", "The same for work pools.")
    hold_seconds: Annotated[float, seconds("0s", "10m")] = _setting(
        "PREFECT_EXPORTER_HOLD",
        "2m",
        "How long at most a new series stays at 0, so that a scrape sees it before it counts.",
    )
    max_deployments: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_DEPLOYMENTS",
        "5000",
        "How many deployments have names of their own; the rest is `other`.",
    )
    max_tasks: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_TASKS", "5000", "The same for tasks."
    )
    max_work_queues: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_WORK_QUEUES", "1000", "The same for work queues."
    )
    max_work_pools: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_WORK_POOLS", "200", "The same for work pools."
    )
    max_workers: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_WORKERS",
        "500",
        "How many workers show their heartbeat, those with the newest first.",
    )
    max_concurrency_limits: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_CONCURRENCY_LIMITS",
        "500",
        "How many concurrency limits have names of their own; the rest is `other`.",
    )
    max_automations: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_AUTOMATIONS", "500", "The same for automations."
    )
    max_event_names: Annotated[int, whole(1, 100_000)] = _setting(
        "PREFECT_EXPORTER_MAX_EVENT_NAMES", "200", "The same for names of events."
    )
    retire_after_seconds: Annotated[float, seconds("1h", "365d")] = _setting(
        "PREFECT_EXPORTER_RETIRE_AFTER",
        "7d",
        "How long the series of a deleted deployment stay.",
    )
    flow_run_buckets: Buckets = _setting(
        "PREFECT_EXPORTER_FLOW_RUN_BUCKETS",
        "0.1,0.5,2,10,30,2m,10m,30m,2h,8h,1d",
        "The bounds of flow-run durations.",
    )
    task_run_buckets: Buckets = _setting(
        "PREFECT_EXPORTER_TASK_RUN_BUCKETS",
        "0.05,0.2,1,5,20,1m,5m,20m,1h,6h,1d",
        "The bounds of task-run durations.",
    )
    start_delay_buckets: Buckets = _setting(
        "PREFECT_EXPORTER_START_DELAY_BUCKETS",
        "0.5,1,2,5,10,30,1m,5m,15m,1h,6h",
        "The bounds of the delay between a flow run's due time and its start.",
    )
    state_path: Annotated[Path, values.STATE_PATH] = _setting(
        "PREFECT_EXPORTER_STATE_PATH",
        f"{values.STATE_HOME}/prefect-exporter/ledger.sqlite",
        "The ledger's file: every count, and what was counted.",
    )

    failure_window_seconds: Annotated[float, seconds("1h", "14d")] = _setting(
        "PREFECT_EXPORTER_FAILURE_WINDOW",
        "24h",
        "How far back failed runs are put into groups.",
    )
    max_failure_groups: Annotated[int, whole(1, 1_000)] = _setting(
        "PREFECT_EXPORTER_MAX_FAILURE_GROUPS",
        "50",
        "How many groups of failures have series of their own; the rest is `other`.",
    )
    error_rules: OwnRules | None = _setting(
        "PREFECT_EXPORTER_ERROR_RULES",
        None,
        "Your own rules of whose a failure is, the file that flows have too; read at the start.",
    )

    report_schedule: Annotated[str, values.CRON] | None = _setting(
        "PREFECT_EXPORTER_REPORT_SCHEDULE",
        None,
        "When a report of each target is made, in UTC; without it, none is.",
    )
    report_since_seconds: Annotated[float, seconds("1h", "90d")] = _setting(
        "PREFECT_EXPORTER_REPORT_SINCE", "7d", "The period that such a report is about."
    )
    report_path: Annotated[Path, values.FOLDER] | None = _setting(
        "PREFECT_EXPORTER_REPORT_PATH",
        None,
        "Where reports are kept, and `/report` looks for them; without it, `reports` beside the "
        "ledger.",
    )
    report_send_to_file: Annotated[Path, values.READABLE] | None = _setting(
        "PREFECT_EXPORTER_REPORT_SEND_TO_FILE",
        None,
        "A file of Apprise addresses, one a line, that get each such report.",
    )

    terminal_spans: Flag = _setting(
        "PREFECT_EXPORTER_TERMINAL_SPANS",
        "false",
        "Whether to send the spans of flow runs whose process was killed before it could.",
    )
    terminal_spans_after_seconds: Annotated[float, seconds("1s", "10m")] = _setting(
        "PREFECT_EXPORTER_TERMINAL_SPANS_AFTER",
        "60s",
        "How long after its end was counted a run may still send its span itself.",
    )

    listen_address: Annotated[Address, values.ADDRESS] = _setting(
        "PREFECT_EXPORTER_LISTEN_ADDRESS", "127.0.0.1:9877", "Where the exporter answers."
    )
    metrics_address: Annotated[Address, values.ADDRESS] | None = _setting(
        "PREFECT_EXPORTER_METRICS_ADDRESS",
        None,
        "Where `/metrics` is, apart from the page; without it, at the listen address.",
    )
    tls_cert_file: Annotated[Path, values.FILE] | None = _setting(
        "PREFECT_EXPORTER_TLS_CERT_FILE",
        None,
        "The exporter's own certificate chain; with it, it answers by HTTPS only.",
    )
    tls_key_file: Annotated[Path, values.FILE] | None = _setting(
        "PREFECT_EXPORTER_TLS_KEY_FILE", None, "The key of that certificate, not encrypted."
    )
    basic_auth: UserAndPassword | None = _setting(
        "PREFECT_EXPORTER_BASIC_AUTH", None, "Who may read `/metrics`, `/` and what belongs to it."
    )
    bearer_token: Secret | None = _setting(
        "PREFECT_EXPORTER_BEARER_TOKEN",
        None,
        "The same by token; where both are set, either is enough.",
    )
    log_level: Annotated[str, choice("debug", "info", "warning", "error")] = _setting(
        "PREFECT_EXPORTER_LOG_LEVEL", "info", "The least level of log lines to write."
    )
    log_format: Annotated[str, choice("auto", "json", "console")] = _setting(
        "PREFECT_EXPORTER_LOG_FORMAT",
        "auto",
        "How log lines are written; auto is console on a terminal, else json.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        problems = [*_tls_problems(self.tls_cert_file, self.tls_key_file)]
        try:
            Shard(self.shard, self.shards)
        except ValueError as error:
            problems.append(str(error))
        if self.metrics_address == self.listen_address:
            problems.append(
                f"{PREFIX}METRICS_ADDRESS is {PREFIX}LISTEN_ADDRESS ({self.listen_address}); "
                "give another port, or leave it out to have both there"
            )
        if self.terminal_spans and (problem := otlp_problem(os.environ, f"{PREFIX}TERMINAL_SPANS")):
            problems.append(problem)
        if self.report_schedule and (problem := report_problem(f"{PREFIX}REPORT_SCHEDULE")):
            problems.append(problem)
        if self.stale_after_seconds <= self.poll_interval_seconds:
            interval = format_duration(self.poll_interval_seconds)
            problems.append(
                f"{PREFIX}STALE_AFTER is not longer than {PREFIX}POLL_INTERVAL ({interval}); "
                "give at least twice that"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def limits(self) -> dict[str, int]:
        """Return how many names each scope of labels may have."""
        return {
            "deployment": self.max_deployments,
            "task": self.max_tasks,
            "work_queue": self.max_work_queues,
            "work_pool": self.max_work_pools,
            "concurrency_limit": self.max_concurrency_limits,
            "automation": self.max_automations,
            "event": self.max_event_names,
        }

    def interval(self, collector: str, usual_seconds: float) -> float:
        """Return the seconds between polls of a collector that is not switched off."""
        return self.collectors.get(collector) or usual_seconds

    @property
    def report_folder(self) -> Path:
        """Where reports are kept."""
        return self.report_path or self.state_path.parent / "reports"

    @property
    def selection(self) -> Selection:
        """What of Prefect is looked at."""
        return Selection(self.flows, self.deployments, self.work_pools)

    def connection(self) -> Connection:
        """Return what the client needs to know of Prefect."""
        return Connection(
            url=self.api_url,
            api_key=self.api_key,
            auth_string=self.api_auth_string,
            headers=self.api_headers or {},
            ca_file=self.api_ca_file,
            verify=not self.api_tls_insecure_skip_verify,
            request_timeout_seconds=self.request_timeout_seconds,
            attempts=self.request_attempts,
            requests_per_minute=self.requests_per_minute,
            page_size=self.page_size,
        )


def _tls_problems(cert: Path | None, key: Path | None) -> list[str]:
    names = f"{PREFIX}TLS_CERT_FILE", f"{PREFIX}TLS_KEY_FILE"
    if cert is None and key is None:
        return []
    if cert is None or key is None:
        given, missing = names if key is None else reversed(names)
        return [f"{given} is set without {missing}; give both or neither"]
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError):
        return [f"{names[0]} and {names[1]} are no pair; give a PEM certificate and its plain key"]
    return []
