"""The targets file: YAML in, each target's settings out, with a line for every problem."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from prefect_exporter.environment import read_secret

MAX_BYTES = 1024 * 1024
MAX_TARGETS = 1000

SECRETS = {
    "api_key": "PREFECT_API_KEY",
    "auth_string": "PREFECT_API_AUTH_STRING",
    "headers": "PREFECT_CLIENT_CUSTOM_HEADERS",
}
_TEXTS = {
    "name": "PREFECT_EXPORTER_TARGET",
    "url": "PREFECT_API_URL",
    "ui_url": "PREFECT_UI_URL",
    "ca_file": "PREFECT_API_SSL_CERT_FILE",
    "tls_insecure_skip_verify": "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
    "request_timeout": "PREFECT_EXPORTER_REQUEST_TIMEOUT",
    "requests_per_minute": "PREFECT_EXPORTER_REQUESTS_PER_MINUTE",
    "page_size": "PREFECT_EXPORTER_PAGE_SIZE",
    "poll_interval": "PREFECT_EXPORTER_POLL_INTERVAL",
    "slow_interval": "PREFECT_EXPORTER_SLOW_INTERVAL",
}
_LISTS = {
    "flows": "PREFECT_EXPORTER_FLOWS",
    "deployments": "PREFECT_EXPORTER_DEPLOYMENTS",
    "work_pools": "PREFECT_EXPORTER_WORK_POOLS",
}
_MAPPINGS = {"collectors": "PREFECT_EXPORTER_COLLECTORS"}
_BUDGET = "budget"
KEYS = (
    *_TEXTS,
    *(f"{key}_{source}" for key in SECRETS for source in ("file", "env")),
    *_LISTS,
    *_MAPPINGS,
    _BUDGET,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file something stands; *line* counts from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the file; *text* follows its place, from a space or an equals sign on."""

    place: Place
    text: str

    @property
    def line(self) -> int:
        """Where to look; 0 for the whole file."""
        return self.place.line

    def __str__(self) -> str:
        return f"{self.place}{self.text}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One target as the file has it.

    Args:
        place: Where it begins.
        variables: The text of each setting it gives, by the variable's name; secrets are read.
        places: Where each of these stands.
        budget: The name of the budget that it shares; None for one of its own.
    """

    place: Place
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    places: dict[str, Place] = field(default_factory=dict)
    budget: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a targets file holds, and what is wrong with it."""

    entries: tuple[Entry, ...] = ()
    budgets: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_targets(path: Path) -> Content:
    """Read a targets file whole; whatever is wrong with it is told, and nothing is raised."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            return _unreadable(f"is longer than {MAX_BYTES} bytes")
        root = yaml.compose(text.decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        return _unreadable(f"cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        return _unreadable("is not text in UTF-8")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return _unreadable(f"is not YAML: {error.problem}", line)
    except (yaml.YAMLError, RecursionError):
        return _unreadable("is not YAML")
    return _Reading().content(root)


def _unreadable(why: str, line: int = 0) -> Content:
    return Content(problems=(Problem(Place("the file", line), f" {why}"),))


class _Reading:
    """One reading of a file; problems gather while it goes on."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def content(self, root: yaml.Node | None) -> Content:
        if not isinstance(root, yaml.MappingNode):
            return _unreadable("holds no `targets:`")
        parts = dict(self._items(root, "", ("targets", "budgets")))
        budgets = self._budgets(parts.get("budgets"))
        entries = tuple(self._entries(parts.get("targets"), root, budgets))
        return Content(entries, budgets, tuple(self._problems))

    def _entries(
        self, node: yaml.Node | None, root: yaml.Node, budgets: Mapping[str, int]
    ) -> Iterator[Entry]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            at = _place(node or root, "targets")
            self._tell(at, "is no list of targets; begin each with `- name: …`")
            return
        if len(node.value) > MAX_TARGETS:
            self._tell(_place(node, "targets"), f"has more than {MAX_TARGETS} targets")
            return
        names: dict[str, Place] = {}
        for index, each in enumerate(node.value):
            entry = self._entry(each, f"targets[{index}]", budgets)
            name = entry.variables.get(_TEXTS["name"])
            if name in names:
                told = f"names {name!r} again; it stands in line {names[name].line} too"
                self._tell(entry.places[_TEXTS["name"]], told)
            elif name is not None:
                names[name] = entry.places[_TEXTS["name"]]
            yield entry

    def _entry(self, node: yaml.Node, path: str, budgets: Mapping[str, int]) -> Entry:
        entry = Entry(_place(node, path))
        if not isinstance(node, yaml.MappingNode):
            self._tell(entry.place, "is no target; give at least `name:` and `url:`")
            return entry
        for key, value in self._items(node, path, KEYS):
            at = _place(value, f"{path}.{key}")
            if key == _BUDGET:
                entry = self._shared(entry, value, at, budgets)
            else:
                self._take(entry, key, value, at)
        for key in ("name", "url"):
            if _TEXTS[key] not in entry.variables:
                self._tell(entry.place, f"has no `{key}:`")
        return entry

    def _shared(
        self, entry: Entry, node: yaml.Node, at: Place, budgets: Mapping[str, int]
    ) -> Entry:
        name = self._text(node, at)
        if name is None or name not in budgets:
            self._tell(at, f"is {name!r}, which `budgets:` does not have")
            return entry
        return replace(entry, budget=name)

    def _take(self, entry: Entry, key: str, node: yaml.Node, at: Place) -> None:
        """Put the text of one key where its variable is looked for."""
        if secret := next((each for each in SECRETS if key.startswith(f"{each}_")), None):
            variable, text = SECRETS[secret], self._secret(key, node, at)
        elif key in _LISTS:
            variable, text = _LISTS[key], self._words(node, at)
        elif key in _MAPPINGS:
            variable, text = _MAPPINGS[key], self._pairs(node, at)
        else:
            variable, text = _TEXTS[key], self._text(node, at)
        if variable in entry.variables:
            self._tell(at, f"is given twice; line {entry.places[variable].line} has it too")
        if text is not None:
            entry.variables[variable] = text
            entry.places[variable] = at

    def _secret(self, key: str, node: yaml.Node, at: Place) -> str | None:
        name = self._text(node, at)
        if name is None:
            return None
        if not name:
            self._tell(at, "is empty; leave it out where there is no such secret")
            return None
        try:
            return _from_env(name) if key.endswith("_env") else read_secret(name)
        except ValueError as error:
            self._tell(at, f"names {name[:200]!r}, which {error}")
        return None

    def _words(self, node: yaml.Node, at: Place) -> str | None:
        if not isinstance(node, yaml.SequenceNode):
            return self._text(node, at)
        words = [self._text(each, at) or "" for each in node.value]
        if any("," in word for word in words):
            self._tell(at, "has a comma; make two of it, or put ? in its place")
        return ",".join(words)

    def _pairs(self, node: yaml.Node, at: Place) -> str | None:
        if not isinstance(node, yaml.MappingNode):
            return self._text(node, at)
        pairs = [(self._text(key, at), self._text(value, at)) for key, value in node.value]
        return ",".join(f"{key}={value}" for key, value in pairs)

    def _budgets(self, node: yaml.Node | None) -> dict[str, int]:
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._tell(_place(node, "budgets"), "holds no `name: requests per minute`")
            return {}
        budgets: dict[str, int] = {}
        for key, value in node.value:
            at = _place(value, "budgets")
            name, text = self._text(key, at), self._text(value, at)
            if name and text and text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _MOST:
                budgets[name] = int(text)
            else:
                told = f"gives {name!r} no whole number of requests per minute from 1 to {_MOST}"
                self._tell(at, told)
        return budgets

    def _items(
        self, node: yaml.MappingNode, path: str, known: tuple[str, ...]
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Yield the known keys of a mapping; tell of the others, without what they hold."""
        seen = set()
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            at = _place(key_node, f"{path}.{key[:40]}".lstrip("."))
            if key in SECRETS:
                self._tell(at, f"must not stand in this file; give {key}_file or {key}_env")
            elif key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                mend = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self._tell(at, f"is not known; {mend}")
            elif key in seen:
                self._tell(at, "is given twice")
            else:
                seen.add(key)
                yield key, value

    def _text(self, node: yaml.Node, at: Place) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._tell(at, "is not one text")
        return None

    def _tell(self, at: Place, problem: str) -> None:
        self._problems.append(Problem(at, f" {problem}"))


_MOST = 100_000


def _place(node: yaml.Node, path: str) -> Place:
    return Place(path, node.start_mark.line + 1)


def _from_env(name: str) -> str:
    if text := os.environ.get(name, "").strip():
        return text
    raise ValueError("is no variable that is set; set it, or give its file")
