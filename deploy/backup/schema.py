"""Which revisions of the database's schema the installed Prefect knows."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from backup.errors import SchemaTooNew, SourceUnavailable
from backup.model import Manifest

_REVISION = re.compile(r"""^revision(?:\s*:\s*str)?\s*=\s*["'](\w+)["']""", re.MULTILINE)
_BEFORE = re.compile(r"^down_revision\b(.*)$", re.MULTILINE)


@cache
def known_revisions(engine: str) -> frozenset[str]:
    """Return the ids of all revisions for *engine*, ``postgresql`` or ``sqlite``.

    Raises:
        SourceUnavailable: Prefect is not installed, or keeps its migrations elsewhere.
    """
    return frozenset(match[1] for text in _migrations(engine) if (match := _REVISION.search(text)))


def check_known(manifest: Manifest) -> None:
    """Make sure that the installed Prefect can read what *manifest* tells of.

    Raises:
        SchemaTooNew: It does not know the revision.
        SourceUnavailable: As above.
    """
    if manifest.revision not in known_revisions(manifest.engine):
        raise SchemaTooNew(
            f"the snapshot's schema {manifest.revision:.40} is not known here: it was made by a"
            " newer Prefect; update the stack first"
        )


def is_newest(manifest: Manifest) -> bool:
    """Return whether the installed Prefect has no migration that leads on from *manifest*.

    Raises:
        SourceUnavailable: As above.
    """
    parents = [
        match[1] for text in _migrations(manifest.engine) for match in _BEFORE.finditer(text)
    ]
    return not any(manifest.revision in parent for parent in parents)


def _migrations(engine: str) -> list[str]:
    # As text: to import migrations is to import Prefect's server, which takes seconds.
    prefect = find_spec("prefect")
    if prefect is None or prefect.origin is None:
        raise SourceUnavailable("Prefect is not installed beside this program")
    folder = Path(prefect.origin).parent / "server/database/_migrations/versions" / engine
    if texts := [file.read_text(encoding="utf-8") for file in folder.glob("*.py")]:
        return texts
    raise SourceUnavailable(f"Prefect has no migrations in {folder}")
