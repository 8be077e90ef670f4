"""Which names stand for a secret: `db_password`, `apiKey` and `X-Auth-Token`, not `token_count`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from prefect_instrumentation._text import MAX_NAME

STEMS = ("pass", "pw", "secret", "token", "key", "auth", "cred", "cookie")
"""One of these, or of `RARE_STEMS`, is in every name that this module finds."""

RARE_STEMS = ("session", "conn", "dsn", "otp", "jwt", "bearer", "cvv")

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

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BREAK = re.compile(r"[\W_]+", re.ASCII)


def words_of(name: str) -> str:
    """Return a name in lower case, its words joined by `_`, whatever its spelling."""
    return _BREAK.sub("_", _HUMP.sub("_", name)).strip("_").lower()


def make_test(more: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return a function that says of a name whether its value is a secret.

    Args:
        more: names such as `iban`, which also hides `customerIban`.
    """
    own = [re.escape(words).replace("_", "_?") for words in map(words_of, more) if words]
    names = "|".join([_WORDS, *own])
    found = re.compile(f"(?:(?:{_ENDS})|(?:^|_)(?:{names})){_MORE}$").search

    @lru_cache(maxsize=2048)
    def is_secret(name: str) -> bool:
        return found(words_of(name)) is not None

    def test(name: str) -> bool:
        return is_secret(name if len(name) <= MAX_NAME else name[-MAX_NAME:])

    return test
