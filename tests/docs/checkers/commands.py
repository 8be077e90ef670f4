"""Read the commands of a block as bash would, without running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_SEPARATORS = {"|", "||", "&&", ";", "&", "(", ")", "\n", "|&", ";;"}
_KEYWORDS = {"if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_BACKSLASH = "\\"
_GOES_ON = re.compile(r"(?:\\|\||&&)$")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a block of ``console``, and what the block says it prints."""

    command: str
    output: str


def shown(text: str) -> list[Shown]:
    """Return the commands of a block of ``console``."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif found and not found[-1][1] and _wants_more("\n".join(found[-1][0])):
            found[-1][0].append(line.removeprefix("> "))
        elif found:
            found[-1][1].append(line)
    return [Shown("\n".join(command), "\n".join(output)) for command, output in found]


def commands(script: str) -> list[list[str]]:
    """Return the simple commands of a script, each in words, without redirections."""
    found = []
    for line in _logical_lines(placeholders(script)):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token in _SEPARATORS:
                found += [words]
                words = []
            else:
                words.append(token)
    return [bare for words in found if (bare := _bare(words))]


def _bare(words: list[str]) -> list[str]:
    """Return a command without redirections and the keywords around it."""
    while words and words[0] in _KEYWORDS:
        words = words[1:]
    if words[:1] == ["for"]:
        return []
    bare: list[str] = []
    skip = False
    for word in words:
        if not skip and not set(word) <= set("<>&|"):
            bare.append(word)
        elif not skip and bare and bare[-1] in {"1", "2"}:
            bare.pop()
        skip = not skip and set(word) <= set("<>&|")
    return bare


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the assignments before a command, and the command."""
    if words[0] in {"export", "unset"}:
        return words[1:], []
    count = 0
    while count < len(words) and _ASSIGNMENT.match(words[count]):
        count += 1
    return words[:count], words[count:]


def _logical_lines(script: str) -> Iterator[str]:
    """Yield each line with those that it goes on in, and without its here-documents."""
    lines = iter(script.splitlines())
    for line in lines:
        whole = line
        while _is_open(whole) and (more := next(lines, None)) is not None:
            whole = f"{whole.removesuffix(_BACKSLASH)}\n{more}"
        for document in _HEREDOC.finditer(whole):
            while next(lines, document[2]) != document[2]:
                pass
        yield _HEREDOC.sub("", whole).replace("\n", " ")


def _wants_more(script: str) -> bool:
    """Return whether bash would ask for another line."""
    if document := _HEREDOC.search(script):
        return document[2] not in script.splitlines()[1:]
    return _is_open(script)


def _is_open(script: str) -> bool:
    if _GOES_ON.search(script.rstrip()):
        return True
    try:
        shlex.split(script, comments=True)
    except ValueError:
        return True
    return False


def placeholders(script: str) -> str:
    """Put a word in the place of `<what you have to write>`, which bash takes for redirections."""
    return re.sub(r"<[a-z][\w -]*>", "placeholder", script)
