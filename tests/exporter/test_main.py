"""The command line: what it prints, and with which code it ends."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouds import KEY, Cloud
from prefect_exporter.__main__ import Exit, explain
from prefect_exporter.environment import BadSettings
from prefect_exporter.errors import (
    ExporterError,
    LedgerError,
    LedgerInUse,
    LedgerTooNew,
    LedgerUnreadable,
    Malformed,
    NotSent,
    Unreachable,
)
from prefect_exporter.listener import CannotListen

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
NO_API = (
    "Check that PREFECT_API_URL (in a targets file: url) ends in /api and that no proxy answers "
    "in its place."
)
HIDDEN = "hunter2-do-not-show"
BAD_SETTINGS = """\
prefect-exporter: PREFECT_EXPORTER_POLL_INTERVALL is not a setting; did you mean \
PREFECT_EXPORTER_POLL_INTERVAL?
prefect-exporter: PREFECT_API_AUTH_STRING has no user, or no colon between user and password; \
give user:password
prefect-exporter: PREFECT_EXPORTER_PAGE_SIZE='0' is out of range; give a whole number from 1 to 200
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with no other Prefect variables than these."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "prefect_exporter", *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (BadSettings(("one", "two")), Exit.BAD_SETTING, ("one", "two")),
        (LedgerUnreadable("no"), Exit.LEDGER, ("no",)),
        (LedgerInUse("held"), Exit.LEDGER, ("held",)),
        (LedgerTooNew("new"), Exit.LEDGER, ("new",)),
        (LedgerError("odd"), Exit.LEDGER, ("odd",)),
        (CannotListen("taken"), Exit.LISTEN, ("taken",)),
        (
            NotSent([(1, "json")]),
            Exit.NOT_SENT,
            ("the report could not be sent to address 1 (json)",),
        ),
        (
            Malformed("admin/version", "a web page, not the Prefect API"),
            Exit.UNEXPECTED,
            (f"a web page, not the Prefect API. {NO_API}",),
        ),
        (ExporterError("else"), Exit.UNEXPECTED, ("else",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_code_and_lines(
    error: ExporterError, code: Exit, lines: tuple[str, ...]
) -> None:
    """Every expected error ends with the documented code and plain lines."""
    assert (code, lines) == explain(error)


def test_expected_error_is_no_traceback_anywhere() -> None:
    """An error of the API keeps its route out of what a person reads on the terminal."""
    _, (line,) = explain(Unreachable("admin/version", "connection refused"))

    assert line.startswith("connection refused. Check PREFECT_API_URL")


@pytest.mark.parametrize("command", ["serve", "check-config", "healthcheck"])
def test_bad_settings_end_with_2_and_a_line_each(command: str) -> None:
    """Bad settings end every command with code 2, one line each on standard error, no traceback."""
    done = run(
        command,
        PREFECT_EXPORTER_PAGE_SIZE="0",
        PREFECT_EXPORTER_POLL_INTERVALL="15s",
        PREFECT_API_AUTH_STRING=HIDDEN,
    )

    assert (2, "") == (done.returncode, done.stdout)
    assert BAD_SETTINGS == done.stderr


def test_check_config_shows_origin_and_value_but_no_secret() -> None:
    """Each setting is a line with its origin and value; a secret is a mask."""
    done = run(
        "check-config",
        PREFECT_API_AUTH_STRING=f"me:{HIDDEN}",
        PREFECT_EXPORTER_POLL_INTERVAL="90",
        PREFECT_CLIENT_CUSTOM_HEADERS=f'{{"X-Key": "{HIDDEN}"}}',
    )
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}

    assert (0, "") == (done.returncode, done.stderr)
    assert ["environment", "1m30s"] == rows["PREFECT_EXPORTER_POLL_INTERVAL"]
    assert ["environment", "********"] == rows["PREFECT_API_AUTH_STRING"]
    assert ["default", "-"] == rows["PREFECT_API_KEY"]
    assert ["default", "127.0.0.1:9877"] == rows["PREFECT_EXPORTER_LISTEN_ADDRESS"]
    assert HIDDEN not in done.stdout


def test_check_config_says_why_prefect_cannot_be_asked() -> None:
    """`--ask` ends with 1 and one line with cause and mend where Prefect does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run(
        "check-config",
        "--ask",
        PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_EXPORTER_REQUEST_ATTEMPTS="1",
    )

    assert 1 == done.returncode
    (line,) = done.stderr.splitlines()
    assert "Check PREFECT_API_URL (in a targets file: url), and that the server runs" in line


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (["ready"], "Prefect 3.8.8 answers at {url}."),
        (["admin/version"], "Prefect answers at {url} and reaches its database."),
        (["admin/version", "ready"], "Prefect answers at {url}."),
    ],
)
def test_cloud_may_lack_what_check_config_asks(lacking: list[str], told: str) -> None:
    """`--ask` is content with a workspace that tells no version, and not with one that is none."""

    async def check() -> Iterator[subprocess.CompletedProcess[str]]:
        async with Cloud(lacking=frozenset(lacking)) as cloud:
            urls.extend([cloud.url, cloud.url.replace("2222", "3333")])
            asked = (
                asyncio.to_thread(
                    run, "check-config", "--ask", PREFECT_API_URL=url, PREFECT_API_KEY=KEY
                )
                for url in urls
            )
            return iter(await asyncio.gather(*asked))

    urls: list[str] = []
    right, wrong = asyncio.run(check())

    assert (0, told.format(url=urls[0])) == (right.returncode, right.stdout.splitlines()[-1])
    assert (1, True) == (wrong.returncode, "check the account and the workspace" in wrong.stderr)


@pytest.mark.parametrize("command", [["check-config", "--ask"], ["discover"]])
def test_unusable_proxy_ends_with_2(command: list[str]) -> None:
    """A connection that cannot be set up is one plain line, and no crash."""
    done = run(*command, PREFECT_API_URL="http://127.0.0.1:1/api", ALL_PROXY="odd://proxy")

    assert (
        Exit.BAD_SETTING,
        (
            "prefect-exporter: the connection to Prefect cannot be set up: "
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"
        ),
    ) == (done.returncode, done.stderr.strip())


def test_help_names_the_exit_codes_and_where_to_read_on() -> None:
    """The help tells the settings that matter most, the rest's place, and the exit codes."""
    done = run("serve", "--help")

    assert 0 == done.returncode
    for told in (
        "PREFECT_API_URL",
        "PREFECT_EXPORTER_STATE_PATH",
        "docs/configuration.md",
        "2  a bad setting",
        "3  the ledger is not usable",
        "4  the listen address is not usable",
        "6  with report --send-to-file",
    ):
        assert told in done.stdout


def test_taken_port_ends_with_4(tmp_path: Path) -> None:
    """A port in use ends the start with code 4, one line, and no ledger."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        done = run(
            "serve",
            PREFECT_EXPORTER_LISTEN_ADDRESS=address,
            PREFECT_EXPORTER_STATE_PATH=str(tmp_path / "ledger.sqlite"),
        )

    assert 4 == done.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"prefect-exporter: cannot listen on {address}: address already in use;")
    assert [] == list(tmp_path.iterdir())


def test_unusable_ledger_ends_with_3(tmp_path: Path) -> None:
    """A state path that is a folder ends the start with code 3 and one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run(
        "serve",
        PREFECT_EXPORTER_LISTEN_ADDRESS=f"127.0.0.1:{port}",
        PREFECT_EXPORTER_STATE_PATH=str(tmp_path),
    )

    assert 3 == done.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith("prefect-exporter: ")
    assert str(tmp_path) in line


def test_exit_codes_are_documented() -> None:
    """docs/operations.md has a row for 0 and for every other code that there is."""
    rows = [line for line in DOCS.read_text().splitlines() if re.match(r"\| \d", line)]

    assert ["0", *(str(code.value) for code in Exit)] == [row[2] for row in rows]


def test_version_is_printed() -> None:
    """`--version` names the program and its version."""
    done = run("--version")

    assert (0, "prefect-exporter, version 0.1.0\n") == (done.returncode, done.stdout)
