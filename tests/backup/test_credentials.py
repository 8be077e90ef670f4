"""What restic finds in its environment: files of a folder, and the identity that a cloud lends."""

from __future__ import annotations

from pathlib import Path

import pytest

from backup.credentials import credentials

TOKEN = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - the name of a variable


def test_identity_of_a_pod_reaches_restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud's Kubernetes gives no keys, but says in variables where a token is."""
    monkeypatch.setenv(TOKEN, "/var/run/secrets/token")
    monkeypatch.setenv("AZURE_CLIENT_ID", "id")
    monkeypatch.setenv("SOMETHING_ELSE", "is not for restic")
    (tmp_path / "AZURE_ACCOUNT_NAME").write_text("account")

    found = credentials(tmp_path)

    assert "/var/run/secrets/token" == found[TOKEN]
    assert ("id", "account") == (found["AZURE_CLIENT_ID"], found["AZURE_ACCOUNT_NAME"])
    assert "SOMETHING_ELSE" not in found


def test_file_wins_over_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person has written for this store is meant."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of-the-node")
    (tmp_path / "AWS_DEFAULT_REGION").write_text("eu-central-1")

    assert "eu-central-1" == credentials(tmp_path)["AWS_DEFAULT_REGION"]
