"""Blocks without a language: what the commands just before them print."""

from __future__ import annotations

from collections.abc import Iterator

from docs.blocks import Block


def check(block: Block) -> Iterator[str]:
    """Say of a block that no commands stand before it in its section."""
    if block.follows not in {"console", "bash", ""}:
        yield "has no language, and follows no commands: name its language, `text` for a picture"
