"""Hears why a command failed that restic starts.

Restic stops to listen as soon as the command ends. On a busy machine it so loses what was said at
the very end: why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backup.errors import SourceUnavailable
from backup.programs import Command, most_telling, scrub

_LAST_BYTES = 16 * 1024


@contextmanager
def heard(command: Command, said: Path) -> Iterator[Sequence[str]]:
    """Yield the arguments that run *command* with its standard error in the file *said*.

    Raises:
        SourceUnavailable: The block says that the command failed; with what that said of it.
    """
    said.unlink(missing_ok=True)
    try:
        yield ["sh", "-c", 'exec "$@" 2>"$0"', str(said), *command.argv]
    except SourceUnavailable as failed:
        why = scrub(most_telling(_last_lines(said)), command.env)
        raise (SourceUnavailable(why) if why else failed) from None
    finally:
        said.unlink(missing_ok=True)


def _last_lines(file: Path) -> Sequence[str]:
    if not file.exists():
        return []
    with file.open("rb") as opened:
        opened.seek(max(file.stat().st_size - _LAST_BYTES, 0))
        return opened.read().decode(errors="replace").splitlines()
