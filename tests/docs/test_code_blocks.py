"""Every code block of README and docs: one checker sees each, and finds nothing.

`docs.registry` says what is done with a block of which language.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from docs.blocks import Block, blocks
from docs.checks import Checker, Problems
from docs.registry import checker_of

# A first run of mypy, without its cache, takes a minute.
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

BLOCKS = blocks()

Ask = Callable[[Checker], Problems]


@pytest.fixture(name="found", scope="module")
def _found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return what asks a checker, once for all of its blocks; `-k tracing` means those alone."""
    chosen = {each.name for each in request.session.items}
    asked: dict[Checker, Problems] = {}

    def ask(checker: Checker) -> Problems:
        if checker not in asked:
            theirs = [
                each
                for each in BLOCKS
                if checker_of(each) is checker and f"test_block_is_right[{each}]" in chosen
            ]
            asked[checker] = asking(checker, theirs, tmp_path_factory.mktemp("blocks"))
        return asked[checker]

    return ask


def asking(checker: Checker, theirs: list[Block], folder: Path) -> Problems:
    """Return what a checker says; one that breaks is not asked again for each block."""
    try:
        return checker(theirs, folder)
    except Exception as error:  # noqa: BLE001 - a program that is missing or hangs, for example
        return {each: [repr(error)] for each in theirs}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_is_right(block: Block, found: Ask) -> None:
    """What a block says can be done, is read by what it is for, and names what there is."""
    checker = checker_of(block)
    assert checker, (
        f"{block} is of the language {block.language!r}, which nobody checks: "
        "name another one, or add a checker to tests/docs/registry.py"
    )

    assert [] == [f"{block}: {problem}" for problem in found(checker)[block]]
