"""A collector's context over a fake Prefect and a real ledger."""

from __future__ import annotations

from pathlib import Path

from fakes import FakePrefect
from prefect_exporter import collectors
from prefect_exporter.collectors.base import Context
from prefect_exporter.directory import Directory
from prefect_exporter.ledger import Ledger
from prefect_exporter.moments import SECOND
from prefect_exporter.settings import Settings
from prefect_exporter.store import Store

TARGET = "test"


def settings_of(**changes: str) -> Settings:
    """Return default settings with some variables given, by their names without the prefix."""
    given = {f"PREFECT_EXPORTER_{name}": value for name, value in changes.items()}
    return Settings.model_validate(given)


def ledger_of(path: Path, settings: Settings) -> Ledger:
    """Open the ledger that all collectors share."""
    families = {
        family.name: family for each in collectors.build(settings) for family in each.counted
    }
    return Ledger(path, families, settings.limits())


def context_of(prefect: FakePrefect, ledger: Ledger, settings: Settings) -> Context:
    """Return what collectors work with."""
    store = Store(ledger)
    directory = Directory(TARGET, prefect, store)
    return Context(
        TARGET,
        prefect,
        directory,
        store,
        settings,
        now_us=lambda: prefect.now_us,
        monotonic=lambda: prefect.now_us / SECOND,
    )
