"""Two systems, one after the other: sync the raw tables, then build what is made of them."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.tasks import Task, exponential_backoff

from prefect_instrumentation import traced
from trigger.jobs.airbyte import Airbyte
from trigger.jobs.asking import Asking, connected
from trigger.jobs.dbt_cloud import DbtCloud
from trigger.jobs.errors import JobFailed, StartUnknown
from trigger.jobs.model import Patience
from trigger.jobs.running import run_job
from trigger.jobs.settings import JobSettings, load_job_settings

SECONDS = 4 * 3600
"""What both may take together; the jobs' own patience ends before."""


def worth_another(_task: Task[..., object], _run: TaskRun, state: State) -> bool:
    """Tell whether a second job may go better: nobody's settings, code or data are to blame."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, JobFailed | StartUnknown)


AGAIN: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(backoff_factor=10),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": worth_another,
}
"""Of both jobs: another one, where it may go better."""


@traced(source="airbyte://connection", destination="warehouse://raw")
@task(**AGAIN)
def sync(connection: str, patience: float) -> str:
    """Sync a connection, and return the job's id."""
    settings = load_job_settings()
    with connected(settings.airbyte_url, settings.airbyte_token_file, scheme="Bearer") as http:
        asking = Asking(Airbyte.name, http, seconds=settings.answer_seconds)
        airbyte = Airbyte(asking, connection)
        return run_job(airbyte, _cause("sync"), _patience(settings, patience)).id


@traced(source="warehouse://raw", destination="warehouse://marts")
@task(**AGAIN)
def build(job: int, patience: float) -> str:
    """Run a dbt job, and return the run's id."""
    settings = load_job_settings()
    with connected(settings.dbt_url, settings.dbt_token_file, scheme="Token") as http:
        asking = Asking(DbtCloud.name, http, seconds=settings.answer_seconds)
        dbt = DbtCloud(asking, settings.dbt_account, job)
        return run_job(dbt, _cause("build"), _patience(settings, patience)).id


@flow(name="remote-jobs", timeout_seconds=SECONDS)
def remote_jobs(connection: str = "orders", job: int = 1, patience: float = 3600) -> dict[str, str]:
    """Sync a connection, then build on it; return the id of each system's job.

    Args:
        connection: Airbyte's id of it.
        job: dbt Cloud's number of it.
        patience: Seconds that each of the two jobs may take.
    """
    return {"airbyte": sync(connection, patience), "dbt-cloud": build(job, patience)}


def _cause(step: str) -> str:
    """Name a step of this run, the same in whatever process the run goes on."""
    return f"prefect {flow_run.get_id()} {step}"


def _patience(settings: JobSettings, total: float) -> Patience:
    return Patience(
        total=total, first=settings.first_pause_seconds, longest=settings.longest_pause_seconds
    )
