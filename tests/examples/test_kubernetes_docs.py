"""docs/kubernetes-flows.md says what the files of examples/kubernetes do."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest
import yaml

from kubernetes.instrument_pool import main

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/kubernetes"
PAGE = (ROOT / "docs/kubernetes-flows.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for block in re.findall(r"^ *```console\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    for command in re.findall(r"\$ ((?:.*(?:\\|\|)\n)*.*)\n", block)
]


def test_table_has_the_variables_that_the_program_sets() -> None:
    """Each variable of the program is explained, and no other is."""
    code = (EXAMPLE / "instrument_pool.py").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[A-Z].*?) \|", PAGE, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)}
    other = {"PREFECT_API_AUTH_STRING"}  # a message of Prefect's

    assert set(re.findall(r'"([A-Z][A-Z0-9]*_[A-Z0-9_]+)"', code)) == explained - other


@pytest.mark.parametrize(
    "asked",
    [
        command.split("instrument_pool.py", 1)[1]
        for command in COMMANDS
        if "instrument_pool.py" in command
    ],
)
def test_options_of_the_commands_exist(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program takes what the page gives it, and goes on to read the template."""
    arguments = shlex.split(asked.replace("\\\n", " ").split(">")[0].split("<")[0])
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert 2 == main(arguments)


def test_files_that_are_named_exist() -> None:
    """Whatever the page takes from the example is there, and all that is there is named."""
    named = set(re.findall(r"([\w-]+\.(?:py|yaml)|Dockerfile)`?", PAGE)) - {"test_flows.py"}
    there = {file.name for file in EXAMPLE.iterdir() if file.is_file()}

    assert there - {"flows.py"} == named


def test_grace_and_days_are_those_of_the_program() -> None:
    """The numbers that people plan with hold."""
    code = (EXAMPLE / "instrument_pool.py").read_text(encoding="utf-8")

    assert "GRACE_SECONDS = 120\n" in code
    assert "`terminationGracePeriodSeconds` is 120" in PAGE
    assert "KEPT_SECONDS = 24 * 60 * 60\n" in code
    assert "stay for a day" in PAGE.replace("\n", " ")


def test_links_lead_somewhere() -> None:
    """Every link within the page has its heading, every other one its file and heading."""
    links = re.findall(r"\]\(([^)#]*)(?:#([\w-]+))?\)", " ".join(PAGE.split("\n")))
    for file, anchor in links:
        target = PAGE if not file else (ROOT / "docs" / file).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", target, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}

        assert not anchor or anchor in anchors, (file, anchor)


def test_password_is_in_no_job() -> None:
    """The worker of the example takes it from one Secret, and has Jobs take it from there too."""
    worker = yaml.safe_load((EXAMPLE / "worker-values.yaml").read_text(encoding="utf-8"))["worker"]
    auth = worker["selfHostedServerApiConfig"]["basicAuth"]
    env = {each["name"]: each["value"] for each in worker["extraEnvVars"]}
    settings = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"

    assert "authString" not in auth
    assert (auth["existingSecret"], "auth-string") == (
        env[f"{settings}_NAME"],
        env[f"{settings}_KEY"],
    )
