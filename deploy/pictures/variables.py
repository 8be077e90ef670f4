"""Fill in a dashboard's variables as Grafana does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$([A-Za-z_]\w*)|\[\[(\w+)\]\]")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen for a variable.

    Args:
        values: One, or several; none where the variable has none to choose from.
        many: Whether the variable lets people choose several, or all: then it is a regular
            expression wherever it stands.
        everything: What stands for All where the dashboard says so itself.
    """

    values: Sequence[str]
    many: bool = False
    everything: str | None = None


Choice = Mapping[str, Chosen]
"""What is chosen, by the variable's name."""


class UnknownVariableError(KeyError):
    """A query names a variable that its dashboard does not have."""


def fill(text: str, choice: Choice) -> str:
    """Return *text* with every variable replaced.

    Raises:
        UnknownVariableError: A variable is not in *choice*.
    """

    def replaced(match: re.Match[str]) -> str:
        name = match[1] or match[3] or match[4]
        if name not in choice:
            raise UnknownVariableError(name)
        return _shown(choice[name], match[2])

    return _REFERENCE.sub(replaced, text)


def _shown(chosen: Chosen, form: str | None) -> str:
    if chosen.everything is not None:
        return chosen.everything
    if form is not None:
        return _FORMS[form](chosen.values)
    if not chosen.many:
        return ",".join(chosen.values).replace("\\", "\\\\").replace('"', '\\"')
    return _alternatives([_escaped(value) for value in chosen.values])


def _alternatives(values: Sequence[str]) -> str:
    return f"({'|'.join(values)})" if len(values) > 1 else "".join(values)


def _escaped(value: str) -> str:
    # Once for the regular expression, and once more for the quoted string that it stands in.
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


_FORMS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "regex": lambda values: _alternatives([re.escape(value) for value in values]),
    "pipe": "|".join,
    "csv": ",".join,
    "raw": ",".join,
    "text": " + ".join,
    "doublequote": lambda values: ",".join(f'"{value}"' for value in values),
}
