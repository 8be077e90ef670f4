"""Write what is generated from a source of ours, or say where it differs, for all generators."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def put(files: Mapping[Path, str], *, check: bool, mend: str, owned: Iterable[Path] = ()) -> int:
    """Write the files that are not as they should be, and remove those that should not be there.

    Args:
        files: The whole text of each file.
        check: Only say what differs, and touch nothing.
        mend: The command that writes the files, for whoever reads that they differ.
        owned: Folders in which no other files may lie.

    Returns:
        The exit code: 1 where something was to be checked and differs, else 0.
    """
    lying = {path for folder in owned for path in folder.rglob("*") if path.is_file()}
    problems = {
        path: "differs from its source" for path, text in files.items() if _differs(path, text)
    }
    problems |= dict.fromkeys(sorted(lying - files.keys()), "has no source any more")
    for path, problem in problems.items():
        done = f"{problem}; mend it with: {mend}" if check else _mend(path, files.get(path))
        sys.stderr.write(f"{_short(path)}: {done}\n")
    return int(check and bool(problems))


def as_yaml(document: Any, *, source: str, mend: str) -> str:  # noqa: ANN401  YAML holds anything
    """Return a document as YAML under a comment that says where it comes from.

    Args:
        document: Mappings, lists and scalars; a text of several lines becomes a literal block.
        source: The file to change instead, from the root of the repository.
        mend: The command that writes the file anew.
    """
    head = f"# Generated from {source} by `{mend}`: change that file, not this one.\n"
    return head + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000
    )


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: list items stand under their key, and no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002  PyYAML's signature
        """Indent list items too."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401  PyYAML's signature
        """Write a value again where it stands again."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text


def _mend(path: Path, text: str | None) -> str:
    if text is None:
        path.unlink()
        return "removed"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return "written"


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
