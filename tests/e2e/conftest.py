"""What is asserted of a night is told in full, although it stands in no test's module."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "e2e.lake", "night_alerts", "night_counts", "night_lines", "night_story", "night_traces"
)
