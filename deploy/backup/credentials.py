"""What restic may find in its environment, one file each in a folder."""

from __future__ import annotations

import difflib
import os
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
# What a cloud's Kubernetes tells a pod of the identity it lends it: no secrets, but where one is.
IDENTITY = (
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
)
PATHS = ("GOOGLE_APPLICATION_CREDENTIALS", "RESTIC_CACERT")
SSH = ("ssh_key", "known_hosts")


def credentials(folder: Path) -> dict[str, str]:
    """Return the variables that the files of a folder make, over those of a pod's identity.

    Raises:
        BadSetting: A file is not one of those that are known, or cannot be read.
    """
    found = {name: os.environ[name] for name in IDENTITY if name in os.environ}
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
