"""What can be set, and what is said of a value that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import BadSetting
from etl.settings import load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_URL_FILE", "DESTINATION", "RATES_URL", "MEMORY_MIB"):
        monkeypatch.delenv(f"ETL_{name}", raising=False)


def test_nothing_has_to_be_set() -> None:
    """Then it is for one machine."""
    found = load_settings()

    assert "redis://127.0.0.1:6379/0" == found.redis_url.get_secret_value()
    assert (Path("lake"), "http://127.0.0.1:8099") == (found.destination, found.rates_url)
    assert (256, 2, 0.1, 60) == (
        found.memory_mib,
        found.parallel,
        found.max_rejected,
        found.lease_seconds,
    )


def test_empty_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files pass on what nobody has set."""
    monkeypatch.setenv("ETL_MEMORY_MIB", "")

    assert 256 == load_settings().memory_mib


def test_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It wins, and shows in no text of the settings."""
    file = tmp_path / "redis_url"
    file.write_text("redis://:hunter2@db:6379/1\n")
    monkeypatch.setenv("ETL_REDIS_URL", "redis://elsewhere")
    monkeypatch.setenv("ETL_REDIS_URL_FILE", str(file))
    found = load_settings()

    assert "redis://:hunter2@db:6379/1" == found.redis_url.get_secret_value()
    assert "hunter2" not in f"{found!r} {found} {found.model_dump_json()}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ETL_REDIS_URL", "http://:hunter2@db", "ETL_REDIS_URL is not an address; give redis://"),
        ("ETL_REDIS_URL", "redis://:hunter2@", "ETL_REDIS_URL is not an address; give redis://"),
        ("ETL_REDIS_URL", "redis://:hunter2@db:x", "ETL_REDIS_URL is not an address; give redi"),
        ("ETL_REDIS_URL_FILE", "/nowhere", "ETL_REDIS_URL_FILE cannot be read: No such file"),
        ("ETL_RATES_URL", "rates", "ETL_RATES_URL is not an address; give http://host:port"),
        ("ETL_RATES_URL", "http://me:hunter2@rates", "ETL_RATES_URL is no plain address: it holds"),
        (
            "ETL_RATES_URL",
            "http://rates?key=hunter2",
            "ETL_RATES_URL is no plain address: it holds",
        ),
        ("ETL_MEMORY_MIB", "1", "ETL_MEMORY_MIB is wrong: Input should be greater than or equal"),
        ("ETL_PARALLEL", "many", "ETL_PARALLEL is wrong: Input should be a valid integer"),
        ("ETL_MAX_REJECTED", "2", "ETL_MAX_REJECTED is wrong: Input should be less than or equal"),
        ("ETL_MAX_REJECTED", "nan", "ETL_MAX_REJECTED is wrong: "),
        ("ETL_LEASE_SECONDS", "0", "ETL_LEASE_SECONDS is wrong: Input should be greater than"),
    ],
)
def test_wrong_value_is_one_line(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable, and never shows a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as caught:
        load_settings()
    told = str(caught.value)

    assert told.startswith(said)
    assert "\n" not in told
    assert "hunter2" not in told
