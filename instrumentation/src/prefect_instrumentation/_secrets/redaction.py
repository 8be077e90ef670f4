"""What is written of the user's: without secrets, and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from itertools import islice
from uuid import UUID

from prefect_instrumentation import _text as texts
from prefect_instrumentation._secrets import secret_text, sensitive_keys
from prefect_instrumentation._secrets.known_values import KnownValues
from prefect_instrumentation._secrets.secret_text import HIDDEN

MAX_TEXT = 16_384
"""Most characters of a text that are looked at and kept."""

MAX_DEPTH = 8
MAX_ITEMS = 128
MAX_NODES = 2048
"""How deep, how wide, and how large in all a nested value may be; more is left out."""

# As much is looked at beyond the last character that is kept, so that no half of a secret is.
_MARGIN = 4096
_WINDOW = MAX_TEXT + _MARGIN
_PLAIN = frozenset({bool, int, float, type(None), datetime, date, time, timedelta, UUID})
_NAMING = (":", "=", "--", "',", '",', "%3", "</")
_LARGE = 10**5
_HUGE = 1 << 128


class Redactor:
    """Hides secrets in texts and values; it never changes, and to redact twice is to redact once.

    Args:
        known: secrets by value.
        keys: names that stand for a secret, beside those of `_secrets.sensitive_keys`.
        patterns: of what else is hidden: all of a match, or its first group.
    """

    __slots__ = ("_known", "_patterns", "_stems", "is_secret")

    def __init__(
        self,
        known: Iterable[str] = (),
        keys: Iterable[str] = (),
        patterns: Iterable[re.Pattern[str]] = (),
    ) -> None:
        own = [name for name in keys if sensitive_keys.words_of(name)]
        self.is_secret = sensitive_keys.make_test(own)
        last = {sensitive_keys.words_of(name).rpartition("_")[2] for name in own}
        self._stems = (*sensitive_keys.STEMS, *sensitive_keys.RARE_STEMS, *sorted(last))
        self._known = KnownValues(known)
        self._patterns = tuple(patterns)

    def text(self, text: str) -> str:
        """Return a text without secrets; of a longer one the first `MAX_TEXT` characters."""
        if len(text) <= MAX_TEXT:
            return self._hide(text)
        # What is left of the margin may be the first half of a secret.
        whole = self._hide(text[:_WINDOW])
        lost = _MARGIN if len(text) > _WINDOW else 0
        short = whole[: max(0, min(MAX_TEXT, len(whole) - lost))]
        at = short.rfind("[", -len(HIDDEN) + 1)
        return short[:at] if at >= 0 and HIDDEN.startswith(short[at:]) else short

    def end_of(self, text: str) -> str:
        """Return a text without secrets; of a longer one the last `MAX_TEXT` characters."""
        if len(text) <= MAX_TEXT:
            return self._hide(text)
        whole = self._hide(text[-_WINDOW:])
        lost = _MARGIN if len(text) > _WINDOW else 0
        short = whole[max(lost, len(whole) - MAX_TEXT) :]
        at = short.find("]", 0, len(HIDDEN) - 1) + 1
        return short[at:] if at and HIDDEN.endswith(short[:at]) else short

    def hides(self, name: str, value: object) -> bool:
        """Return whether a value of that name is a secret; a mere yes, no or None is none."""
        return value is not None and type(value) is not bool and self.is_secret(name)

    def value(self, value: object) -> object:
        """Return a value without secrets.

        Returns:
            Of a mapping a dict, of a sequence or set a list or tuple, of a plain scalar itself, and
            of anything else its text.
        """
        return _Walk(self).value(value, MAX_DEPTH)

    def mapping(self, mapping: Mapping[str, object]) -> dict[str, object]:
        """Return a mapping without secrets, and without the values of keys that stand for one."""
        return _Walk(self).mapping(mapping, MAX_DEPTH)

    def _hide(self, text: str) -> str:
        text = self._known.hide(text, HIDDEN)
        for pattern in self._patterns:
            text = pattern.sub(_hide_group, text)
        text = secret_text.hide_tokens(text)
        lower = text.lower()
        if "bearer" in lower or "basic" in lower:
            text = secret_text.hide_schemes(text)
        if "'" in text and ("password" in lower or "identified by" in lower):
            text = secret_text.hide_statements(text)
        if secret_text.has_any(_NAMING, text):
            text = self._hide_named(text)
        return text

    def _hide_named(self, text: str) -> str:
        if "://" in text:
            text = secret_text.hide_urls(text)
        lower = text.lower()
        if secret_text.has_any(self._stems, lower):
            text = secret_text.hide_values(text, self.is_secret)
            if "</" in text:
                text = secret_text.hide_elements(text, self.is_secret)
        return text


class _Walk:
    """One way through a nested value, which ends after `MAX_NODES`."""

    __slots__ = ("_left", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left = MAX_NODES

    def value(self, value: object, depth: int) -> object:
        self._left -= 1
        kind = type(value)
        if kind is str:
            return self._redactor.text(value)  # type: ignore[arg-type]  # it is one
        if kind in _PLAIN:
            return self._scalar(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._redactor.text(_decode(value))
        return self._redactor.text(texts.text(value, _WINDOW + 1))

    def mapping(self, mapping: Mapping[str, object], depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in islice(mapping.items(), min(MAX_ITEMS, max(0, self._left))):
            name = _name(key)
            safe = self._redactor.text(name)[: texts.MAX_NAME]
            hidden = self._redactor.hides(name, value)
            found[safe] = HIDDEN if hidden else self.value(value, depth - 1)
        # As containers have their variables: {"name": "DB_PASSWORD", "value": ...}
        if found.get("value") is not None and self._is_secret_name(found.get("name")):
            found["value"] = HIDDEN
        return found

    def _container(self, value: object, depth: int) -> object:
        if depth <= 0 or self._left <= 0:
            return "..."
        try:
            if isinstance(value, Mapping):
                return self.mapping(value, depth)
            items = list(islice(value, min(MAX_ITEMS, self._left)))  # type: ignore[call-overload]
        except Exception:  # noqa: BLE001 - the user's own class may do anything
            return f"<{texts.type_name(type(value))}>"
        found = [self.value(item, depth - 1) for item in items]
        for at, item in enumerate(items[:-1]):
            is_option = isinstance(item, str) and item.startswith("-")
            if (is_option or len(items) == 2) and self._is_secret_name(item):  # noqa: PLR2004 - such as a header
                found[at + 1] = HIDDEN
        return tuple(found) if isinstance(value, tuple) else found

    def _is_secret_name(self, item: object) -> bool:
        return isinstance(item, str | bytes) and self._redactor.is_secret(_name(item))

    def _scalar(self, value: object) -> object:
        if type(value) is int and not -_LARGE < value < _LARGE:
            if not -_HUGE < value < _HUGE:
                return "<int>"
            digits = str(value)
            safe = self._redactor.text(digits)
            return value if safe == digits else safe
        return value


def _name(key: object) -> str:
    if type(key) is str:
        return key
    return _decode(key) if isinstance(key, bytes) else texts.text(key, MAX_TEXT)


def _decode(value: bytes | bytearray | memoryview) -> str:
    raw = bytes(value[: 4 * (_WINDOW + 1)])  # as many characters at least, if it is cut
    return raw.decode("utf-8", "backslashreplace")


def _hide_group(match: re.Match[str]) -> str:
    if not match.re.groups:
        return HIDDEN
    if match[1] is None:
        return match[0]
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0][:start] + HIDDEN + match[0][end:]
