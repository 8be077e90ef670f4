"""Reads secrets, and writes files that are whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import TypeAdapter

MAX_SECRET_BYTES = 65_536

_Read = TypeVar("_Read")

_log = structlog.get_logger(__name__)


def read_secret(path: Path) -> str:
    """Return what a secret's file holds without the white space around it; "" where it is empty.

    Raises:
        ValueError: In words that follow the file's name.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        mend = "give a file that this user can read"
        raise ValueError(f"cannot be read ({error.strerror}); {mend}") from None
    except UnicodeDecodeError:
        raise ValueError("is not text; give a file in UTF-8") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError("is too large for a secret; give another file")
    return text


def read_if_there(path: Path) -> str:
    """Return what `read_secret` does, and "" also where there is no such file.

    Raises:
        ValueError: As there.
    """
    return read_secret(path) if path.exists() else ""


def read_password(path: Path) -> str:
    """Return what `read_secret` does where that is something.

    Raises:
        ValueError: As there.
    """
    if text := read_secret(path):
        return text
    raise ValueError("is empty; write the password into it")


def read_json(path: Path, adapter: TypeAdapter[_Read]) -> _Read | None:
    """Return what a file of ours holds; None where it cannot be read, which the log tells."""
    try:
        return adapter.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        # Not what is in it: a damaged file may hold anything.
        _log.error("state.unreadable", file=str(path), error=type(error).__name__)
        return None


def write_whole(path: Path, content: str) -> None:
    """Put *content* in the place of what a file held; a crash leaves the one or the other."""
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The new name is on disk only once its folder is.
        os.fsync(folder)
    finally:
        os.close(folder)
