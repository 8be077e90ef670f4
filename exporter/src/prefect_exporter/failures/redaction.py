"""Hide secrets in texts of failures before anybody sees them: a small sister of docs/redaction.md.

What is known to be secret is known by its form (tokens, credentials in URLs) or by its name
(``password=...``). Each pattern takes time in proportion to the text: repetitions are possessive,
or bounded, or begin where no other can. What a text of 1,024 characters was cut in is hidden too.
"""

from __future__ import annotations

import re
from functools import lru_cache

HIDDEN = "[redacted]"

_MAX_NAME = 256

_TOKENS = re.compile(
    r"eyJ(?:(?!eyJ)[\w\-])++(?:\.[\w\-]++(?:\.[\w\-]*+)?|\Z)"
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
_SCHEMES = re.compile(
    r"(?i)\b(bearer|basic)([ \t]++|%20|\+)"
    r"(?!(?:auth|token|credential|scheme|format)[a-z]*+\b)[\w\-.~+/=%]{6,}+"
)
_STATEMENT = re.compile(r"(?i)\b(password|identified by)(\s++)'[^']*+(?:'|\Z)")
_SIGNED = re.compile(r"""(?i)([?&;](?:[\w.%\-]*[\-_.])?(?:sig|signature)=)[^&\s"'#]++""")
_ADDRESS = re.compile(r"""[^\s"'<>`]*+""")
_NO_USER = re.compile(r"[/?#@\[]")
_PORT = re.compile(r"\d{1,5}(?:[/?#]|\Z)")
_TOKEN_AS_USER = re.compile(
    r"(?=[a-zA-Z_\-]{0,256}\d)(?=[\d_\-]{0,256}[a-zA-Z])[\w\-]{20,256}(?=@)"
)

# A key and what is between it and its value: `"key": `, `\"key\": `, `key=`, `--key `.
_KEY = re.compile(
    r"(?<![\w.\-])(?:(--[\w\-]++)[ \t]++(?![-=:\s])"
    r"""|([\w.\-]++)(?:\\{0,8}+["'])?[ \t]*+(?:=>|:=|==?|%3[Dd]|:(?!//))[ \t]*+"""
    r"""|(?<=["'])([\w.\-]++)\\{0,8}+["'],[ \t]*+(?=[bu]?\\{0,8}+["']))"""
)
_NOTHING = re.compile(r"""(?:None|null|nil|True|true|False|false)(?=[\s,;&)\]}"']|\Z)""")
_QUOTED = re.compile(
    r"""[bBrRuU]{0,2}+(?:(\\{1,8}+)(["'])(?s:(?!(?<!\\)\1\2).)*+\1\2"""
    r"""|(["'])(?s:(?!\3)[^\\]|\\.)*+\3)"""
)
# Not closed, as where a text was cut, or a call or a list: all of the line.
_OPEN = re.compile(r"""[bBrRuU]{0,2}+["'\\]|[\w.]*+[(\[{]""")
_TO_LINE_END = re.compile(r"[^\r\n]++")
_HEADERS = re.compile(r"(?i)(?:^|[_-])(?:authorization|cookie)$")
_HEADER = re.compile(r"""[^\r\n"']++""")
_SEPARATED = r"(?=\s|\Z|\w[\w.\- ]{0,63}+[=:])"
_CLOSED = r"(?=[\s,;.:)\]}>\"']|\Z)"
_BARE = re.compile(rf"""(?:[^\s,;&"'`)\]}}>]|[,;&](?!{_SEPARATED})|["'`)\]}}>](?!{_CLOSED}))++""")

# As the end of a name, whatever is in front of it, also without a break: `dbpassword`.
_ENDS = (
    "passwords?|passwd|passphrase|passcode|secrets?|token|credentials?|cookies?|authorization"
    "|(?:api|access|secret|private|signing|encryption|session|account|auth|master|shared|ssh)_?keys?"
    "|(?:access|auth|api|refresh|bearer)_?tokens|session_?id|access_?key_?id|auth_?string"
    "|auth(?:orization)?_?code|conn(?:ection)?_?str(?:ing)?"
)
# As words of their own only: `sacred` and `hotpot` are none.
_WORDS = (
    "pw|pwd|pass_?wd|(?:db|user|smtp|ftp|mail)_?pass|creds?|auth|dsn|otp|totp|jwt|bearer|cvv|cvc"
)
_MORE = r"(?:_?(?:value|hash|string|binary|header|pem|data|base64|b64|hex|old|new|again|\d+))*+"
_SECRET = re.compile(f"(?:(?:{_ENDS})|(?:^|_)(?:{_WORDS})){_MORE}$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BREAK = re.compile(r"[\W_]+", re.ASCII)


def redact(text: str) -> str:
    """Return a text without what is known to be secret; to redact twice is to redact once."""
    text = _TOKENS.sub(HIDDEN, text)
    text = _SCHEMES.sub(rf"\1\2{HIDDEN}", text)
    text = _STATEMENT.sub(rf"\1\2'{HIDDEN}'", text)
    if "://" in text:
        first, *rest = text.split("://")
        text = _SIGNED.sub(rf"\1{HIDDEN}", "://".join([first, *map(_hide_password, rest)]))
    return _hide_values(text)


def _hide_password(after: str) -> str:
    """Hide the password in what follows a URL's ``://``."""
    if token := _TOKEN_AS_USER.match(after):
        return f"{HIDDEN}{after[token.end() :]}"
    match = _ADDRESS.match(after)
    address = match[0] if match else ""
    user, colon, rest = address.partition(":")
    password, sign, _ = rest.rpartition("@")
    if not sign and len(address) == len(after):  # it may have been cut
        password = rest
    if not colon or not password or _NO_USER.search(user) or _PORT.match(password):
        return after
    return f"{user}:{HIDDEN}{after[len(user) + 1 + len(password) :]}"


def _hide_values(text: str) -> str:
    """Hide the values of names that stand for a secret, in JSON, ``repr``, headers, queries."""
    parts, at = [], 0
    for match in _KEY.finditer(text):
        start = match.end()
        key = match[match.lastindex or 0]
        if match.start() < at or not _is_secret(key[-_MAX_NAME:]):
            continue
        hidden, end = _hide_value(text, start, key)
        parts += [text[at:start], hidden]
        at = end
    return "".join([*parts, text[at:]]) if parts else text


def _hide_value(text: str, start: int, key: str) -> tuple[str, int]:
    """Return what stands in place of the value that starts there, and where the value ends."""
    if _NOTHING.match(text, start):
        return "", start
    if text.startswith(HIDDEN, start):
        return HIDDEN, start + len(HIDDEN)
    if quoted := _QUOTED.match(text, start):
        quote = (quoted[1] or "") + (quoted[2] or quoted[3])
        return f"{quote}{HIDDEN}{quote}", quoted.end()
    pattern = _HEADER if _HEADERS.search(key) else _BARE
    if _OPEN.match(text, start):
        pattern = _TO_LINE_END
    match = pattern.match(text, start)
    end = match.end() if match else start
    return (HIDDEN if end > start else ""), end


@lru_cache(maxsize=2048)
def _is_secret(name: str) -> bool:
    words = _BREAK.sub("_", _HUMP.sub("_", name)).strip("_").lower()
    return _SECRET.search(words) is not None
