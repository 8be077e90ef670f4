"""Which repository was used last: one that is gone must not be begun anew unnoticed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import TypeAdapter

from backup.errors import RepositoryDamaged
from backup.files import read_json, write_whole
from backup.restic_errors import NO_REPOSITORY

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A repository that was used.

    Args:
        id: Restic's, which it has for good.
        address: Where it was; it holds no credentials.
    """

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class Memory:
    """The repository that was used last.

    Args:
        file: Holds it; who wants a new repository at the same address removes it.
    """

    file: Path

    def check_gone(self, address: str) -> None:
        """See that there never was a repository where there is none now.

        Raises:
            RepositoryDamaged: There was one at this address.
        """
        known = read_json(self.file, _KNOWN)
        if known is not None and known.address == address:
            gone = (
                f"the repository that was at {address} is gone: mount it or bring it back; to begin"
                f" a new one, remove its note: docker compose exec backup rm {self.file}"
            )
            raise RepositoryDamaged("restic", gone, NO_REPOSITORY)

    def note(self, now: Known) -> None:
        """Remember a repository, and tell of it in the log where it is another one than before."""
        known = read_json(self.file, _KNOWN)
        if known is not None and known.id != now.id:
            message = f"this is not the repository that was used before, at {known.address}"
            _log.warning("repository.another", repository=now.address, message=message)
        if known == now:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, _KNOWN.dump_json(now, indent=1).decode())
        except OSError as error:
            # The backup itself is not in danger, and the next job tries this again.
            _log.error("state.not_written", error=error.strerror)


_KNOWN = TypeAdapter(Known)
