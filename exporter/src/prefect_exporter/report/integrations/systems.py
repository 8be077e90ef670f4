"""By what a system is known, from systems.toml, and what a name or a text shows. Pure.

Texts are anybody's: each pattern takes time in proportion to the text, and texts are cut.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

LONGEST_TEXT = 8_192

_CASES = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_DOTTED = re.compile(r"(?<![\w./@-])[A-Za-z_]\w{0,63}(?:\.[A-Za-z_]\w{0,63}){1,8}")
# The second is how requests and urllib3 tell of a host that they cannot reach.
_URL = re.compile(
    r"\bhttps?://(?:[^\s/@\"'<>]{1,256}@)?([A-Za-z0-9.-]{1,253})"
    r"|\bhost='([A-Za-z0-9.-]{1,253})'"
)
_HOST = re.compile(r"(?<![\w.@/-])(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![\w.(-])")
_LOCAL = ("localhost", "127.0.0.1", "0.0.0.0", "host.docker.internal")  # noqa: S104 - not bound


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A system outside; systems.toml says what each part means."""

    name: str
    kind: str
    words: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    loggers: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Seen(NamedTuple):
    """A system that a text shows: how, and by which part of it."""

    system: str
    how: str
    what: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    system: tuple[System, ...]


@cache
def systems() -> tuple[System, ...]:
    """Return the systems that are known, the narrower ones before those that hold them."""
    text = files(__package__).joinpath("systems.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File).system


@cache
def kinds() -> dict[str, str]:
    """Return the kind of each system."""
    return {each.name: each.kind for each in systems()}


@lru_cache(maxsize=16_384)
def in_name(name: str, how: str) -> tuple[Seen, ...]:
    """Return the systems that a name of a task, or a tag, has as whole words."""
    name = name[:LONGEST_TEXT]
    cut = "_".join(_CASES.findall(name)), "_".join(_WORDS.findall(name))
    known = " ".join(f"_{each.lower()}_" for each in cut)
    found = (each for each in systems() if any(f"_{word}_" in known for word in each.words))
    return tuple(Seen(each.name, how, name) for each in found)


def in_block(slug: str) -> tuple[Seen, ...]:
    """Return the system that a type of blocks is of."""
    found = (each for each in systems() if slug.startswith(each.blocks or ("\0",)))
    return tuple(Seen(each.name, "block types", slug) for each in found)[:1]


@lru_cache(maxsize=1_024)
def in_logger(name: str) -> tuple[Seen, ...]:
    """Return the system whose library a logger is of."""
    found = (each for each in systems() if _is_within(name, each.loggers))
    return tuple(Seen(each.name, "loggers", name) for each in found)[:1]


def in_text(text: str, how: str) -> Iterator[Seen]:
    """Return the systems that a message or a log line shows, by errors, addresses and hosts.

    An address of no known system is the system ``HTTP: <host>``.
    """
    text = text[:LONGEST_TEXT]
    for name in dict.fromkeys(_DOTTED.findall(text)):
        roots = _errors().get(name.partition(".")[0], ())
        found = (system for start, system in roots if name.startswith(start))
        if system := next(found, ""):
            yield Seen(system, how, name)
    urls = {(one or other).lower().rstrip(".") for one, other in _URL.findall(text)}
    for host in sorted(urls | set(_HOST.findall(text))):
        if system := _of_host(host):
            yield Seen(system, how, host)
        elif host in urls and host not in _LOCAL:
            yield Seen(f"HTTP: {host}", how, host)


def _is_within(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@cache
def _errors() -> dict[str, list[tuple[str, str]]]:
    """Return how names of errors begin, and whose they are, by their first part."""
    found: dict[str, list[tuple[str, str]]] = {}
    for system in systems():
        for start in system.errors:
            found.setdefault(start.partition(".")[0], []).append((start, system.name))
    return found


@cache
def _domains() -> dict[str, str]:
    return {domain: system.name for system in systems() for domain in system.hosts}


def _of_host(host: str) -> str:
    """Return the system of the longest domain that a host is in; "" for none."""
    while host:
        if system := _domains().get(host):
            return system
        host = host.partition(".")[2]
    return ""
