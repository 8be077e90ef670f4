"""The Prefect APIs whose objects are kept, as the exporter's targets file has them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from backup.errors import BadSetting
from backup.files import read_secret

NAME = "PREFECT_BACKUP_TARGETS_FILE"
CLOUD = "https://api.prefect.cloud/"

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A Prefect API.

    Args:
        name: The label ``target``.
        url: Of its API.
        ca_file: The authorities to trust in place of the system's.
        verify: Whether its certificate is looked at.
        secrets: Where its credentials stand: ``api_key``, ``auth_string`` or ``headers``, each
            as ``file:…`` or ``env:…``.
    """

    name: str
    url: str
    ca_file: Path | None = None
    verify: bool = True
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def cloud(self) -> bool:
        """Whether it is a workspace of Prefect Cloud, whose database is not ours to dump."""
        return self.url.startswith(CLOUD)

    def headers(self) -> dict[str, str]:
        """Return the headers that let a request in; an empty file is no credential.

        Raises:
            BadSetting: A file or variable that the targets file names cannot be read.
        """
        found = {key: self._secret(place) for key, place in self.secrets.items()}
        headers = _headers(found.get("headers", ""))
        if user := found.get("auth_string"):
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        elif key := found.get("api_key"):
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _secret(self, place: str) -> str:
        kind, _, name = place.partition(":")
        if kind == "env":
            if name not in os.environ:
                told = f"names {name[:80]!r}, which is no variable here; give a file"
                raise BadSetting(NAME, told)
            return os.environ[name].strip()
        try:
            return read_secret(Path(name))
        except ValueError as error:
            raise BadSetting(NAME, f"names {name[:200]!r}, which {error}") from None


def read_targets(path: Path) -> tuple[Target, ...]:
    """Return the targets of a file, none where there is no such file.

    Raises:
        ValueError: It is no targets file; the words follow its setting's name.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        content = yaml.safe_load(text.decode()) if len(text) <= _MAX_BYTES else None
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise ValueError("names a file that is not YAML") from None
    entries = content.get("targets") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError("names a file without a list `targets:`")
    found = tuple(_target(entry) for entry in entries)
    if len({each.name for each in found}) < len(found):
        raise ValueError("names a file with two targets of one name")
    return found


def _target(entry: Any) -> Target:  # noqa: ANN401 - whatever YAML holds
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(key), str) for key in ("name", "url")
    ):
        raise ValueError("names a file with a target that has no `name:` and `url:`")
    if not entry["url"].startswith(("http://", "https://")):
        raise ValueError("names a file with a url that is neither http nor https")
    secrets = {
        key: f"{source}:{entry[f'{key}_{source}']}"
        for key in ("api_key", "auth_string", "headers")
        for source in ("file", "env")
        if entry.get(f"{key}_{source}")
    }
    return Target(
        name=entry["name"],
        url=entry["url"].rstrip("/"),
        ca_file=Path(entry["ca_file"]) if entry.get("ca_file") else None,
        verify=not entry.get("tls_insecure_skip_verify", False),
        secrets=secrets,
    )


def _headers(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadSetting(NAME, "names a file of headers that is no JSON object of texts")
    return {str(name): str(value) for name, value in found.items()}
