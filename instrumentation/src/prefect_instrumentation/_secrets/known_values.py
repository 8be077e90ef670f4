"""Secrets that are known by value, found in text however they are spelled there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Fewest characters of a secret: to hide each `1` or `test` would make lines useless."""

PIECE = 1024
"""A longer secret is looked for in pieces of so many characters."""

LINE = 16
"""Fewest characters of a line that is looked for alone, since each may be indented by itself."""

_GRAM = 3
_STRIDE = SHORTEST - _GRAM + 1


class KnownValues:
    """An index of secrets.

    Whatever is at least `SHORTEST` long covers one of every `_STRIDE`-th triple of characters of a
    text, so that few of them are looked at, and the number of secrets hardly matters.

    Args:
        values: each is looked for in all its `spellings`.
    """

    def __init__(self, values: Iterable[str]) -> None:
        found: dict[str, list[str]] = {}
        for spelling in frozenset().union(*map(spellings, values)):
            for at in range(_STRIDE):
                found.setdefault(spelling[at : at + _GRAM], []).append(spelling)
        self._by_gram = found

    def hide(self, text: str, replacement: str) -> str:
        """Return the text with each known secret replaced, the longest first."""
        by_gram = self._by_gram
        if not by_gram:
            return text
        grams = [text[at : at + _GRAM] for at in range(0, len(text) - _GRAM + 1, _STRIDE)]
        if by_gram.keys().isdisjoint(grams):
            return text
        candidates = {each for gram in grams if gram in by_gram for each in by_gram[gram]}
        there = [each for each in candidates if each in text]
        for spelling in sorted(there, key=lambda each: (-len(each), each)):
            text = text.replace(spelling, replacement)
        return text


@lru_cache(maxsize=1024)
def spellings(secret: str) -> frozenset[str]:
    """Return how a secret may stand in a text: as it is, escaped, quoted for a URL, in Base64."""
    return frozenset(_spellings(secret))


def _spellings(secret: str) -> Iterator[str]:
    for piece in _pieces(secret):
        escaped = _escaped(piece)
        yield from escaped
        yield from frozenset().union(*map(_escaped, escaped))  # as JSON within JSON
        raw = piece.encode("utf-8", "surrogatepass")
        quoted = (quote(raw), quote(raw, safe=""), quote_plus(raw))
        yield from (*quoted, *map(quote_plus, quoted))
        yield from _in_base64(raw)


def _pieces(secret: str) -> Iterator[str]:
    for start in range(0, len(secret) - SHORTEST + 1, PIECE):
        rest = len(secret) - start
        # What is left after the last one would be too short to be looked for.
        yield secret[start:] if rest < PIECE + SHORTEST else secret[start : start + PIECE]
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line[:PIECE] for line in map(str.strip, lines) if len(line) >= LINE)


def _escaped(text: str) -> frozenset[str]:
    if text.isalnum() and text.isascii():
        return frozenset((text,))
    dumped = (json.dumps(text), json.dumps(text, ensure_ascii=False))
    return frozenset((text, *(each[1:-1] for each in (repr(text), *dumped))))


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what is in any Base64 of which these bytes are a part, as of `user:password`."""
    for before in range(3):
        whole = (8 * (before + len(raw))) // 6
        encoded = base64.b64encode(bytes(before) + raw)[-(-8 * before // 6) : whole].decode()
        yield encoded
        yield encoded.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
