"""For all tests: how Hypothesis works, and a browser for those that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from browsers import Browser

# They assert for several tests: with what they have compared.
pytest.register_assert_rewrite("night_alerts", "night_counts", "night_lines", "night_traces")

# By no clock, as a busy machine is no defect, and so that what fails can be repeated. What else
# Hypothesis does of its own accord, as in CI, stays.
settings.register_profile("tests", deadline=None, print_blob=True)
settings.load_profile("tests")


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Browser]:
    """A Chromium, the same for all tests of a module; ``asyncio.run`` waits until they are done."""
    from browsers import chromium  # noqa: PLC0415 - most tests need none, and it takes a while

    with chromium() as browser:
        yield browser
