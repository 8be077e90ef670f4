"""The metrics: what is known, of what is kept, and documented."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from backup.environment import BadSettings
from backup.metrics import BackupMetrics
from backup.model import Job, Kind, Outcome
from backup.settings import Settings
from backup.state import Store
from backup_worlds import ROOT, SECRET, settings_of

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
PAGE = ROOT / "docs" / "metrics.md"


def shown(settings: Settings) -> dict[str, float]:
    """Return every sample, by its name and the values of its labels, but for the target."""
    registry = CollectorRegistry()
    registry.register(BackupMetrics(lambda: settings, lambda: {Job.BACKUP: NOW}))
    text = generate_latest(registry).decode()
    assert SECRET not in text
    return {
        " ".join([sample.name, *(sample.labels[key] for key in sample.labels if key != "target")])
        .removeprefix("prefect_backup_")
        .strip(): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def done(job: Job, error: str | None = None, size: int | None = None) -> Outcome:
    """Return how a job with the volumes went."""
    return Outcome(
        kind=Kind.VOLUMES,
        job=job,
        began=NOW,
        ended=NOW + timedelta(seconds=30),
        error=error,
        size_bytes=size,
        snapshots=None if size is None else 4,
    )


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    """Times are 0 for never; what is not known is not there; what is not kept has one series."""
    (tmp_path / "volumes").mkdir()

    found = shown(settings_of(tmp_path))

    errors = {name for name in found if name.startswith("errors_total")}
    assert {
        "configured database": 0,
        "configured encryption_key": 0,
        "configured objects": 0,
        "configured volumes": 1,
        "last_success_timestamp_seconds volumes": 0,
        "last_restore_verified_timestamp_seconds volumes": 0,
        "next_run_timestamp_seconds backup": NOW.timestamp(),
    } == {name: value for name, value in found.items() if name not in errors}
    assert {0.0} == {found[name] for name in errors}


def test_what_was_done_is_told(tmp_path: Path) -> None:
    """Successes, failures, sizes and durations are those of the last jobs."""
    (tmp_path / "volumes").mkdir()
    settings = settings_of(tmp_path)
    store = Store(settings.state_dir)
    for outcome in (
        done(Job.BACKUP, size=1234),
        done(Job.BACKUP, "source"),
        done(Job.DRILL),
        done(Job.CHECK, "damaged"),
        done(Job.CHECK, "unreachable"),
    ):
        store.record("default", outcome)
    store.measure("main", 99)

    found = shown(settings)

    ended = NOW.timestamp() + 30
    expected = {
        "last_success_timestamp_seconds volumes": ended,
        "last_run_success volumes": 0,
        "last_size_bytes volumes": 1234,
        "last_duration_seconds volumes": 30,
        "snapshots volumes": 4,
        "last_restore_verified_timestamp_seconds volumes": ended,
        "last_restore_success volumes": 1,
        "last_restore_duration_seconds volumes": 30,
        "last_check_success volumes": 0,
        "last_check_timestamp_seconds volumes": ended,
        "repository_size_bytes main": 99,
        "errors_total backup volumes source": 1,
        "errors_total check volumes unreachable": 1,
        "errors_total check volumes damaged": 1,
    }
    assert expected.items() <= {_sorted(name): value for name, value in found.items()}.items()


def _sorted(name: str) -> str:
    words = name.split()
    if words[0] != "errors_total":
        return name
    kind = next(word for word in words if word in set(Kind))
    job = next(word for word in words if word in set(Job))
    (reason,) = set(words) - {"errors_total", kind, job}
    return f"errors_total {job} {kind} {reason}"


def test_cloud_has_no_database(tmp_path: Path) -> None:
    """Of a database that nobody can dump there is no word, so that no alert asks for it."""
    settings = settings_of(tmp_path)
    settings.targets_file.write_text(
        "targets:\n  - name: cloud\n    url: https://api.prefect.cloud/api/accounts/a/workspaces/b\n"
    )

    found = shown(settings)

    assert not [name for name in found if name.split()[1:2] == ["database"]]
    assert 1 == found["configured objects"]


def test_settings_that_become_bad_do_not_end_the_metrics(tmp_path: Path) -> None:
    """The last good ones are used, and the log says so."""
    settings = settings_of(tmp_path)
    loads = [settings, settings]

    def load() -> Settings:
        if not loads:
            raise BadSettings(("PREFECT_BACKUP_X is bad",))
        return loads.pop()

    registry = CollectorRegistry()
    registry.register(BackupMetrics(load, dict))
    first = generate_latest(registry)
    with capture_logs() as logs:
        second = generate_latest(registry)

    assert first == second
    assert ["settings.unusable"] == [each["event"] for each in logs]


def _declared(tmp_path: Path) -> set[tuple[str, str]]:
    metrics = BackupMetrics(lambda: settings_of(tmp_path), dict).collect()
    suffix = {"counter": "_total"}
    return {(f"{each.name}{suffix.get(each.type, '')}", each.type) for each in metrics}


def test_every_metric_is_documented(tmp_path: Path) -> None:
    """docs/metrics.md has exactly the metrics that there are, with their types."""
    rows = re.findall(r"^\| `(prefect_backup_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)

    assert _declared(tmp_path) == set(rows)
