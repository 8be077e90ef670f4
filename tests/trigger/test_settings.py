"""What the service and the flow are told, and what they say where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from trigger.jobs.settings import load_job_settings
from trigger.settings import BadSettings, load_settings

RATE = "is no rate; write it as 30/minute or 5/10 seconds"
STORE = "does not begin with one of memory://, redis://, rediss://"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_API_KEYS_FILE", "keys")


def test_defaults_are_those_of_the_page() -> None:
    """Only the file of keys has to be named."""
    settings = load_settings()

    assert (
        Path("keys"),
        ("nightly-orders/nightly", "remote-jobs/nightly"),
        "30/minute",
        "memory://",
    ) == (
        settings.api_keys_file,
        settings.deployments,
        settings.rate_limit,
        settings.limits_url.get_secret_value(),
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TRIGGER_API_KEYS_FILE", "", "TRIGGER_API_KEYS_FILE Field required"),
        ("TRIGGER_RATE_LIMIT", "much", f"TRIGGER_RATE_LIMIT {RATE}"),
        ("TRIGGER_READ_LIMIT", "1/eon", f"TRIGGER_READ_LIMIT {RATE}"),
        ("TRIGGER_LIMITS_URL", "http://me:secret@x", f"TRIGGER_LIMITS_URL {STORE}"),
        (
            "TRIGGER_DEPLOYMENTS",
            "nightly",
            "TRIGGER_DEPLOYMENTS is no list of flow/deployment, separated by commas",
        ),
        (
            "TRIGGER_LIMITS_URL_FILE",
            "/no/such/file",
            "TRIGGER_LIMITS_URL_FILE='/no/such/file': No such file or directory",
        ),
    ],
)
def test_bad_value_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    """A wrong setting is told of by its name, with the mend and without its secret."""
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert (problem,) == caught.value.problems


def test_address_of_the_limits_comes_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Redis with a password is named by a file, and shows itself nowhere."""
    (tmp_path / "url").write_text("redis://:secret@redis:6379/0\n")
    monkeypatch.setenv("TRIGGER_LIMITS_URL_FILE", str(tmp_path / "url"))

    settings = load_settings()

    assert ("redis://:secret@redis:6379/0", False) == (
        settings.limits_url.get_secret_value(),
        "secret" in repr(settings),
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "JOBS_DBT_URL",
            "dbt.example.com",
            "JOBS_DBT_URL is no address; begin it with http:// or https://",
        ),
        (
            "JOBS_AIRBYTE_URL",
            "https://me:secret@airbyte.example.com",
            "JOBS_AIRBYTE_URL holds credentials or a query; write the token into a file of its own",
        ),
        (
            "JOBS_DBT_TOKEN_FILE",
            "/no/such/file",
            "JOBS_DBT_TOKEN_FILE cannot be read (No such file or directory); write the token there",
        ),
        (
            "JOBS_DBT_ACCOUNT",
            "0",
            "JOBS_DBT_ACCOUNT Input should be greater than or equal to 1",
        ),
    ],
)
def test_bad_value_of_the_jobs_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    """Where the other systems are is checked before the first of them is asked."""
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as caught:
        load_job_settings()

    assert (problem,) == caught.value.problems
