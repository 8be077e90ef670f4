"""JSON, TOML, SQL and Dockerfiles, each by what it is for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from demo.postgres import start_postgres
from demo.sandbox import Sandbox
from docs.blocks import ROOT, Block
from docs.checkers import shell, variables
from docs.checks import Problems
from prefect_instrumentation._errors import rule_file

_HEAD = ["time", "level", "event", "logger"]
_INSTRUCTION = re.compile(r"(ARG|CMD|COPY|ENTRYPOINT|ENV|FROM|RUN|USER|WORKDIR) (.+)")


def json_(block: Block) -> Iterator[str]:
    """Say what is no JSON, or not what it is to be: targets, variables or the line of a run."""
    match json.loads(block.text):
        case [{"targets": _}, *_] as groups:
            yield from (problem for group in groups for problem in _group(group))
        case {"time": _, "event": _} as line if list(line)[:4] != _HEAD:
            yield f"a line of ours begins with {_HEAD}"
        case dict() as names if all(name.isupper() for name in names):
            yield from (problem for name in names for problem in variables.problems(name))


def _group(group: Any) -> Iterator[str]:  # noqa: ANN401  JSON
    """Say what Prometheus would not take in a file of targets."""
    match group:
        case {"targets": [*targets], "labels": dict() as labels, **more} if not more:
            texts = [*targets, *labels.values()]
            yield from (f"{each!r} is no text" for each in texts if not isinstance(each, str))
        case _:
            yield f"a group has targets and labels, not {sorted(group)}"


def toml(blocks: Sequence[Block], folder: Path) -> Problems:
    """Say which are no rules of errors, the only TOML that people write for us."""
    return {each: _refused_rules(each.text, folder / "rules.toml") for each in blocks}


def _refused_rules(text: str, file: Path) -> list[str]:
    file.write_text(text)
    taken = len(rule_file.read({rule_file.ERROR_RULES: str(file)}))
    there = text.count("[[rule]]")
    return [] if taken == there > 0 else [f"of {there} rules, {taken} can be used"]


def sql(blocks: Sequence[Block], _folder: Path) -> Problems:
    """Let a PostgreSQL of its own do it."""
    with Sandbox() as sandbox:
        server = start_postgres(sandbox, durable=False)
        return {each: _refused(server.url(), each.text) for each in blocks}


def _refused(url: str, text: str) -> list[str]:
    command = [shutil.which("psql") or "psql", url, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "-q"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return [done.stderr.strip()] if done.returncode else []


def dockerfile(block: Block) -> Iterator[str]:
    """Say which lines are no instructions, what they copy that is not there, and what they run."""
    for line in block.text.replace("\\\n", " ").splitlines():
        found = _INSTRUCTION.fullmatch(line)
        if line and not line.startswith("#") and not found:
            yield f"is no instruction: {line}"
        elif found and found[1] == "RUN":
            yield from shell.problems(re.sub(r"/tmp/(?=instrumentation|exporter)", "./", found[2]))  # noqa: S108 - the page's
        elif found and found[1] == "COPY":
            yield from _missing([word for word in found[2].split() if not word.startswith("--")])
        elif found and found[1] == "FROM":
            yield from _other_prefect(found[2])


def _missing(words: list[str]) -> Iterator[str]:
    yield from (f"there is no {word} to copy" for word in words[:-1] if not (ROOT / word).exists())


def _other_prefect(image: str) -> Iterator[str]:
    """Say of an image of Prefect that it is not of the version that is tested here."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    (tested,) = (each[9:] for each in groups["dev"] if str(each).startswith("prefect=="))
    if image.startswith("prefecthq/prefect:") and f":{tested}-" not in image:
        yield f"{image} is not of Prefect {tested}"
