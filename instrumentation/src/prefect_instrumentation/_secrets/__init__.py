"""What this process knows to be secret: by its environment, its settings, and what it learns."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from prefect_instrumentation._guard import once
from prefect_instrumentation._secrets import known_values
from prefect_instrumentation._secrets.redaction import Redactor
from prefect_instrumentation._secrets.secret_text import HIDDEN
from prefect_instrumentation._text import MAX_TEXT, text

KEYS = "PREFECT_INSTRUMENTATION_REDACT_KEYS"
PATTERNS = "PREFECT_INSTRUMENTATION_REDACT_PATTERNS"

MAX_LEARNED = 512
"""Most values that are learned; the oldest are forgotten."""

MAX_LENGTH = 65_536
"""Most characters of a value that are learned."""

MAX_CHARACTERS = 1 << 20
"""Most characters of all values that are learned; the oldest are forgotten."""

# Defaults of development, of which every other line is full: to hide them would hide nothing else.
_COMMON = frozenset(
    (
        *("admin", "default", "localhost", "minioadmin", "none", "password", "passwd", "postgres"),
        *("postgresql", "prefect", "redacted", "root", "secret", "token", "undefined"),
    )
)
_FEWEST_CHARACTERS = 3
_OTLP = "OTEL_EXPORTER_OTLP_"
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})
# Bounded, since a value may begin a thousand URLs and end none.
_URL = re.compile(r"""://[^\s/?#@:]{0,256}+:([^\s"'<>]{1,1024})@""")


class Secrets:
    """Secrets, and the redactor that hides them.

    Args:
        environ: whose secrets, and whose words and patterns, are known from the start.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.RLock()  # a destructor or a signal handler may log amid what follows
        self._learned: dict[str, None] = {}
        self._size = 0
        self._redactor: Redactor | None = None

    def learn(self, *values: str) -> None:
        """Hide these from now on."""
        found = [part for value in values for part in _with_password(value[:MAX_LENGTH])]
        with self._lock:
            for value in filter(_is_worth, found):
                if self._learned.pop(value, False) is False:
                    self._redactor = None
                    self._size += len(value)
                self._learned[value] = None
            while len(self._learned) > MAX_LEARNED or self._size > MAX_CHARACTERS:
                oldest = next(iter(self._learned))
                del self._learned[oldest]
                self._size -= len(oldest)

    def redactor(self) -> Redactor:
        """Return what hides all that is known now."""
        found = self._redactor
        if found is None:
            # Before the lock: of a bad one the log is told, which asks for a redactor.
            patterns = tuple(_patterns(self._environ))
            with self._lock:
                found = self._redactor = self._make(patterns)
        return found

    def refresh(self) -> None:
        """Read the environment anew, which a program may have changed since."""
        with self._lock:
            self._redactor = None

    def renew(self) -> None:
        """Start anew in a forked child, whose parent may hold the lock."""
        self._lock = threading.RLock()

    def _make(self, patterns: Iterable[re.Pattern[str]]) -> Redactor:
        keys = [word.strip() for word in self._environ.get(KEYS, "").split(",")]
        is_secret = Redactor(keys=keys).is_secret
        known = {
            value
            for name, text in list(self._environ.items())
            for value in _of_variable(name, text, secret=is_secret(name))
            if _is_worth(value)
        }
        return Redactor((*known, *self._learned), keys, patterns)


def _of_variable(name: str, text: str, *, secret: bool) -> Iterator[str]:
    """Yield the secrets of an environment variable."""
    parts = _with_password(text)
    yield from parts[0 if secret and name not in _DIRECTORIES else 1 :]
    if name.startswith(_OTLP) and name.endswith("HEADERS"):
        for header in text.split(","):
            yield from _words(header.partition("=")[2].strip() or header.strip())
    elif name.startswith(_OTLP) and name.endswith("ENDPOINT"):
        address, _, query = text.partition("?")
        user = address.rpartition("@")[0].rpartition("//")[2]
        for each in (user, query, *query.replace("=", "&").split("&")):
            yield from _words(each)


def _with_password(text: str) -> list[str]:
    """Return a text, and the password of a URL in it."""
    match = _URL.search(text)
    return [text, match[1], unquote(match[1])] if match else [text]


def _words(secret: str) -> Iterator[str]:
    """Yield a secret as it is configured and as it is sent; also alone, as in `Bearer secret`."""
    for spelling in (secret, unquote(secret)):
        yield spelling
        yield from spelling.split()[1:]


def _is_worth(value: str) -> bool:
    """Return whether to hide a value hides little else: no short or common one, and no `*****`."""
    return (
        len(value) >= known_values.SHORTEST
        and len(set(value)) >= _FEWEST_CHARACTERS
        and value.lower() not in _COMMON
        and value not in HIDDEN
    )


def _patterns(environ: Mapping[str, str]) -> Iterator[re.Pattern[str]]:
    for number, line in enumerate(environ.get(PATTERNS, "").splitlines(), 1):
        if not line.strip():
            continue
        try:
            pattern = re.compile(line.strip())
        except re.error:
            _skip(number, "is no regular expression")
            continue
        if pattern.search(""):
            _skip(number, "matches the empty text")
        else:
            yield pattern


def _skip(number: int, why: str) -> None:
    # The line itself stays unsaid: whoever does not know regular expressions puts a secret there.
    once(f"{PATTERNS}:{number}", "%s: line %d %s and is left out.", PATTERNS, number, why)


_process = Secrets(os.environ)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.renew)


def learn(*values: str) -> None:
    """Hide these values from now on, in whatever this process writes."""
    _process.learn(*values)


def refresh() -> None:
    """Read the environment anew, since the program may have set something there."""
    _process.refresh()


def redactor() -> Redactor:
    """Return what hides all that this process knows to be secret now."""
    return _process.redactor()


def shown(value: object, limit: int = MAX_TEXT) -> str:
    """Return a value as `_text.text` does, without secrets: they are hidden before it is cut."""
    if isinstance(value, bytes | bytearray):
        value = repr(bytes(value))
    return text(redactor().value(value), limit)
