"""Commands: bash reads them, and the programs that they start know the options that they get.

In a block of ``console`` a command begins with ``$ ``, and goes on where bash would ask for more;
what follows is what it prints. A block of ``bash`` is a script. Commands are looked at one by one,
those behind ``|``, ``&&`` and within ``sh -c '...'`` too; `docs.checkers.programs` knows the
programs, `docs.checkers.variables` the variables. Which commands are run besides: `docs.running`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from docs.blocks import Block
from docs.checkers import programs, variables
from docs.checkers.commands import commands, placeholders, shown, split
from docs.checks import Problems, run


def check(blocks: Sequence[Block], _folder: Path) -> Problems:
    """Say what bash does not read, and what programs do not know."""
    return {each: list(_of_block(each)) for each in blocks}


def problems(script: str) -> Iterator[str]:
    """Yield what is wrong with a script."""
    done = run("bash", "-n", "-c", placeholders(script))
    if done.returncode:
        yield f"bash: {done.stdout.strip()}"
        return
    for words in commands(script):
        named, rest = split(words)
        yield from (problem for each in named for problem in variables.problems(each))
        if rest and not rest[0].startswith("$"):
            yield from (f"`{' '.join(words)[:80]}`: {each}" for each in programs.problems(rest))


def _of_block(block: Block) -> Iterator[str]:
    if block.language != "console":
        yield from problems(block.text)
        return
    if not block.text.startswith("$ "):
        yield "a block of console begins with `$ ` and a command; a script is a block of bash"
    for each in shown(block.text):
        yield from problems(each.command)
