"""What a person sees of a batch in Prefect's UI: how far it is, and what became of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)

from etl.model import BatchSummary

_SHOWN = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~:@-])")
_NOT_IN_KEYS = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Progress:
    """A bar that fills as chunks end, however many plans the batch has.

    Args:
        artifact: What it is called in Prefect.
        chunks: How many are to be done.
        done: How many are.
    """

    artifact: UUID
    chunks: int = 0
    done: int = 0

    def expect(self, chunks: int) -> None:
        """Have so many more to do."""
        self.chunks += chunks

    def step(self) -> None:
        """Have one more done."""
        self.done += 1
        update_progress_artifact(self.artifact, percent(self.done, self.chunks))

    def finish(self) -> None:
        """Have all done, also by other workers, or as there was nothing to do."""
        update_progress_artifact(self.artifact, 100.0)


def start_progress(client: str) -> Progress:
    """Begin with nothing done."""
    artifact = create_progress_artifact(
        0.0, key=key_of("progress", client), description=f"Chunks of {escaped(client)}"
    )
    return Progress(cast("UUID", artifact))  # in synchronous code it is no coroutine


def percent(done: int, chunks: int) -> float:
    """Return how far that is, from 0 to 100; what has nothing to do is done."""
    return 100.0 if chunks <= done else round(100 * done / chunks, 1)


def key_of(kind: str, name: str) -> str:
    """Return an artifact's key: lower-case letters, digits and dashes, as Prefect wants them."""
    return f"{kind}-{_NOT_IN_KEYS.sub('-', name.lower()).strip('-') or 'x'}"[:100]


def escaped(text: str) -> str:
    """Return *text* as Markdown and HTML show it: on one line, cut, and never as a command."""
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return _MARKDOWN.sub(r"\\\1", html.escape(_CONTROL.sub(" ", cut), quote=True))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; what comes from outside is escaped, numbers are to the right."""
    marks = ["---:" if each in _NUMBERS else "---" for each in header]
    lines = [header, marks, *([_cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_NUMBERS = frozenset({"rows", "accepted", "rejected", "lost", "bytes", "chunks", "starts"})


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escaped(str(value))


def batch_markdown(summary: BatchSummary) -> str:
    """Return what became of a batch, as Markdown."""
    header = ("client", "chunks", "rows", "accepted", "rejected", "lost", "bytes")
    row = [getattr(summary, each) for each in header]
    share = f"{summary.rejected_share:.1%} of the rows were rejected."
    return f"# Batch of {escaped(summary.client)}\n\n{table(header, [row])}\n\n{share}\n"


def show_batch(summary: BatchSummary) -> None:
    """Leave the summary of a batch in Prefect."""
    create_markdown_artifact(batch_markdown(summary), key=key_of("batch", summary.client))
