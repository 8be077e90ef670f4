"""Docker and Compose: files, profiles, services and options, and what is run in a service.

Machines that test have an engine at best by chance, so the options are those of Compose's reference
that the pages use; whoever uses another adds it here.
"""

from __future__ import annotations

from collections.abc import Iterator

from backup.cli import cli as backup_cli
from docs.checkers import compose
from docs.checkers.asking import Ask, clicked
from docs.checkers.commands import commands

_COMPOSE_OPTIONS = {
    "build": {"--pull", "--no-cache"},
    "config": {"--services", "--quiet"},
    "down": {"--volumes", "--remove-orphans"},
    "exec": {"-T", "--user", "-u", "-e"},
    "kill": {"-s", "--signal"},
    "logs": {"--follow", "-f", "--tail", "--no-log-prefix", "--since"},
    "ps": {"--all", "--format"},
    "pull": {"--ignore-buildable"},
    "restart": set(),
    "run": {"--rm", "-T", "--no-deps", "-v", "-e", "--entrypoint"},
    "start": {"--wait"},
    "stop": {"-t"},
    "up": {"-d", "--wait", "--build", "--force-recreate", "--no-deps", "--scale"},
}
_TAKE_A_VALUE = {"-e", "-s", "-t", "-u", "-v", "--entrypoint", "--format", "--scale", "--signal"}
_TAKE_A_VALUE |= {"--since", "--tail", "--user"}
_DOCKER = {"build", "image", "info", "logs", "ps", "push", "tag"}


def check(words: list[str], problems: Ask) -> Iterator[str]:
    """Say what is wrong; *problems* looks at what is run in a service."""
    if words[:1] == ["compose"]:
        yield from _compose(words[1:], problems)
    elif not words or words[0] not in _DOCKER:
        yield f"`docker {' '.join(words[:1])}` is not known here"


def _compose(words: list[str], problems: Ask) -> Iterator[str]:
    while words and words[0] in {"-f", "--file", "--profile", "-p", "--env-file"}:
        option, value, *words = words
        if option == "--profile" and value not in {*compose.profiles(), "*"}:
            yield f"there is no profile {value}"
        if option in {"-f", "--file"} and value not in compose.stack_files():
            yield f"there is no Compose file {value}"
    command, *rest = words or [""]
    if command not in _COMPOSE_OPTIONS:
        yield f"docker compose {command} is not known here"
        return
    places, inner = _places(command, rest)
    for word in places:
        if word.startswith("-") and word.partition("=")[0] not in _COMPOSE_OPTIONS[command]:
            yield f"docker compose {command} has no option {word}"
        elif not word.startswith("-") and word not in compose.services():
            yield f"there is no service {word}"
    if inner:
        yield from _within(places[-1], inner, problems)


def _places(command: str, words: list[str]) -> tuple[list[str], list[str]]:
    """Return options and services, without the values of options, and what runs in a service."""
    places: list[str] = []
    while words:
        word, *words = words
        places.append(word)
        if word in _TAKE_A_VALUE:
            words = words[1:]
        elif command in {"exec", "run"} and not word.startswith("-"):
            return places, words
    return places, []


def _within(service: str, words: list[str], problems: Ask) -> Iterator[str]:
    """Look at what runs in a service: a program, or arguments of its own."""
    if words[0] in {"sh", "bash"}:
        for each in commands(words[-1]):
            yield from problems(each)
    elif service == "restore":
        yield from clicked(backup_cli)(words)
    elif service != "pitr":
        yield from problems(words)
