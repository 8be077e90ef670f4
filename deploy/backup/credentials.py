"""What restic may find in its environment, one file each in a folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from backup.errors import BadSetting
from backup.files import read_secret

FOLDER = "PREFECT_BACKUP_CREDENTIALS_DIR"

TEXTS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_ACCOUNT_KEY",
    "AZURE_ACCOUNT_NAME",
    "AZURE_ACCOUNT_SAS",
    "AZURE_ENDPOINT_SUFFIX",
    "B2_ACCOUNT_ID",
    "B2_ACCOUNT_KEY",
    "GOOGLE_PROJECT_ID",
    "RESTIC_REST_PASSWORD",
    "RESTIC_REST_USERNAME",
)
PATHS = ("GOOGLE_APPLICATION_CREDENTIALS", "RESTIC_CACERT")
SSH = ("ssh_key", "known_hosts")


def credentials(folder: Path) -> dict[str, str]:
    """Return the variables that the files of a folder make; none where there is no such folder.

    Raises:
        BadSetting: A file is not one of those that are known, or cannot be read.
    """
    found: dict[str, str] = {}
    for file in _files(folder):
        if file.name in TEXTS:
            try:
                text = read_secret(file)
            except ValueError as error:
                raise BadSetting(FOLDER, f"holds {file.name}, which {error}") from None
            if text:
                found[file.name] = text
        elif file.name in PATHS and file.stat().st_size:
            found[file.name] = str(file)
    return found


def ssh_options(folder: Path) -> list[str]:
    """Return restic's options for a repository behind SFTP, from the key and the known hosts."""
    words = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"]
    if (key := folder / SSH[0]).exists():
        words += ["-i", str(key), "-o", "IdentitiesOnly=yes"]
    if (hosts := folder / SSH[1]).exists():
        words += ["-o", f"UserKnownHostsFile={hosts}"]
    return ["-o", f"sftp.args={' '.join(words)}"]


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir()):
        # Kubernetes keeps links to what it mounts under such names.
        if file.name.startswith("."):
            continue
        if file.name not in {*TEXTS, *PATHS, *SSH}:
            near = difflib.get_close_matches(file.name, [*TEXTS, *PATHS, *SSH], n=1)
            mend = f"did you mean {near[0]}?" if near else "remove it"
            told = f"holds {file.name[:80]!r}, which restic does not read; {mend}"
            raise BadSetting(FOLDER, told)
        yield file
