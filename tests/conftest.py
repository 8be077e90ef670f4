"""How Hypothesis works in all tests: by no clock, and so that what fails can be repeated."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no defect. What else Hypothesis does of its own accord, as in CI, stays.
settings.register_profile("tests", deadline=None, print_blob=True)
settings.load_profile("tests")
