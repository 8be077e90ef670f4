"""The collector's program, for all tests of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from collector.parts import ROOT


@pytest.fixture(name="otelcol", scope="session")
def _otelcol() -> Path:
    """The collector's program, built where that was not done."""
    built = subprocess.run(
        [str(ROOT / "scripts" / "otel-collector")], capture_output=True, text=True, check=False
    )
    if built.returncode:
        why = built.stderr.splitlines()[-1:]
        pytest.fail(f"no collector; `make otel-collector` builds it: {why}", pytrace=False)
    return Path(built.stdout.strip())
