"""Programs that pages tell people to run: do they have these commands, options, files and names?

Each is asked itself: ours through click, those of argparse, Helm and amtool by ``--help``, Prefect
by its tree of commands, scripts and the Makefile by their text, Compose by the stack's files. Of
programs of the system and of clusters only the files of ours that they are given are looked at.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from backup.cli import cli as backup_cli
from docs.blocks import ROOT
from docs.checkers import asking, chart, checkout, docker, variables
from docs.checkers.asking import Words, by_help
from docs.checks import run
from monitoring import tool
from prefect_exporter.__main__ import cli as exporter_cli

# Their options are not asked for: they are the system's, or need what no test machine has.
_SYSTEM = re.compile(
    r"""
    apt-get | awk | base64 | bash | cat | cd | chmod | cp | curl | cut | diff | echo | git | grep
    | head | kafka-topics\.sh | kill | kubectl | ln | ls | mkdir | mv | openssl | patch | pg_dump
    | printf | psql | redis-cli | redis-server | restic | rm | sed | set | sleep | sort | ssh | tail
    | tee | test | touch | tr | true | umask | wait | wc | xargs
    """,
    re.VERBOSE,
)


def problems(words: Words) -> Iterator[str]:
    """Yield what is wrong with a command; its words are the shell's, without redirections."""
    name, rest = words[0].removeprefix(".venv/bin/"), list(words[1:])
    yield from checkout.missing_files(words)
    if name.startswith("scripts/") or name == ".ci/run":
        yield from checkout.script(name, rest)
    elif name in _PROGRAMS:
        yield from _PROGRAMS[name](rest)
    elif not _SYSTEM.fullmatch(name):
        yield f"nobody knows how to check the program {name}: see tests/docs/checkers/programs.py"


def _helm(words: list[str]) -> Iterator[str]:
    helm = Path(sys.executable).with_name("helm")
    yield from by_help(lambda path: run(helm, *path[:1], "--help").stdout, words)
    yield from (
        f"the chart has no value {key}"
        for word, setting in pairwise(words)
        for key in [setting.partition("=")[0]]
        if word in {"--set", "--set-file"} and "worker" not in key and not chart.has(key)
    )


def _amtool(words: list[str]) -> Iterator[str]:
    rest = [word for word in words if not word.startswith("--alertmanager.url")]
    told = lambda path: run(tool("amtool"), *path, "--help").stdout  # noqa: E731
    yield from by_help(told, [*rest, *(w for w in words if w not in rest)])


def _otelcol(words: list[str]) -> Iterator[str]:
    for option, value in pairwise(words):
        if option == "--config" and not (ROOT / "deploy" / "otel-collector" / value).is_file():
            yield f"deploy/otel-collector has no {value}"
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in {"--config", "--feature-gates"}:
            yield f"there is no option {word}"


def _uvicorn(words: list[str]) -> Iterator[str]:
    module, _, name = words[0].partition(":")
    files = list((ROOT / "examples").rglob(f"{module.replace('.', '/')}.py"))
    if not any(re.search(rf"^{name}\b", file.read_text(), re.MULTILINE) for file in files):
        yield f"no example has the application {words[0]}"
    yield from by_help(lambda _: run("uvicorn", "--help").stdout, words[1:])


def _pip(words: list[str]) -> Iterator[str]:
    for word in words:
        if found := re.fullmatch(r"(?:\./|prefect-)(\w+)\[([\w,]+)\]", word):
            file = ROOT / found[1] / "pyproject.toml"
            extras = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
            yield from (f"{word}: no extra {x}" for x in found[2].split(",") if x not in extras)
        elif word.startswith("./") and not (ROOT / word).exists():
            yield f"there is no folder {word}"


def _jq(words: list[str]) -> Iterator[str]:
    """Let jq read the program, where it is installed; it is the first word that is no option's."""
    program = next((word for word in words if re.search(r"[.\[{]", word)), "")
    if "$env" not in program and program and shutil.which("jq"):
        done = run("jq", program, "/dev/null")
        if done.returncode:
            yield done.stdout.strip()


def _wrapper(words: list[str]) -> Iterator[str]:
    """Look at what it starts, behind its own options."""
    inner = [word for word in words if not word.startswith("-")]
    if inner:
        yield from problems(inner)


def _env(words: list[str]) -> Iterator[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        yield from variables.problems(words.pop(0))
    yield from _wrapper(words)


_PROGRAMS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    "amtool": _amtool,
    "docker": lambda words: docker.check(words, problems),
    "env": _env,
    "helm": _helm,
    "jq": _jq,
    "make": lambda words: checkout.make(words, problems),
    "opentelemetry-instrument": _wrapper,
    "otelcol-contrib": _otelcol,
    "pip": _pip,
    "prefect": asking.prefect,
    "prefect-backup": asking.clicked(backup_cli),
    "prefect-exporter": asking.clicked(exporter_cli),
    "pytest": asking.pytest,
    "python": asking.python,
    "sudo": _wrapper,
    "uvicorn": _uvicorn,
}
