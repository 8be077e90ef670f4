"""Write what is generated from a source of ours, or say where it differs, for all generators."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sources import BadSource

ROOT = Path(__file__).resolve().parents[1]

_MEND = "make generate"
_RULES = ROOT / "deploy" / "prometheus" / "rules"


def put(files: Mapping[Path, str], *, check: bool, owned: Iterable[Path] = ()) -> int:
    """Write the files that are not as they should be, and remove those that should not be there.

    Args:
        files: The whole text of each file.
        check: Only say what differs, and touch nothing.
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
        done = f"{problem}; mend it with: {_MEND}" if check else _mend(path, files.get(path))
        sys.stderr.write(f"{_short(path)}: {done}\n")
    return int(check and bool(problems))


def as_yaml(document: Any, *, source: Path) -> str:  # noqa: ANN401  YAML holds anything
    """Return a document as YAML under a comment that says where it comes from.

    Args:
        document: Mappings, lists and scalars; a text of several lines becomes a literal block.
        source: The file to change instead.
    """
    head = f"# Generated from {_short(source)} by `{_MEND}`: change that file, not this one.\n"
    return head + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What the files of rules hold, as YAML's mappings and lists.

    Args:
        recording: The file in the folder ``recording``, which has the package's name.
        alerts: Each file in the folder of the package's name, by its alert.
    """

    recording: dict[str, Any]
    alerts: Mapping[str, dict[str, Any]]


def write_rules(
    name: str, source: Path, make: Callable[[Path], Rules], arguments: list[str] | None = None
) -> int:
    """Write the rules, or say which differ.

    Args:
        name: The package's.
        source: The file that people write; the option to read another one has its name.
        make: Reads such a file; raises `sources.BadSource`.
        arguments: Of the command line; None for the process' own.

    Returns:
        The exit code: 0, 1 where some differ and were only to be checked, 2 for a bad file.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description="Write the rules.")
    parser.add_argument("--check", action="store_true", help="only say what differs")
    parser.add_argument(f"--{source.stem}", type=Path, default=source, dest="source")
    parser.add_argument("--rules", type=Path, default=_RULES, help="write to another folder")
    given = parser.parse_args(arguments)
    try:
        rules = make(given.source)
    except BadSource as error:
        sys.stderr.write(f"{error}\n")
        return 2
    files = {given.rules / "recording" / f"{name}.yml": rules.recording}
    files |= {given.rules / name / f"{alert}.yml": rules.alerts[alert] for alert in rules.alerts}
    texts = {path: as_yaml(document, source=source) for path, document in files.items()}
    return put(texts, check=given.check, owned=[given.rules / name])


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
