"""The pipeline of examples/, deployed and at work, with a service before it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import logged_scene
from demo.api import ask, change
from demo.processes import answers_at, free_port
from demo.redis_server import RedisServer, start_redis_server
from generated import ROOT
from logged_scene import Logged
from night_story import ORDERS
from nights import BAD_DATA, CLIENTS
from traced_scene import Scene as Traced

EXAMPLES = ROOT / "examples"
ERROR_RULES = EXAMPLES / "etl" / "errors.toml"
POOL = "etl-process"
API_KEY = "e2e-" + "k" * 40

_QUEUES = {"urgent": 1, "batch": 2}
_WORKERS = {"worker-urgent": "urgent", "worker-batch-1": "batch", "worker-batch-2": "batch"}

_PATIENCE_SECONDS = 300
"""For what takes some seconds on an idle machine: all of it starts at the same time."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What runs.

    Args:
        lake: The folder that all workers write to.
        rates_url: The pretend service of rates, without a slash at the end.
        trigger, trigger_url: The service that starts runs.
        workers: By their names, which say the queue that each serves.
    """

    redis: RedisServer
    lake: Path
    rates_url: str
    trigger: Logged
    trigger_url: str
    workers: Mapping[str, Logged]


def start_pipeline(traced: Traced, otlp: str) -> Pipeline:
    """Start Redis with orders in it, the services, and three workers; deploy the flows.

    Args:
        traced: The Prefect server that they have in common.
        otlp: The collector's ``host:port`` by HTTP.
    """
    _make_pool(traced)
    redis = start_redis_server(traced.sandbox)
    lake = traced.sandbox.subfolder("lake")
    rates_url = f"http://127.0.0.1:{free_port()}"
    told = _told(traced, otlp) | {
        "ETL_REDIS_URL": redis.url,
        "ETL_DESTINATION": str(lake),
        "ETL_RATES_URL": rates_url,
    }
    # Each takes seconds to import what it needs.
    with ThreadPoolExecutor() as pool:
        others = [
            pool.submit(_deploy, traced),
            pool.submit(_start_rates, traced, rates_url, told),
            pool.submit(_seed, traced, told),
        ]
        trigger = pool.submit(_start_trigger, traced, told)
        workers = {
            name: pool.submit(_start_worker, traced, name, queue, told)
            for name, queue in _WORKERS.items()
        }
        for each in others:
            each.result()
        running = {name: worker.result() for name, worker in workers.items()}
        return Pipeline(redis, lake, rates_url, *trigger.result(), running)


def _told(traced: Traced, otlp: str) -> dict[str, str]:
    """Return the variables that service and workers have in common."""
    return {
        "PYTHONPATH": str(EXAMPLES),
        "PREFECT_INSTRUMENTATION_ERROR_RULES": str(ERROR_RULES),
        "PREFECT_PLUGINS_ENABLED": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "OTEL_LOGS_EXPORTER": "otlp",
        # Where a machine is busy, the usual second may be too short to send what is left.
        "PREFECT_INSTRUMENTATION_EXIT_TIMEOUT": "30s",
        **traced.server.client_environment,
    }


def _make_pool(traced: Traced) -> None:
    with traced.server.client() as client:
        ask(client, "/work_pools/", name=POOL, type="process")
        for name, priority in _QUEUES.items():
            ask(client, f"/work_pools/{POOL}/queues", name=name, priority=priority)


def _deploy(traced: Traced) -> None:
    """Deploy as examples/prefect.yaml says, but for its schedules: no run comes by itself."""
    env = traced.sandbox.prefect_environment(
        "deploy", PYTHONPATH=str(EXAMPLES), **traced.server.client_environment
    )
    file = ["--prefect-file", str(EXAMPLES / "prefect.yaml")]
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", *file]
    process = traced.start("deploy", argv, env)
    assert process.wait(_PATIENCE_SECONDS) == 0, process.log_tail(60)
    with traced.server.client() as client:
        for deployment in ask(client, "/deployments/filter"):
            for schedule in deployment["schedules"]:
                path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
                change(client, path, active=False)


def _start_rates(traced: Traced, url: str, told: Mapping[str, str]) -> None:
    traced.start(
        "rates",
        [sys.executable, "-m", "etl.pretend_rates", "--port", url.rpartition(":")[2]],
        traced.sandbox.environment(PYTHONPATH=told["PYTHONPATH"]),
        answers_at(f"{url}/healthz"),
    )


def _seed(traced: Traced, told: Mapping[str, str]) -> None:
    """Fill the streams: one client's orders are bad, of the others none is."""
    env = traced.sandbox.environment(**told)
    clients = [name for names in CLIENTS.values() for name in names]
    seeding = [traced.start(f"seed-{name}", _seed_of(name), env) for name in clients]
    for process in seeding:
        assert process.wait(_PATIENCE_SECONDS) == 0, process.log_tail()


def _seed_of(client: str) -> list[str]:
    bad = "0.3" if client == BAD_DATA else "0"
    seed = ["-m", "etl.seed", "--client", client, "--orders", str(ORDERS), "--bad", bad]
    return [sys.executable, *seed, "--seed", "7"]


def _start_trigger(traced: Traced, told: Mapping[str, str]) -> tuple[Logged, str]:
    port = free_port()
    keys = traced.sandbox.subfolder("secrets") / "trigger_api_keys"
    keys.write_text(f"e2e:{API_KEY}\n")
    keys.chmod(0o600)
    env = traced.sandbox.prefect_environment(
        "trigger",
        **told,
        OTEL_SERVICE_NAME="trigger",
        TRIGGER_API_KEYS_FILE=str(keys),
        TRIGGER_DEPLOYMENTS="nightly-orders/nightly,replay-dead-letters/by-hand",
    )
    argv = [sys.executable, "-m", "uvicorn", "trigger.app:app", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    return logged_scene.start(traced, "trigger", argv, env, answers_at(f"{url}/readyz")), url


def _start_worker(traced: Traced, name: str, queue: str, told: Mapping[str, str]) -> Logged:
    env = traced.sandbox.prefect_environment(
        name,
        **told,
        OTEL_SERVICE_NAME="etl",
        PREFECT_WORKER_QUERY_SECONDS="1",
        PREFECT_LOCAL_STORAGE_PATH=str(traced.sandbox.subfolder("storage")),
    )
    command = ["prefect", "worker", "start", "--type", "process", "--pool", POOL]
    options = ["--work-queue", queue, "--name", name, "--limit", "2"]
    argv = [sys.executable, "-m", *command, *options]
    return logged_scene.start(traced, name, argv, env, lambda: _online(traced, name))


def _online(traced: Traced, name: str) -> bool:
    with traced.server.client() as client:
        rows = ask(client, f"/work_pools/{POOL}/workers/filter")
    return any(row["name"] == name and row["status"] == "ONLINE" for row in rows)
