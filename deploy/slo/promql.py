"""Put names that others chose into PromQL, so that they stay names."""

from __future__ import annotations


def quoted(text: str) -> str:
    """Return a text as a string of PromQL, whose escapes are those of Go."""
    return f'"{"".join(_escaped(each) for each in text)}"'


def pattern(texts: list[str]) -> str:
    """Return a string of PromQL with a regular expression that only these texts match whole."""
    return quoted("|".join(_literal(each) for each in texts))


def _escaped(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character.isprintable():
        return character
    # Go reads four digits after a small u, eight after a large one.
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  as above


def _literal(text: str) -> str:
    return "".join(f"\\{each}" if each in r"\.+*?()|[]{}^$" else each for each in text)
