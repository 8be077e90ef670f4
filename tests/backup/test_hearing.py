"""Why a command failed is heard, however quickly it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backup.errors import SourceUnavailable
from backup.hearing import heard
from backup.programs import Command


def failed(said: Path, script: str, secret: str = "") -> str:
    """Return what is told of a script, by who has not listened to it."""
    command = Command(argv=["sh", "-c", script], env={"PASSWORD": secret})

    def run() -> None:
        with heard(command, said) as argv:
            done = subprocess.run(argv, stderr=subprocess.DEVNULL, check=False)
            raise SourceUnavailable(f"command failed: exit status {done.returncode}")

    with pytest.raises(SourceUnavailable) as caught:
        run()

    assert not said.exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'dump: error: no such table' >&2; echo bye >&2; exit 4", "no such table"),
        ("head -c 100000 /dev/zero >&2; echo >&2; echo 'error: at last' >&2; exit 1", "at last"),
        ("exit 4", "command failed: exit status 4"),
    ],
    ids=["some lines", "many bytes", "nothing"],
)
def test_command_tells_why_it_failed(tmp_path: Path, script: str, told: str) -> None:
    """Its most telling line is told; where it said nothing, how it ended."""
    assert failed(tmp_path / "said", script).endswith(told)


def test_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """What the shell says of it counts too."""
    assert "no-such-program" in failed(tmp_path / "said", "exec no-such-program")


def test_what_another_command_said_is_forgotten(tmp_path: Path) -> None:
    """A process that was killed may have left it there."""
    (tmp_path / "said").write_text("error: of yesterday")

    assert "exit status 1" in failed(tmp_path / "said", "exit 1")


def test_secret_of_the_command_is_hidden(tmp_path: Path) -> None:
    """Whatever it says."""
    told = failed(tmp_path / "said", "echo 'error: hunter2' >&2; exit 1", secret="hunter2")  # noqa: S106 - made up

    assert "error: ********" == told
