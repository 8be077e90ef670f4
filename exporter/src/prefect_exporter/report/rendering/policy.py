"""What a browser may do with a report: show it, with the style and the script that it came with.

The policy stands in the file itself, so that it holds wherever the file is opened. Who serves the
file sends the same as a header.
"""

from __future__ import annotations

import base64
import hashlib
import re

_STRICT = "default-src 'none'"
_TEMPLATE = (
    "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_IN_FILE = re.compile(
    '<meta http-equiv="Content-Security-Policy" content="('
    + re.escape(_TEMPLATE).replace(r"\{\}", "[A-Za-z0-9+/=]{44}")
    + ')">'
)
_HEAD = 1_024
"""The policy stands within so many characters of a file's beginning."""


def policy(html: str) -> str:
    """Return the policy of a report's file as the value of a header.

    A file that was not made here gets one that forbids everything.
    """
    found = _IN_FILE.search(html[:_HEAD])
    return found[1] if found else _STRICT


def policy_for(style: str, script: str) -> str:
    """Return the policy of a page that has one style and one script, both in its text."""
    return _TEMPLATE.format(_digest(style), _digest(script))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
