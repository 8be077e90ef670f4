"""A message without what is another each time: ids, times, numbers, addresses. Pure, linear.

The replacements and their order are Sentry's, so that a UUID is not taken for numbers. One scan
tries them in that order at each place; each is bounded or possessive, and begins only where what
stands before it could not belong to it, so no text makes it slow.
"""

from __future__ import annotations

import re
from itertools import islice

NORMALISER_VERSION = 1
"""Of these replacements and of redaction; in every id that is made of a message."""

MAX_PATTERN = 512
"""Most characters of what is left."""

MOST_LINES = 2
"""Lines that count; those below often hold what was sent, or a listing."""

_DOMAINS = (
    "com|net|org|io|dev|cloud|gov|edu|info|biz|eu|de|uk|fr|nl|ch|at|jp"
    "|local|internal|svc|lan|corp|home|localdomain"
)
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_UNITS = "ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|d|days?"
# No letter or digit beside it; `_` may be, as in `part_0001`.
_FIRST, _LAST = r"(?<![A-Za-z\d])", r"(?![A-Za-z\d])"

_REPLACED = {
    "email": r"(?<![\w.%+\-])[\w.%+\-]{1,64}+@[A-Za-z\d][A-Za-z\d.\-]{0,252}+",
    "url": r"""(?<![\w+.\-])[A-Za-z][A-Za-z\d+.\-]{1,15}+://[^\s"'<>]*+""",
    "hostname": (
        rf"(?<![\w.\-])(?:[A-Za-z\d\-]{{1,63}}\.){{1,8}}(?:{_DOMAINS})(?![\w\-])(?::\d{{1,5}})?"
    ),
    "ip": (
        r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?:[:/]\d{1,5})?"
        r"|(?<![\w:])(?:[\da-fA-F]{1,4}:){4,7}[\da-fA-F]{1,4}(?![\w:])"
        r"|(?<![\w:])(?:[\da-fA-F]{1,4}(?::[\da-fA-F]{1,4}){0,5})?::"
        r"(?:[\da-fA-F]{1,4}(?::[\da-fA-F]{1,4}){0,5})(?![\w:])"
    ),
    "traceparent": rf"{_FIRST}[\da-f]{{2}}-[\da-f]{{32}}-[\da-f]{{16}}-[\da-f]{{2}}{_LAST}",
    "uuid": (
        rf"{_FIRST}[\da-fA-F]{{8}}-[\da-fA-F]{{4}}-[\da-fA-F]{{4}}-[\da-fA-F]{{4}}-[\da-fA-F]{{12}}"
        rf"{_LAST}"
    ),
    "sha1": rf"{_FIRST}(?=\d{{0,39}}[a-fA-F])[\da-fA-F]{{40}}{_LAST}",
    "md5": rf"{_FIRST}(?=\d{{0,31}}[a-fA-F])[\da-fA-F]{{32}}{_LAST}",
    "date": (
        rf"{_FIRST}\d{{4}}[\-/.]\d\d[\-/.]\d\d(?:[T _]\d\d:\d\d(?::\d\d(?:[.,]\d{{1,9}}+)?)?"
        rf"(?: ?(?:Z|UTC|[+\-]\d\d:?\d\d))?)?{_LAST}"
        rf"|{_FIRST}\d{{8}}T\d{{6}}Z?{_LAST}"
        rf"|{_FIRST}(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:\d{{1,2}} (?:{_MONTHS})"
        rf"|(?:{_MONTHS}) {{1,2}}\d{{1,2}}),? (?:\d{{4}} )?\d\d:\d\d:\d\d"
        rf"(?: (?:\d{{4}}|GMT|UTC))?{_LAST}"
        rf"|{_FIRST}\d\d:\d\d:\d\d(?:[.,]\d{{1,9}}+)?{_LAST}"
    ),
    "duration": rf"{_FIRST}\d{{1,18}}+(?:\.\d{{1,18}}+)? ?(?:{_UNITS}){_LAST}",
    "hex": (
        rf"{_FIRST}(?:0[xX][\da-fA-F]{{1,128}}+"
        rf"|(?=[a-fA-F]{{0,64}}\d)(?=\d{{0,64}}[a-fA-F])[\da-fA-F]{{9,128}}+){_LAST}"
    ),
    "git_sha": rf"{_FIRST}(?=[a-f]{{0,7}}\d)(?=\d{{0,7}}[a-f])[\da-f]{{7,8}}{_LAST}",
    # Not Sentry's: the ends of names that Kubernetes makes up, and temporary files of Python's.
    "suffix": rf"(?<=-)(?=[a-z]{{0,4}}\d)[bcdfghjklmnpqrstvwxz2456789]{{5}}{_LAST}",
    "tmp": rf"{_FIRST}tmp[a-z\d_]{{8}}{_LAST}",
    "float": (
        rf"(?:(?<![\w\-])-)?{_FIRST}\d{{1,64}}+(?:\.\d{{1,64}}+){{1,8}}+(?:[eE][+\-]?\d{{1,4}}+)?{_LAST}"
    ),
    "int": rf"(?:(?<![\w\-])-)?{_FIRST}\d++(?:,\d{{3}})*+{_LAST}",
    "quoted": r"""(?<==)(?:'[^'\n]*+'|"[^"\n]*+")""",
    "bool": r"(?<==)(?:True|False|true|false)\b",
}
"""What stands in the place of a match, and what it is the place of."""

_EACH = "|".join(f"(?P<{name}>{each})" for name, each in _REPLACED.items())
# None of them begins within a word: to say so at once is to look at few places closely.
_ANY = re.compile(rf"{_FIRST}(?:{_EACH})", re.ASCII)
_SPACE = re.compile(r"\s+")


def normalise(message: str) -> str:
    """Return what a message has in common with others of its kind, at most 512 characters."""
    lines = islice((line for line in message.splitlines() if line.strip()), MOST_LINES)
    return _ANY.sub(_name, _SPACE.sub(" ", " ".join(lines)).strip())[:MAX_PATTERN]


def _name(match: re.Match[str]) -> str:
    return f"<{match.lastgroup}>"
