"""What a clone brings along: the Makefile, scripts, and the files that commands are given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from backup.cli import cli as backup_cli
from docs.blocks import ROOT
from docs.checkers.asking import Ask, Words, by_help, pytest_help, python

_FOLDERS = "deploy|docs|examples|scripts|tests|benchmarks|exporter|instrumentation"
_VARIABLES = {"ARGS", "UPDATE_GOLDEN"}
_FILE = re.compile(rf"(?:{_FOLDERS})/[\w./-]+\.\w+|scripts/[\w-]+|docker-compose[\w.-]+")


def missing_files(words: Words) -> Iterator[str]:
    """Say which files of the clone are named and are not there."""
    for word in words:
        path = word.partition("=")[2] if word.startswith("-") and "=" in word else word
        path = path.removeprefix("../").removeprefix("./")
        if _FILE.fullmatch(path) and not (ROOT / path).exists():
            yield f"there is no file {path}"


def make(words: Words, problems: Ask) -> Iterator[str]:
    """Look up targets and variables; *problems* looks at what gets ``ARGS``."""
    text = (ROOT / "Makefile").read_text()
    recipes = dict(re.findall(r"^([a-z-]+):[^\n]*\n\t(.*)", text, re.MULTILINE))
    given = {name: value for name, equals, value in map(_parted, words) if equals}
    yield from (f"the Makefile takes no {name}" for name in given.keys() - _VARIABLES)
    for target in [word for word in words if "=" not in word]:
        if target not in recipes:
            yield f"there is no target {target}"
        elif "ARGS" in given:
            yield from _with_arguments(target, recipes[target], given["ARGS"], problems)


def script(name: str, words: Words) -> Iterator[str]:
    """Hold options against a script's text, and that of whatever it hands them on to."""
    file = ROOT / name
    text = file.read_text() if file.is_file() else ""
    if module := re.search(r"python -m ([\w.]+) \"\$@\"", text):
        yield from python(["-m", module[1], *words])
    elif text:
        more = _backup_options() if "prefect-backup" in text else ""
        more += pytest_help() if "goes to pytest" in text else ""
        yield from by_help(lambda _: text + more, words)


def _with_arguments(target: str, recipe: str, given: str, problems: Ask) -> Iterator[str]:
    called = re.search(r"(scripts/[\w-]+|python -m [\w.]+|pytest)[^;,]*\$\(ARGS\)", recipe)
    if not called:
        yield f"make {target} takes no ARGS"
    else:
        yield from problems([*called[1].split(), *shlex.split(given)])


def _parted(word: str) -> tuple[str, str, str]:
    return word.partition("=")


def _backup_options() -> str:
    commands = backup_cli.commands.values()
    return " ".join(
        option for command in commands for parameter in command.params for option in parameter.opts
    )
