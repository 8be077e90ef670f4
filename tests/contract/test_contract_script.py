"""What `scripts/contract` makes of the versions that pass and fail, with a uv that does nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "contract"

UV = """#!/bin/sh
[ "$1" = sync ] || exit 0
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
case "$UV_PROJECT_ENVIRONMENT" in
    */"$UNRESOLVED") exit 2 ;;
    */"$FAILING") result=1 ;;
    *) result=0 ;;
esac
printf '#!/bin/sh\\nexit %s\\n' "$result" >"$UV_PROJECT_ENVIRONMENT/bin/python"
chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
"""


def run(root: Path, *versions: str, failing: str = "-", unresolved: str = "-") -> tuple[int, str]:
    """Run the script in a tree of its own; return its exit code and what it said."""
    scripts, programs = root / "scripts", root / "programs"
    scripts.mkdir()
    programs.mkdir()
    shutil.copy(SCRIPT, scripts)
    (programs / "uv").write_text(UV)
    (programs / "uv").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [scripts / "contract", *versions],
        env={"PATH": path, "FAILING": failing, "UNRESOLVED": unresolved},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_all_versions_pass(tmp_path: Path) -> None:
    """It tests with each version that is supported, and with the newest."""
    code, said = run(tmp_path)

    assert (0, 4) == (code, said.count("passed after"))


@pytest.mark.parametrize("how", ["failing", "unresolved"])
@pytest.mark.parametrize("version", ["3.4", "3.6", "3.8"])
def test_supported_version_fails(tmp_path: Path, version: str, how: str) -> None:
    """That is an error, told of after the others have been tested too."""
    code, said = run(tmp_path, **{how: version})

    assert (1, 3) == (code, said.count("passed after"))
    assert f"Prefect {version} failed" in said


@pytest.mark.parametrize("how", ["failing", "unresolved"])
def test_newest_version_fails(tmp_path: Path, how: str) -> None:
    """That is a warning and no error."""
    code, said = run(tmp_path, **{how: "newest"})

    assert (0, 3) == (code, said.count("passed after"))
    assert "WARNING" in said


def test_chosen_versions_only(tmp_path: Path) -> None:
    """It leaves out what was not asked for."""
    _, said = run(tmp_path, "3.6")

    assert 1 == said.count("passed after")
