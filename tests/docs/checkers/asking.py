"""Ask a program which options it has: by its ``--help``, or by what its help is made of."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import cyclopts
from prefect.cli._app import _app as prefect_cli

from docs.blocks import ROOT
from docs.checks import run
from prefect_exporter.environment import BadSettings

# Where `python -m` finds what pages tell to run.
_PATHS = ("deploy", "examples", "benchmarks")

Words = Sequence[str]
"""A command, or what stands behind its program, as the shell hands it on."""

Ask = Callable[[Words], Iterator[str]]
"""Yields what is wrong with words."""


def clicked(command: click.Command) -> Ask:
    """Ask a command of click's to read its arguments, and run nothing."""

    def ask(arguments: Words) -> Iterator[str]:
        try:
            with command.make_context("page", list(arguments), resilient_parsing=False) as context:
                if isinstance(command, click.Group) and (rest := _left(context)):
                    _, inner, left = command.resolve_command(context, rest)
                    assert inner is not None
                    yield from clicked(inner)(left)
        except click.exceptions.Exit:
            pass  # --help and --version
        except click.ClickException as error:
            yield error.format_message()
        except BadSettings as error:
            yield str(error)

    return ask


def prefect(words: Words) -> Iterator[str]:
    """Look into Prefect's own tree of commands, which it builds its help from."""
    command: cyclopts.App = prefect_cli
    rest = [word for word in words if word not in {"--prompt", "--no-prompt"}]
    while rest and rest[0] in command:
        command, rest = command[rest[0]], rest[1:]
    if command is prefect_cli or command.default_command is None:
        yield f"there is no command `prefect {' '.join(words)}`"
        return
    names = {name for each in command.assemble_argument_collection() for name in each.names}
    yield from (f"there is no option {name}" for name in _options(rest) if name not in names)


def python(words: Words) -> Iterator[str]:
    """Look at what Python is to run: a text, a module, or a file of the repository."""
    match list(words):
        case ["-c", text, *_]:
            yield from _unreadable(text)
        case ["-m", module, *rest] if file := _module_file(module):
            yield from by_help(lambda _: _file_help(file, "-m", module), rest)
        case ["-m", module, *_] if find_spec(module.partition(".")[0]) is None:
            yield f"there is no module {module}"
        # A bare name, such as `flows.py`, is a reader's own file.
        case [name, *rest] if "/" in name and (ROOT / name).is_file():
            yield from by_help(lambda _: _file_help(ROOT / name, name), rest)


def _unreadable(text: str) -> Iterator[str]:
    try:
        compile(text, "-c", "exec")
    except SyntaxError as error:
        yield f"is no Python: {error}"


def pytest(words: Words) -> Iterator[str]:
    """Ask pytest."""
    yield from by_help(lambda _: pytest_help(), words)


def by_help(ask: Callable[[tuple[str, ...]], str], words: Words) -> Iterator[str]:
    """Hold options against what a program prints as help for its subcommand."""
    path = tuple(word for word in _before_options(words))
    text = ask(path)
    for option in _options(words):
        if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text):
            yield f"there is no option {option}"


def _options(words: Words) -> list[str]:
    given = words[: words.index("--")] if "--" in words else words
    return [word.partition("=")[0] for word in given if re.match(r"--?[A-Za-z]", word)]


def _before_options(words: Words) -> Iterator[str]:
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            return
        yield word


def _left(context: click.Context) -> list[str]:
    return [*context._protected_args, *context.args]  # noqa: SLF001 - where click puts a subcommand


@functools.cache
def _file_help(file: Path, *arguments: str) -> str:
    """Return a program's help, or its text where it reads no options: it would just run."""
    text = file.read_text()
    if not re.search(r"argparse|click|write_rules", text):
        return text
    env = {"PYTHONPATH": ":".join(str(ROOT / each) for each in _PATHS), "COLUMNS": "300"}
    return run(sys.executable, *arguments, "--help", env=env).stdout


def _module_file(module: str) -> Path | None:
    name = module.replace(".", "/")
    ends = (f"{name}/__main__.py", f"{name}.py")
    files = (ROOT / path / end for path in _PATHS for end in ends)
    return next((file for file in files if file.is_file()), None)


@functools.cache
def pytest_help() -> str:
    """Return what ``pytest --help`` prints."""
    return run("pytest", "--help").stdout
