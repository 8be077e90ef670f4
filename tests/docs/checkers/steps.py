"""Steps of a workflow: by its service's schema, and their commands as those of any other block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.blocks import Block
from docs.checkers import compose, shell


def check(_block: Block, document: Any, _folder: Path) -> Iterator[str]:  # noqa: ANN401  YAML
    """Put the steps into a job, and ask."""
    job = {"runs-on": "ubuntu-24.04", "steps": document}
    yield from compose.breaches("github-workflows", {"on": "push", "jobs": {"job": job}})
    for step in document:
        yield from shell.problems(step.get("run", ""))
