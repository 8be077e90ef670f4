"""The collector's program, for all tests of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.parts import built


@pytest.fixture(name="otelcol", scope="session")
def _otelcol() -> Path:
    """The collector's program, built where that was not done."""
    return built()
