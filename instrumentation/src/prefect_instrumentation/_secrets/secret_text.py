"""Secrets that a text gives away by its form: `password=...`, `Bearer ...`, credentials in URLs.

Each pattern takes time in proportion to the text, since texts are anybody's: repetitions are
possessive, or bounded, or begin where no other can.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

HIDDEN = "[redacted]"

# A key, and what is between it and its value: `"key": `, `\"key\": `, `key=`, `--key `, `('key', `;
# also in lists of variables, in JSON or YAML: `"name": "KEY", "value": `, and where Pydantic
# refuses a field's value.
_KEY = re.compile(
    r"(?<![\w.\-])(?:(--[\w\-]++)[ \t]++(?![-=:\s])"
    r"""|([\w.\-]++)(?:\\{0,8}+["'])?[ \t]*+(?:=>|:=|==?|%3[Dd]|:(?!//))[ \t]*+"""
    r"""|(?<=["'])([\w.\-]++)\\{0,8}+["'],"""
    r"""(?:\s*+\\{0,8}+["'][vV]alue\\{0,8}+["']:[ \t]*+|[ \t]*+)(?=[bu]?\\{0,8}+["'])"""
    r"""|([\w.\-]++)\r?\n(?:[ \t]++value:[ \t]*+|  (?! )[^\n]{1,256}?, input_value=))"""
)
_ELEMENT = re.compile(r"<([\w.:\-]++)>[^<>]{1,4096}+(?=</)")
_STATEMENT = re.compile(r"(?i)\b(password|identified by)(\s++)'[^']*+'")

_HEADERS = re.compile(r"(?i)(?:^|[_-])(?:authorization|cookie)$")
_HEADER = re.compile(r"""[^\r\n"']++""")
_NOTHING = re.compile(r"""(?:None|null|nil|True|true|False|false)(?=[\s,;&)\]}"']|\Z)""")
_QUOTED = re.compile(
    r"""[bBrRuU]{0,2}+(?:(\"{3}|'{3})(?s:.*?)\1|(\\{1,8}+)(["'])(?s:(?!(?<!\\)\2\3).)*+\2\3"""
    r"""|(["'])(?s:(?!\4)[^\\]|\\.)*+\4)"""
)
_BLOCK = re.compile(r"[|>][+\-\d]?[ \t]*+\r?\n([ \t]++)[^\n]*+(?:\n\1[^\n]*+)*+")
_OPEN = re.compile(r"""[bBrRuU]{0,2}+["'\\]""")
_TO_LINE_END = re.compile(r"[^\r\n]++")
_CALL = re.compile(r"[\w.]*+[(\[{]")
_SEPARATED = r"(?=\s|\Z|\w[\w.\- ]{0,63}+[=:])"
_CLOSED = r"(?=[\s,;.:)\]}>\"']|\Z)"
_BARE = re.compile(rf"""(?:[^\s,;&"'`)\]}}>]|[,;&](?!{_SEPARATED})|["'`)\]}}>](?!{_CLOSED}))++""")
_BRACKETS = re.compile(
    r"""(?s)"(?:[^"\\]|\\.)*+(?:"|\Z)|'(?:[^'\\]|\\.)*+(?:'|\Z)|([(\[{])|([)\]}])"""
)

_CREDENTIALS = (
    r"([ \t]++|%20|\+)"
    r"(?!(?:auth|token|credential|scheme|format)[a-z]*+\b)([\w\-.~+/=%]{6,}+)"
)
_BEARER = re.compile(f"(?i)(bearer){_CREDENTIALS}")
_BASIC = re.compile(f"(?i)(basic){_CREDENTIALS}")
_SIGNED = re.compile(r"""(?i)([?&;](?:[\w.%\-]*[\-_.])?(?:sig|signature)=)[^&\s"'#]++""")
_RUN = re.compile(r"""[^\s"'<>`]*+""")
_PORT = re.compile(r"\d{1,5}[/?#]")

_NO_USER = re.compile(r"[/?#@\[]")
_TOKEN_AS_USER = re.compile(
    r"(?=[a-zA-Z_\-]{0,256}\d)(?=[\d_\-]{0,256}[a-zA-Z])[\w\-]{20,256}(?=@)"
)

# fmt: off
_MARKS = ("eyJ", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xox",
          "pnu_", "pnb_", "k_live_", "k_test_", "sk-", "AIza", "glpat-", "hooks.slack",
          "-----BEGIN")
# fmt: on
_TOKENS = re.compile(
    r"eyJ(?:(?!eyJ)[\w\-])++\.[\w\-]++(?:\.[\w\-]*+)?"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{16,}+|github_pat_\w{20,}+"
    r"|xox[a-z]-[\w\-]{8,}+"
    r"|pn[ub]_[A-Za-z0-9]{16,}+"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{8,}+"
    r"|(?<![\w\-])sk-[\w\-]{20,}+"
    r"|AIza[\w\-]{30,}+"
    r"|glpat-[\w\-]{16,}+"
    r"|hooks\.slack\.com/services/[\w/]++"
    r"|(?s:-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z))"
)


def has_any(marks: tuple[str, ...], text: str) -> bool:
    """Return whether one of a few marks is in a text: most texts are done with by this."""
    for mark in marks:  # noqa: SIM110 - `any` takes a third longer
        if mark in text:
            return True
    return False


def hide_urls(text: str) -> str:
    """Hide the passwords and signatures of URLs; schemes, users and hosts stay."""
    first, *rest = text.split("://")
    return _SIGNED.sub(rf"\1{HIDDEN}", "://".join([first, *map(_hide_password, rest)]))


def hide_elements(text: str, is_secret: Callable[[str], bool]) -> str:
    """Hide what is in elements of XML whose name stands for a secret."""
    return _ELEMENT.sub(
        lambda found: f"<{found[1]}>{HIDDEN}" if is_secret(found[1]) else found[0], text
    )


def hide_statements(text: str) -> str:
    """Hide the passwords that statements of SQL set."""
    return _STATEMENT.sub(rf"\1\2'{HIDDEN}'", text)


def hide_schemes(text: str) -> str:
    """Hide what follows `Bearer`, and `Basic` if it is a user's name and password."""
    return _BASIC.sub(_hide_basic, _BEARER.sub(rf"\1\2{HIDDEN}", text))


def hide_tokens(text: str) -> str:
    """Hide tokens that are known by their form, and private keys."""
    return _TOKENS.sub(HIDDEN, text) if has_any(_MARKS, text) else text


def hide_values(text: str, is_secret: Callable[[str], bool]) -> str:
    """Hide the values of keys that stand for a secret.

    Args:
        text: in which values are assigned, as by JSON, `repr`, headers, queries, libpq's DSNs.
        is_secret: of a key.
    """
    parts, at = [], 0
    ends: dict[int, int] | None = None
    for match in _KEY.finditer(text):
        key = match[match.lastindex or 0]
        start = match.end()
        if match.start() < at or not is_secret(key):
            continue
        if ends is None:
            ends = dict(_brackets(text))
        hidden, end = _hide_value(text, start, key, ends)
        parts += [text[at:start], hidden]
        at = end
    return "".join([*parts, text[at:]]) if parts else text


def _hide_value(text: str, start: int, key: str, ends: dict[int, int]) -> tuple[str, int]:
    """Return what stands in place of the value that starts there, and where the value ends."""
    if _NOTHING.match(text, start):
        return "", start
    if quoted := _QUOTED.match(text, start):
        quote = quoted[1] or (quoted[2] or "") + (quoted[3] or quoted[4])
        return f"{quote}{HIDDEN}{quote}", quoted.end()
    if block := _BLOCK.match(text, start):
        return HIDDEN, block.end()
    call = _CALL.match(text, start)
    if text.startswith(HIDDEN, start):
        end = start + len(HIDDEN)
    elif call and call.end() - 1 in ends:
        end = ends[call.end() - 1]
    else:
        pattern = _HEADER if _HEADERS.search(key) else _BARE
        if call or _OPEN.match(text, start):  # it is not closed, as where a text was cut
            pattern = _TO_LINE_END
        match = pattern.match(text, start)
        end = match.end() if match else start
    return (HIDDEN if end > start else ""), end


def _brackets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each bracket opens, and the end of what it encloses."""
    opened: list[int] = []
    for match in _BRACKETS.finditer(text):
        if match[1]:
            opened.append(match.start())
        elif match[2] and opened:
            yield opened.pop(), match.end()


def _hide_password(after: str) -> str:
    """Hide the password in what follows a URL's `://`."""
    if token := _TOKEN_AS_USER.match(after):
        return f"{HIDDEN}{after[token.end() :]}"
    match = _RUN.match(after)
    address = match[0] if match else ""
    user, _, rest = address.partition(":")
    password, sign, _ = rest.rpartition("@")
    if not sign or _NO_USER.search(user) or _PORT.match(password):
        return after
    return f"{user}:{HIDDEN}{after[len(user) + 1 + len(password) :]}"


def _hide_basic(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{HIDDEN}" if _is_basic(match[3]) else match[0]


def _is_basic(credentials: str) -> bool:
    try:
        return b":" in base64.b64decode(credentials.rstrip(".") + "==")
    except ValueError:
        return False
